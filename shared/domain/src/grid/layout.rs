//! Beds by number, and the room type that each is sold as.

use crate::ids::{BedId, RoomTypeId};
use crate::inventory::{Inventory, RoomKind};
use std::collections::HashMap;

/// The beds of one room type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomTypeLayout {
    /// By the room or by the bed.
    pub kind: RoomKind,
    /// Its rooms, each with the numbers of its active beds; rooms without any are left out.
    pub rooms: Vec<Vec<usize>>,
}

impl RoomTypeLayout {
    /// Units of allocation: a whole private room, or one bed of a dorm.
    pub fn units(&self) -> Vec<Vec<usize>> {
        match self.kind {
            RoomKind::Private => self.rooms.clone(),
            RoomKind::Dorm => self.rooms.iter().flatten().map(|bed| vec![*bed]).collect(),
        }
    }

    /// How many units have only beds for which `is_free` holds.
    pub fn count_units(&self, is_free: impl Fn(usize) -> bool) -> usize {
        match self.kind {
            RoomKind::Private => self.rooms.iter().filter(|room| room.iter().all(|bed| is_free(*bed))).count(),
            RoomKind::Dorm => self.rooms.iter().flatten().filter(|bed| is_free(**bed)).count(),
        }
    }

    /// The most guests of one stay.
    pub fn capacity(&self) -> usize {
        let beds = self.rooms.iter().map(Vec::len);
        match self.kind {
            RoomKind::Private => beds.max().unwrap_or(0),
            RoomKind::Dorm => beds.sum(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Layout {
    beds: Vec<BedId>,
    index: HashMap<BedId, usize>,
    types: HashMap<RoomTypeId, RoomTypeLayout>,
}

impl Layout {
    pub(super) fn of(inventory: &Inventory) -> Self {
        let beds: Vec<BedId> = inventory.rooms.iter().flat_map(|room| room.beds.iter().cloned()).collect();
        let index: HashMap<BedId, usize> =
            beds.iter().cloned().enumerate().map(|(number, bed)| (bed, number)).collect();
        let types = inventory.room_types.iter().map(|room_type| {
            let rooms = inventory
                .rooms_of(&room_type.id)
                .map(|room| room.active_beds().filter_map(|bed| index.get(bed).copied()).collect::<Vec<_>>());
            (
                room_type.id.clone(),
                RoomTypeLayout { kind: room_type.kind, rooms: rooms.filter(|beds| !beds.is_empty()).collect() },
            )
        });
        Self { types: types.collect(), beds, index }
    }

    pub(super) fn bed_count(&self) -> usize {
        self.beds.len()
    }

    pub(super) fn bed_id(&self, number: usize) -> &BedId {
        &self.beds[number]
    }

    pub(super) fn bed_number(&self, bed: &BedId) -> Option<usize> {
        self.index.get(bed).copied()
    }

    pub(super) fn of_type(&self, room_type: &RoomTypeId) -> Option<&RoomTypeLayout> {
        self.types.get(room_type)
    }
}
