//! Room types, rooms and beds.

use super::names::Names;
use crate::ids::{BedId, RoomId, RoomTypeId};
use crate::wire_enum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

wire_enum! {
    /// Unit in which a room type is sold.
    pub enum RoomKind {
        /// By the bed.
        Dorm = "dorm",
        /// By the room: one stay claims all beds of one room.
        Private = "private",
    }
}

wire_enum! {
    /// Gender that a dorm is reserved for.
    pub enum DormGender {
        /// Any.
        Mixed = "mixed",
        /// Women only.
        Female = "female",
        /// Men only.
        Male = "male",
    }
}

/// A room type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RoomType {
    /// Unique within the property.
    pub id: RoomTypeId,
    /// Display name.
    pub name: String,
    /// The display name by language.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub names: Names,
    /// By the room or by the bed.
    pub kind: RoomKind,
    /// Dorms only; private rooms are `mixed`.
    pub gender: DormGender,
    /// Minimum age of every guest in years; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_age: Option<u8>,
    /// Most guests of one booking in this type; absent when only the beds limit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = u32::MAX))]
    pub max_group: Option<u32>,
}

impl RoomType {
    /// A type without age or group limit.
    pub fn new(id: impl Into<RoomTypeId>, name: impl Into<String>, kind: RoomKind, gender: DormGender) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            names: Names::default(),
            kind,
            gender,
            minimum_age: None,
            max_group: None,
        }
    }
}

wire_enum! {
    /// Service state of a bed.
    #[derive(Default)]
    pub enum BedService {
        /// Sold.
        #[default]
        Active = "active",
        /// Not sold until further notice. Beds that are missing for known nights are blocked instead.
        OutOfService = "out_of_service",
    }
}

wire_enum! {
    /// Housekeeping state of a bed.
    #[derive(Default)]
    pub enum Cleanliness {
        /// Made for the next guest.
        #[default]
        Clean = "clean",
        /// To be cleaned before the next guest.
        Dirty = "dirty",
    }
}

/// State of a bed, as set by staff.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BedState {
    /// Whether it is sold.
    #[serde(default)]
    pub service: BedService,
    /// Whether it is clean.
    #[serde(default)]
    pub cleanliness: Cleanliness,
}

/// A room and its beds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Room {
    /// Unique within the property.
    pub id: RoomId,
    /// The type it is sold as.
    pub room_type_id: RoomTypeId,
    /// Its beds, in the order of their numbers.
    pub beds: Vec<BedId>,
    /// State of those beds that are not both active and clean.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bed_states: BTreeMap<BedId, BedState>,
}

impl Room {
    /// A room whose beds are all active and clean.
    pub fn new(id: impl Into<RoomId>, room_type_id: impl Into<RoomTypeId>, beds: Vec<BedId>) -> Self {
        Self { id: id.into(), room_type_id: room_type_id.into(), beds, bed_states: BTreeMap::new() }
    }

    /// The state of one of its beds.
    pub fn state_of(&self, bed: &BedId) -> BedState {
        self.bed_states.get(bed).copied().unwrap_or_default()
    }

    /// Its beds that are sold.
    pub fn active_beds(&self) -> impl Iterator<Item = &BedId> {
        self.beds.iter().filter(|bed| self.state_of(bed).service == BedService::Active)
    }
}
