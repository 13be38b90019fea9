//! The outcome of bed assignments if they were decided now, one after the other: for a plan of moves that staff look at
//! before they agree.

use super::{Decision, KnownState, decide};
use crate::block::Block;
use crate::booking::{Booking, HistoryEntry};
use crate::grid::OccupancyGrid;
use crate::ids::BookingId;
use crate::inventory::Inventory;
use crate::messages::{AssignBeds, BookingCommand, RefusalDetail};
use crate::nights::Nights;
use crate::timestamp::Timestamp;
use chrono::NaiveDate;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// What has the beds of a property, complete for the nights that matter.
#[derive(Debug, Clone)]
pub struct KnownBeds {
    /// Its bookings.
    pub bookings: HashMap<BookingId, Booking>,
    pub(super) grid: OccupancyGrid,
}

/// The outcome of one assignment: the revision that it would make, or why it would be refused, where a reason is known.
pub type PreviewedAssignment = Result<Box<HistoryEntry>, Option<Box<RefusalDetail>>>;

impl KnownBeds {
    /// `bookings` and `blocks` are all that have beds from the night before today to the one after, and on every night
    /// of the stays that are to be moved; `nights` hold these. Bookings that are not moved need no history.
    pub fn new(
        inventory: Arc<Inventory>,
        bookings: HashMap<BookingId, Booking>,
        blocks: &[Block],
        nights: Nights,
    ) -> Self {
        let mut grid = OccupancyGrid::new(inventory, nights.arrival);
        for (bed, night) in bookings.values().flat_map(Booking::claims).chain(blocks.iter().flat_map(Block::claims)) {
            if night >= nights.arrival {
                grid.take_night(bed, night);
            }
        }
        Self { bookings, grid }
    }

    /// The inventory.
    pub fn inventory(&self) -> &Inventory {
        self.grid.inventory()
    }

    /// The outcomes of these assignments, each in the state that those before it leave; one that is refused leaves
    /// none.
    pub fn preview(&self, assignments: &[AssignBeds], now: Timestamp) -> Vec<PreviewedAssignment> {
        let property = self.inventory().property.id.clone();
        let commands: Vec<(Uuid, BookingCommand)> =
            (1..).map(Uuid::from_u128).zip(assignments.iter().cloned().map(BookingCommand::Assign)).collect();
        let known = KnownState {
            grids: &HashMap::from([(property.clone(), self.grid.clone())]),
            fresh: &HashSet::from([property.clone()]),
            bookings: &self.bookings,
            blocks: &HashMap::new(),
            occupied: &HashMap::from([(property, Nights::new(NaiveDate::MIN, NaiveDate::MAX))]),
        };
        let borrowed: Vec<(Uuid, &BookingCommand)> = commands.iter().map(|(id, command)| (*id, command)).collect();
        // Nothing is missing: everything that there is was passed.
        let Ok(outcome) = decide(known, &borrowed, now) else { return assignments.iter().map(|_| Err(None)).collect() };
        let changed = |id: Uuid| {
            let entries = outcome.changes.iter().filter_map(|change| change.booking.entry_of(id));
            entries.map(|entry| Box::new(entry.clone())).next()
        };
        let decisions = outcome.decisions.iter().zip(&commands);
        decisions
            .map(|(decision, (id, _))| match decision {
                Decision::Decided(_) => changed(*id).ok_or(None),
                Decision::Refused(_, why) => Err(why.clone()),
                Decision::Changed(_) | Decision::NotYet => Err(None),
            })
            .collect()
    }
}
