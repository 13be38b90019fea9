//! Beds that guests of a stay could lie in: which are taken on its nights, and which are ready.

use super::Surroundings;
use chrono::NaiveDate;
use pvt_domain::block::Block;
use pvt_domain::booking::Stay;
use pvt_domain::ids::{BedId, RoomTypeId};
use pvt_domain::inventory::{BedService, BedState, Cleanliness, Room};
use pvt_domain::nights::Nights;
use std::collections::HashSet;

/// A bed for the nights of a stay from today on.
pub(crate) struct BedChoice<'a> {
    pub(crate) room: &'a Room,
    pub(crate) bed: &'a BedId,
    /// Whether something has it on any of these nights.
    pub(crate) is_taken: bool,
    state: BedState,
}

impl BedChoice<'_> {
    /// Whether guests can lie in it now.
    pub(crate) fn is_ready(&self) -> bool {
        !self.is_taken && self.state == BedState::default()
    }

    /// What speaks against it; `free` when nothing does.
    pub(crate) fn notes(&self) -> String {
        let notes = [
            self.is_taken.then_some("taken"),
            (self.state.cleanliness == Cleanliness::Dirty).then_some("to be cleaned"),
            (self.state.service == BedService::OutOfService).then_some("out of service"),
        ];
        let notes: Vec<&str> = notes.into_iter().flatten().collect();
        if notes.is_empty() { "free".to_owned() } else { notes.join(", ") }
    }
}

impl Surroundings {
    /// The beds of a room type for a stay. Those of the stay itself are taken.
    pub(crate) fn beds(&self, stay: &Stay, room_type: &RoomTypeId) -> Vec<BedChoice<'_>> {
        let taken = self.taken(Nights::new(stay.arrival.max(self.today), stay.departure));
        let rooms = self.inventory.rooms.iter().filter(|room| room.room_type_id == *room_type);
        let beds = rooms.flat_map(|room| room.beds.iter().map(move |bed| (room, bed)));
        let choices =
            beds.map(|(room, bed)| BedChoice { room, bed, is_taken: taken.contains(bed), state: room.state_of(bed) });
        choices.collect()
    }

    /// Beds that something has on any of these nights.
    fn taken(&self, nights: Nights) -> HashSet<&BedId> {
        let is_within = |night: NaiveDate| nights.arrival <= night && night < nights.departure;
        let stays = self.occupants.iter().flat_map(|one| one.stays.iter().chain(one.pending_stays()));
        let taken = stays.flat_map(Stay::bed_nights).filter(|(_, night)| is_within(*night)).map(|(bed, _)| bed);
        let meets = |block: &&Block| block.from < nights.departure && nights.arrival < block.until;
        taken.chain(self.blocks.iter().filter(meets).flat_map(|block| &block.bed_ids)).collect()
    }
}
