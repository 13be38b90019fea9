//! How much a command is for the store.

use super::BookingCommand;
use crate::block::MAX_BLOCK_BED_NIGHTS;
use crate::booking::StayRequest;
use crate::nights::Nights;

impl BookingCommand {
    /// About how many claims it writes or deletes, in bed-nights: more for what says nothing of its own size.
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
