//! The event of a property whose inventory, rates or blocks changed.

use crate::block::{Block, BlockEntry, BlockKind, BlockStatus};
use crate::ids::{BedId, BlockId, PropertyId, inventory_event_id, uuid_text};
use crate::timestamp::Timestamp;
use crate::wire::{DecodeError, MessageType, decode_body, message_family};
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

message_family! {
    Event InventoryChanged {
        /// The inventory, rates or blocks of a property changed; `what` tells which.
        INVENTORY_CHANGED = "inventory.changed.v1";
    }
}

/// A change of what a property sells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum InventoryChange {
    /// Property, room types, rooms, beds, plans or policies: the inventory must be read again.
    Inventory {
        /// Its new revision.
        rev: u64,
    },
    /// Prices or restrictions of some dates.
    Rates,
    /// Beds were blocked.
    Blocked {
        /// Block.
        block_id: BlockId,
        /// Kind.
        kind: BlockKind,
        /// Beds.
        bed_ids: Vec<BedId>,
        /// First night.
        from: NaiveDate,
        /// First night that is for sale again.
        until: NaiveDate,
    },
    /// A block was lifted.
    Unblocked {
        /// Block.
        block_id: BlockId,
        /// Kind.
        kind: BlockKind,
        /// Beds.
        bed_ids: Vec<BedId>,
        /// First night.
        from: NaiveDate,
        /// First night that was never blocked.
        until: NaiveDate,
    },
}

/// A change of what a property sells. Carries no prices; consumers read them from the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InventoryChanged {
    /// Also the message id.
    #[serde(with = "uuid_text")]
    #[schemars(with = "Uuid")]
    pub event_id: Uuid,
    /// Property.
    pub property_id: PropertyId,
    /// The change.
    #[serde(flatten)]
    pub change: InventoryChange,
    /// Time.
    pub occurred_at: Timestamp,
}

impl InventoryChanged {
    /// The event that announces `entry`: the same whenever it is derived from the stored block.
    pub fn of(block: &Block, entry: &BlockEntry) -> Self {
        let (block_id, kind, bed_ids, from, until) =
            (block.id, block.kind, block.bed_ids.clone(), block.from, block.until);
        let change = match entry.to {
            BlockStatus::Active => InventoryChange::Blocked { block_id, kind, bed_ids, from, until },
            BlockStatus::Lifted => InventoryChange::Unblocked { block_id, kind, bed_ids, from, until },
        };
        Self { event_id: entry.event_id, property_id: block.property_id.clone(), change, occurred_at: entry.at }
    }

    /// The event that announces revision `rev` of a property; `rates` when only prices or restrictions changed.
    pub fn of_property(property_id: PropertyId, rev: u64, rates: bool, occurred_at: Timestamp) -> Self {
        let change = if rates { InventoryChange::Rates } else { InventoryChange::Inventory { rev } };
        Self { event_id: inventory_event_id(&property_id, rev), property_id, change, occurred_at }
    }

    /// Decodes the event.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode(kind: &str, body: &[u8]) -> Result<Self, DecodeError> {
        if Self::KINDS.contains(&kind) { decode_body(body) } else { Err(DecodeError::unknown(kind, Self::KINDS)) }
    }
}

impl MessageType for InventoryChanged {
    fn kind(&self) -> &'static str {
        INVENTORY_CHANGED
    }
}
