//! Outcome of a batch, in values that a store can write.

use crate::block::Block;
use crate::booking::{Booking, FormerAddress};
use crate::events::{BookingEvent, InventoryChanged};
use crate::grid::OccupancyGrid;
use crate::ids::{BedId, BlockId, BookingId, PropertyId};
use crate::inventory::Inventory;
use crate::messages::{RefusalDetail, ReplyOutcome};
use crate::nights::Nights;
use chrono::NaiveDate;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

/// Owner of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// A booking.
    Booking(BookingId),
    /// A block.
    Block(BlockId),
}

/// As stored: the id alone for a booking, `block:` and the id for a block.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Booking(id) => id.fmt(f),
            Self::Block(id) => write!(f, "block:{id}"),
        }
    }
}

impl std::str::FromStr for Owner {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("block:") {
            Some(id) => id.parse().map(Self::Block),
            None => text.parse().map(Self::Booking),
        }
    }
}

/// Claim of one bed for one night by a booking or a block.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BedNightClaim {
    /// Property.
    pub property_id: PropertyId,
    /// Bed.
    pub bed_id: BedId,
    /// Night.
    pub night: NaiveDate,
    /// Owner.
    pub owner: Owner,
}

/// A booking to write.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Stored revision that the decision was based on; `None` for a new booking.
    pub stored_rev: Option<u32>,
    /// The booking to store.
    pub booking: Booking,
}

/// A block to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockChange {
    /// Stored revision that the decision was based on; `None` for a new block.
    pub stored_rev: Option<u32>,
    /// The block to store.
    pub block: Block,
}

/// A property whose beds were marked for housekeeping.
#[derive(Debug, Clone, PartialEq)]
pub struct InventoryMarks {
    /// Stored revision that the decision was based on.
    pub stored_rev: u64,
    /// The inventory with the marks, at its next revision. Only its rooms differ.
    pub inventory: Arc<Inventory>,
}

/// Decision on one command.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Applied to a booking, now or by an earlier delivery, with its event.
    Decided(Box<BookingEvent>),
    /// Applied to a block, now or by an earlier delivery, with its event.
    Changed(Box<InventoryChanged>),
    /// Refused; nothing changes.
    Refused(ReplyOutcome, Option<Box<RefusalDetail>>),
    /// The booking or block has not been requested yet, as far as the store knows.
    NotYet,
}

/// Outcome of a batch.
#[derive(Debug, Clone, Default)]
pub struct BatchOutcome {
    /// One per command, in their order.
    pub decisions: Vec<Decision>,
    /// Events of bookings that a command reassigned, each with the index of that command, to be published with its own.
    pub consequences: Vec<(usize, BookingEvent)>,
    /// Changed bookings, each once, in the order of their first change.
    pub changes: Vec<Change>,
    /// Addresses that changes took from confirmed and checked-in bookings, to be kept until they were written to.
    pub former_addresses: Vec<FormerAddress>,
    /// Changed blocks, each once, in the order of their first change.
    pub block_changes: Vec<BlockChange>,
    /// Properties whose beds were marked dirty.
    pub marks: Vec<InventoryMarks>,
    /// Claims to insert, after `released` are deleted.
    pub claimed: BTreeSet<BedNightClaim>,
    /// Claims to delete.
    pub released: BTreeSet<BedNightClaim>,
    /// Grids of the changed properties, as they will be once the outcome is stored.
    pub grids: HashMap<PropertyId, OccupancyGrid>,
}

impl BatchOutcome {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.block_changes.is_empty() && self.marks.is_empty()
    }
}

/// Claims of a batch to insert and to delete, in no order: sorting all of them at once costs less than inserting each
/// into a sorted set.
#[derive(Default)]
pub(super) struct ClaimChanges {
    claimed: Vec<BedNightClaim>,
    released: Vec<BedNightClaim>,
}

impl ClaimChanges {
    /// Adds the difference between the claims that an owner has and those that it must have.
    pub(super) fn add<'a>(
        &mut self,
        property: &PropertyId,
        owner: Owner,
        had: Option<impl Iterator<Item = (&'a BedId, NaiveDate)>>,
        has: impl Iterator<Item = (&'a BedId, NaiveDate)>,
    ) {
        let claim = |(bed, night): (&BedId, NaiveDate)| BedNightClaim {
            property_id: property.clone(),
            bed_id: bed.clone(),
            night,
            owner,
        };
        let Some(had) = had else {
            self.claimed.extend(has.map(claim));
            return;
        };
        let (had, has): (HashSet<_>, HashSet<_>) = (had.collect(), has.collect());
        self.released.extend(had.difference(&has).copied().map(claim));
        self.claimed.extend(has.difference(&had).copied().map(claim));
    }

    /// Adds the changes to the outcome.
    pub(super) fn store_in(self, outcome: &mut BatchOutcome) {
        outcome.claimed = BTreeSet::from_iter(self.claimed);
        outcome.released = BTreeSet::from_iter(self.released);
    }
}

/// State to read before a batch can be decided; then it is decided again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissingState {
    /// Properties for which a refusal would stand on a stale grid: read the grid again.
    pub grids: HashSet<PropertyId>,
    /// Nights of a property whose occupants must be known: read the bookings, all stays of each, and add the nights to
    /// [`super::KnownState::occupied`]. Nights only grow from one round to the next.
    pub occupants: HashMap<PropertyId, Nights>,
    /// Bookings that an earlier delivery of a command reassigned.
    pub bookings: HashSet<BookingId>,
}

impl MissingState {
    pub(super) fn is_empty(&self) -> bool {
        self.grids.is_empty() && self.occupants.is_empty() && self.bookings.is_empty()
    }
}
