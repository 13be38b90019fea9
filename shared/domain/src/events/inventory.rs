//! The event of a hostel that can sell something else than before.

use crate::block::{Block, BlockEntry, BlockKind, BlockStatus};
use crate::ids::{BedId, BlockId, PropertyId, inventory_event_id, uuid_text};
use crate::messages::{DecodeError, MessageType, decode_body};
use crate::timestamp::Timestamp;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Wire name of the event of a changed house.
pub const INVENTORY_CHANGED: &str = "inventory.changed.v1";

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum InventoryChange {
    /// Property, room types, rooms, beds, plans or policies: read the property again.
    Inventory {
        /// Its revision since.
        rev: u64,
    },
    /// Prices or restrictions of some dates.
    Rates,
    /// Beds are not for sale on some nights.
    Blocked {
        /// By which block.
        block_id: BlockId,
        /// Why.
        kind: BlockKind,
        /// Which beds.
        bed_ids: Vec<BedId>,
        /// First night.
        from: NaiveDate,
        /// First night that is for sale again.
        until: NaiveDate,
    },
    /// They are for sale again.
    Unblocked {
        /// By which block they were kept.
        block_id: BlockId,
        /// Why they were.
        kind: BlockKind,
        /// Which beds.
        bed_ids: Vec<BedId>,
        /// First night.
        from: NaiveDate,
        /// First night that was for sale all along.
        until: NaiveDate,
    },
}

/// What a hostel can sell changed. Carries no prices: whoever needs them reads them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryChanged {
    /// Also the message id.
    #[serde(with = "uuid_text")]
    pub event_id: Uuid,
    /// The hostel.
    pub property_id: PropertyId,
    /// What changed.
    #[serde(flatten)]
    pub change: InventoryChange,
    /// When.
    pub occurred_at: Timestamp,
}

impl InventoryChanged {
    /// The event that announces `entry`, the same whenever it is made again from the stored block.
    pub fn of(block: &Block, entry: &BlockEntry) -> Self {
        let (block_id, kind, bed_ids, from, until) =
            (block.id, block.kind, block.bed_ids.clone(), block.from, block.until);
        let change = match entry.to {
            BlockStatus::Active => InventoryChange::Blocked { block_id, kind, bed_ids, from, until },
            BlockStatus::Lifted => InventoryChange::Unblocked { block_id, kind, bed_ids, from, until },
        };
        Self { event_id: entry.event_id, property_id: block.property_id.clone(), change, occurred_at: entry.at }
    }

    /// The event that announces revision `rev` of a house; `rates` when only prices or restrictions changed.
    pub fn of_property(property_id: PropertyId, rev: u64, rates: bool, occurred_at: Timestamp) -> Self {
        let change = if rates { InventoryChange::Rates } else { InventoryChange::Inventory { rev } };
        Self { event_id: inventory_event_id(&property_id, rev), property_id, change, occurred_at }
    }

    /// Decodes the event.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode(kind: &str, body: &[u8]) -> Result<Self, DecodeError> {
        if kind == INVENTORY_CHANGED {
            decode_body(body)
        } else {
            Err(DecodeError::unknown(kind, &[INVENTORY_CHANGED]))
        }
    }
}

impl MessageType for InventoryChanged {
    fn kind(&self) -> &'static str {
        INVENTORY_CHANGED
    }
}
