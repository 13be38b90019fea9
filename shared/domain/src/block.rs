//! Blocks: beds that are not for sale on some nights, and why.
//!
//! A block claims its beds like a booking does, through the same queue and under the same index, so it can never
//! overlap one.

use crate::ids::{BedId, BlockId, PropertyId, uuid_text};
use crate::nights::Nights;
use crate::timestamp::Timestamp;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Most beds of one block.
pub const MAX_BLOCK_BEDS: usize = 100;
/// Most bed-nights of one block: its claims must fit a transaction.
pub const MAX_BLOCK_BED_NIGHTS: usize = 5_000;

/// Why beds are not for sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// Cannot be slept in. Such nights do not count as available in occupancy.
    OutOfOrder,
    /// Being worked on.
    Maintenance,
    /// Used by the house: staff, volunteers, storage.
    InternalUse,
    /// Sold elsewhere, as a channel told.
    Channel,
}

impl BlockKind {
    /// Every kind with its wire name.
    pub const ALL: [(&'static str, Self); 4] = [
        ("out_of_order", Self::OutOfOrder),
        ("maintenance", Self::Maintenance),
        ("internal_use", Self::InternalUse),
        ("channel", Self::Channel),
    ];

    /// The wire name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OutOfOrder => "out_of_order",
            Self::Maintenance => "maintenance",
            Self::InternalUse => "internal_use",
            Self::Channel => "channel",
        }
    }
}

/// What became of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockStatus {
    /// It claims its beds.
    Active,
    /// Its beds are for sale again; kept as a record.
    Lifted,
}

/// One revision of a block. Like a booking's history, it names the command and the event, so that a repetition is
/// recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockEntry {
    /// Revision that this entry made, counting from 1.
    pub rev: u32,
    /// When it was decided.
    pub at: Timestamp,
    /// Status after.
    pub to: BlockStatus,
    /// The command's message id.
    #[serde(with = "uuid_text")]
    pub command_id: Uuid,
    /// The event's message id.
    #[serde(with = "uuid_text")]
    pub event_id: Uuid,
    /// Who asked: `staff:<id>`, `system`.
    pub actor: String,
    /// Why, if somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A block as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Its id.
    #[serde(rename = "_id")]
    pub id: BlockId,
    /// The hostel.
    pub property_id: PropertyId,
    /// Revision: the number of history entries.
    pub rev: u32,
    /// Whether it still claims its beds.
    pub status: BlockStatus,
    /// Why the beds are not for sale.
    pub kind: BlockKind,
    /// The beds.
    pub bed_ids: Vec<BedId>,
    /// First night.
    pub from: NaiveDate,
    /// First night that is for sale again.
    pub until: NaiveDate,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last changed.
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

    /// The beds and nights that this block must own, from its beds and status alone.
    pub fn claims(&self) -> impl Iterator<Item = (&BedId, NaiveDate)> {
        let beds = if self.status == BlockStatus::Active { self.bed_ids.as_slice() } else { &[] };
        beds.iter().flat_map(|bed| self.nights().iter().map(move |night| (bed, night)))
    }
}
