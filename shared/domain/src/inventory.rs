//! The inventory of a property: room types, rooms with their beds, rate plans and cancellation policies.

pub mod check;

pub use crate::values::names::Names;
pub use crate::values::property::{DEFAULT_CUTOFF, DEFAULT_HOLD_MINUTES, HOLD_MINUTES, Property};
pub use crate::values::rate_plan::RatePlan;
pub use crate::values::room::{BedService, BedState, Cleanliness, DormGender, Room, RoomKind, RoomType};
pub use crate::values::tax::{ExemptionReason, TaxAmount, TaxRule};

use crate::ids::{BedId, RatePlanId, RoomTypeId};
use crate::values::policy::CancellationPolicy;
use serde::{Deserialize, Serialize};

/// Inventory of one property: everything that a decision needs besides occupancy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// Property.
    pub property: Property,
    /// Room types.
    pub room_types: Vec<RoomType>,
    /// Rooms.
    pub rooms: Vec<Room>,
    /// Rate plans.
    pub rate_plans: Vec<RatePlan>,
    /// Cancellation policies of the plans.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cancellation_policies: Vec<CancellationPolicy>,
    /// Revision, by which caches and grids detect that they are outdated.
    #[serde(default)]
    pub rev: u64,
}

impl Inventory {
    /// The room type of this id.
    pub fn room_type(&self, id: &RoomTypeId) -> Option<&RoomType> {
        self.room_types.iter().find(|room_type| room_type.id == *id)
    }

    /// The rate plan of this id.
    pub fn rate_plan(&self, id: &RatePlanId) -> Option<&RatePlan> {
        self.rate_plans.iter().find(|plan| plan.id == *id)
    }

    /// Rooms sold as this type.
    pub fn rooms_of<'a>(&'a self, id: &'a RoomTypeId) -> impl Iterator<Item = &'a Room> {
        self.rooms.iter().filter(move |room| room.room_type_id == *id)
    }

    /// The cancellation policy of this plan.
    pub fn cancellation_policy(&self, plan: &RatePlan) -> CancellationPolicy {
        let named = plan.cancellation_policy_id.as_ref();
        let found = named.and_then(|id| self.cancellation_policies.iter().find(|policy| policy.id == *id));
        found.cloned().unwrap_or_else(CancellationPolicy::standard)
    }

    /// The room of this bed.
    pub fn room_of(&self, bed: &BedId) -> Option<&Room> {
        self.rooms.iter().find(|room| room.beds.contains(bed))
    }

    /// Whether this bed is clean, as housekeeping has it.
    pub fn cleanliness_of(&self, bed: &BedId) -> Option<Cleanliness> {
        self.room_of(bed).map(|room| room.state_of(bed).cleanliness)
    }

    /// The most guests one stay in this type can have: the largest private room, or all active beds of a dorm type.
    pub fn capacity(&self, room_type: &RoomType) -> usize {
        let beds = self.rooms_of(&room_type.id).map(|room| room.active_beds().count());
        match room_type.kind {
            RoomKind::Private => beds.max().unwrap_or(0),
            RoomKind::Dorm => beds.sum(),
        }
    }
}
