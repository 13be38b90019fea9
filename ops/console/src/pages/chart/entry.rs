//! Entries of the tape chart: what has a bed on successive nights. Pure.

use super::moved;
use crate::pages::moves::is_movable;
use chrono::NaiveDate;
use pvt_domain::block::{Block, BlockKind};
use pvt_domain::booking::{Status, Stay, StayProgress, stay_id};
use pvt_domain::ids::{BedId, BookingId};
use pvt_domain::nights::Nights;
use pvt_stores::mongo::occupancy::Occupant;
use std::collections::{HashMap, HashSet};

/// Successive nights of a bed that something has. Its texts are made when it is drawn: a large chart has thousands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    /// First column, from 1, and how many.
    pub(super) column: u32,
    pub(super) columns: u32,
    /// Class of the style sheet.
    pub(super) kind: &'static str,
    what: What<'a>,
}

#[derive(Debug, Clone, Copy)]
enum What<'a> {
    Stay {
        booking: &'a Occupant,
        stay: &'a Stay,
        status: &'static str,
        /// Stay and bed, if it can be moved to another bed.
        movable: Option<(u32, &'a BedId)>,
    },
    Block(&'a Block),
}

impl Entry<'_> {
    /// The booking to open.
    pub(super) fn booking_id(&self) -> Option<BookingId> {
        match self.what {
            What::Stay { booking, .. } => Some(booking.id),
            What::Block(_) => None,
        }
    }

    /// Booking, stay and bed, if it can be moved to another bed.
    pub(super) fn movable(&self) -> Option<String> {
        match self.what {
            What::Stay { booking, movable: Some((stay, bed)), .. } => Some(format!("{}/{stay}/{bed}", booking.id)),
            What::Stay { .. } | What::Block(_) => None,
        }
    }

    /// The room type of a stay that can be moved, where its bed is not sold as that: the bed or its room has changed.
    pub(super) fn other_type(&self, sold_as: &str) -> Option<&str> {
        match self.what {
            What::Stay { stay, movable: Some(_), .. } => {
                Some(stay.room_type_id.as_str()).filter(|room_type| *room_type != sold_as)
            }
            What::Stay { .. } | What::Block(_) => None,
        }
    }

    pub(super) fn label(&self) -> String {
        match self.what {
            What::Stay { booking, stay, status, .. } => {
                format!("{} ({status}{})", booking.guest.full_name(), lock(stay))
            }
            What::Block(block) => format!("Block: {}", kind_of(block)),
        }
    }

    pub(super) fn title(&self) -> String {
        match self.what {
            What::Stay { booking, stay, status, .. } => {
                let (guest, lock) = (booking.guest.full_name(), lock(stay));
                format!("{guest}, {}, {status}{lock}, {} – {}", booking.reference, stay.arrival, stay.departure)
            }
            What::Block(block) => format!("Block: {}, {} – {}", kind_of(block), block.from, block.until),
        }
    }
}

/// What has each bed, by bed, in the order of the nights.
pub(super) fn entries<'a>(
    bookings: &'a [Occupant],
    blocks: &'a [Block],
    shown: Nights,
) -> HashMap<&'a BedId, Vec<Entry<'a>>> {
    let mut entries: HashMap<&BedId, Vec<Entry<'a>>> = HashMap::new();
    let mut add = |bed: &'a BedId, nights: Nights, kind, what| {
        if let Some((column, columns)) = columns(nights, shown) {
            entries.entry(bed).or_default().push(Entry { column, columns, kind, what });
        }
    };
    for booking in bookings {
        for (index, stay) in booking.stays.iter().enumerate() {
            let (kind, status) = kind_and_status(booking, stay);
            for (nights, beds) in stay.parts() {
                let is_last = nights.departure == stay.departure && is_movable(booking.status, stay);
                for bed in beds {
                    let movable = is_last.then(|| (stay_id(&booking.stays, index), bed));
                    add(bed, nights, kind, What::Stay { booking, stay, status, movable });
                }
            }
        }
        if booking.pending_stays().is_empty() {
            continue;
        }
        let own: HashSet<(&BedId, NaiveDate)> = booking.stays.iter().flat_map(Stay::bed_nights).collect();
        for stay in booking.pending_stays() {
            let what = What::Stay { booking, stay, status: "pending change", movable: None };
            for (nights, beds) in stay.parts() {
                for bed in beds {
                    let added = runs(nights, |night| !own.contains(&(bed, night)));
                    added.for_each(|run| add(bed, run, "held", what));
                }
            }
        }
    }
    for block in blocks {
        block.bed_ids.iter().for_each(|bed| add(bed, block.nights(), "block", What::Block(block)));
    }
    entries.values_mut().for_each(|of_bed| of_bed.sort_by_key(|entry| entry.column));
    entries
}

/// Runs of successive nights that are meant.
fn runs(nights: Nights, is_meant: impl Fn(NaiveDate) -> bool) -> impl Iterator<Item = Nights> {
    let mut runs: Vec<Nights> = Vec::new();
    for night in nights.iter().filter(|night| is_meant(*night)) {
        let end = moved(night, 1);
        match runs.last_mut().filter(|run| run.departure == night) {
            Some(run) => run.departure = end,
            None => runs.push(Nights::new(night, end)),
        }
    }
    runs.into_iter()
}

/// The columns of these nights, as far as they are shown.
pub(super) fn columns(nights: Nights, shown: Nights) -> Option<(u32, u32)> {
    let (first, end) = (nights.arrival.max(shown.arrival), nights.departure.min(shown.departure));
    let columns = u32::try_from((end - first).num_days()).ok().filter(|columns| *columns > 0)?;
    Some((u32::try_from((first - shown.arrival).num_days()).ok()? + 1, columns))
}

/// Class and words for how far a stay is.
fn kind_and_status(booking: &Occupant, stay: &Stay) -> (&'static str, &'static str) {
    match (booking.status, stay.progress_in(booking.status)) {
        (Status::Held, _) => ("held", "held"),
        (_, StayProgress::CheckedIn) => ("checked-in", "checked in"),
        (_, StayProgress::CheckedOut) => ("checked-out", "checked out"),
        (_, StayProgress::Expected) => ("confirmed", "confirmed"),
    }
}

fn lock(stay: &Stay) -> &'static str {
    if stay.locked { ", locked" } else { "" }
}

fn kind_of(block: &Block) -> &'static str {
    match block.kind {
        BlockKind::OutOfOrder => "out of order",
        BlockKind::Maintenance => "maintenance",
        BlockKind::InternalUse => "internal use",
        BlockKind::Channel => "channel",
    }
}
