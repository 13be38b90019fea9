//! Size of a command in claims.

use super::BookingCommand;
use crate::block::MAX_BLOCK_BED_NIGHTS;
use crate::booking::StayRequest;
use crate::nights::Nights;

impl BookingCommand {
    /// Estimate of the claims that it inserts or deletes, in bed-nights; an upper bound for commands that do not state
    /// their size.
    pub fn bed_nights(&self) -> usize {
        let of_stay = |stay: &StayRequest| {
            usize::try_from(stay.nights().count()).unwrap_or(0).saturating_mul(stay.guests as usize)
        };
        match self {
            Self::Request(request) => request.stays.iter().map(of_stay).sum(),
            Self::Modify(modify) => modify.stays.iter().flatten().map(|modification| of_stay(&modification.stay)).sum(),
            Self::Block(block) => usize::try_from(Nights::new(block.from, block.until).count())
                .unwrap_or(0)
                .saturating_mul(block.bed_ids.len()),
            Self::Unblock(_) => MAX_BLOCK_BED_NIGHTS,
            _ => 1,
        }
    }
}
