//! Blocks: beds that are not for sale on some nights.
//!
//! A block claims its beds like a booking, through the same queue and under the same index, so it can never overlap
//! one.

use crate::actor::Actor;
use crate::ids::{BedId, BlockId, PropertyId, uuid_text};
use crate::nights::Nights;
use crate::timestamp::Timestamp;
use crate::wire_enum;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Most beds of one block.
pub const MAX_BLOCK_BEDS: usize = 100;
/// Most bed-nights of one block: its claims must fit a transaction.
pub const MAX_BLOCK_BED_NIGHTS: usize = 5_000;

wire_enum! {
    /// Kind of a block.
    #[derive(Hash)]
    pub enum BlockKind {
        /// Out of order: cannot be slept in. Such nights do not count as available in occupancy.
        OutOfOrder = "out_of_order",
        /// Under maintenance.
        Maintenance = "maintenance",
        /// Used by the property: staff, volunteers, storage.
        InternalUse = "internal_use",
        /// Sold through a channel outside this system.
        Channel = "channel",
    }
}

wire_enum! {
    /// Status of a block.
    pub enum BlockStatus {
        /// Its beds are claimed.
        Active = "active",
        /// Its beds are for sale again; kept as a record.
        Lifted = "lifted",
    }
}

/// One revision of a block. It names the command and the event, so that a redelivery is recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockEntry {
    /// Revision that this entry made, counting from 1.
    pub rev: u32,
    /// Time of the decision.
    pub at: Timestamp,
    /// Status after.
    pub to: BlockStatus,
    /// The command's message id.
    #[serde(with = "uuid_text")]
    pub command_id: Uuid,
    /// The event's message id.
    #[serde(with = "uuid_text")]
    pub event_id: Uuid,
    /// Who requested it.
    pub actor: Actor,
    /// Reason, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A block, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Its id.
    #[serde(rename = "_id")]
    pub id: BlockId,
    /// Property.
    pub property_id: PropertyId,
    /// Revision: the number of history entries.
    pub rev: u32,
    /// Status.
    pub status: BlockStatus,
    /// Kind.
    pub kind: BlockKind,
    /// Beds.
    pub bed_ids: Vec<BedId>,
    /// First night.
    pub from: NaiveDate,
    /// First night that is for sale again.
    pub until: NaiveDate,
    /// Time of the request.
    pub created_at: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
    /// Every revision, oldest first.
    pub history: Vec<BlockEntry>,
}

impl Block {
    /// Its nights.
    pub fn nights(&self) -> Nights {
        Nights::new(self.from, self.until)
    }

    /// The entry that this command made, if it was applied before.
    pub fn entry_of(&self, command_id: Uuid) -> Option<&BlockEntry> {
        self.history.iter().find(|entry| entry.command_id == command_id)
    }

    /// The bed-nights that this block must claim, from its beds and status alone.
    pub fn claims(&self) -> impl Iterator<Item = (&BedId, NaiveDate)> {
        let beds = if self.status == BlockStatus::Active { self.bed_ids.as_slice() } else { &[] };
        beds.iter().flat_map(|bed| self.nights().iter().map(move |night| (bed, night)))
    }
}
