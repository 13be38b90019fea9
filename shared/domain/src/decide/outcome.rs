//! What a batch comes to, in values that a store can write.

use crate::block::Block;
use crate::booking::Booking;
use crate::events::{BookingEvent, InventoryChanged};
use crate::grid::OccupancyGrid;
use crate::ids::{BedId, BlockId, BookingId, PropertyId};
use crate::messages::{RefusalDetail, ReplyOutcome};
use crate::nights::Nights;
use chrono::NaiveDate;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;

/// Who owns a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// A booking.
    Booking(BookingId),
    /// A block.
    Block(BlockId),
}

/// The id alone for a booking, `block:` and the id for a block.
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

/// One bed for one night, owned by a booking or a block.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BedNightClaim {
    /// The hostel.
    pub property_id: PropertyId,
    /// The bed.
    pub bed_id: BedId,
    /// The night.
    pub night: NaiveDate,
    /// Its owner.
    pub owner: Owner,
}

/// A booking that must be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The revision in the store that this decision was made upon; `None` when the booking is new.
    pub stored_rev: Option<u32>,
    /// The booking as it is to be.
    pub booking: Booking,
}

/// A block that must be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockChange {
    /// The revision in the store that this decision was made upon; `None` when the block is new.
    pub stored_rev: Option<u32>,
    /// The block as it is to be.
    pub block: Block,
}

/// What became of one command.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// It was applied to a booking, now or by an earlier delivery: this event tells of it.
    Decided(Box<BookingEvent>),
    /// It was applied to a block, now or by an earlier delivery: this event tells of it.
    Changed(Box<InventoryChanged>),
    /// It cannot be applied and changes nothing.
    Refused(ReplyOutcome, Option<Box<RefusalDetail>>),
    /// The booking or block it is about has not been requested yet, as far as the store knows.
    NotYet,
}

/// What a batch comes to.
#[derive(Debug, Clone, Default)]
pub struct BatchOutcome {
    /// One for each command, in their order.
    pub decisions: Vec<Decision>,
    /// Events of other bookings that a command moved, each with the index of that command: to be published with its
    /// own.
    pub consequences: Vec<(usize, BookingEvent)>,
    /// Each changed booking once, in the order of their first change.
    pub changes: Vec<Change>,
    /// Each changed block once, in the order of their first change.
    pub block_changes: Vec<BlockChange>,
    /// Claims to insert, after those released are gone.
    pub claimed: BTreeSet<BedNightClaim>,
    /// Claims to delete.
    pub released: BTreeSet<BedNightClaim>,
    /// The views of the properties that changed, as they will be once all this is stored.
    pub grids: HashMap<PropertyId, OccupancyGrid>,
}

impl BatchOutcome {
    /// Adds the difference between what an owner has and what it is to have.
    pub(super) fn reclaim<'a>(
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

    /// Whether nothing has to be written.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.block_changes.is_empty()
    }
}

/// What has to be read before a batch can be decided; then it is decided once more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissingState {
    /// Something would be refused on a view of these properties that may be old: read them again.
    pub grids: HashSet<PropertyId>,
    /// Who owns beds of these properties on these nights: read the bookings, all stays of each, and put the nights into
    /// [`super::KnownState::occupied`]. Nights only grow from one round to the next.
    pub occupants: HashMap<PropertyId, Nights>,
    /// Bookings that an earlier delivery of a command had moved.
    pub bookings: HashSet<BookingId>,
}

impl MissingState {
    pub(super) fn is_empty(&self) -> bool {
        self.grids.is_empty() && self.occupants.is_empty() && self.bookings.is_empty()
    }
}
