//! The rooming list: who sleeps in which place.

use super::{Decider, Decision, NoRevision, Revision};
use crate::booking::{Action, Booking, PlaceProgress, Status};
use crate::messages::{NameGuests, RefusalCode};
use crate::values::place_guest::PlaceGuest;
use std::collections::HashMap;
use uuid::Uuid;

impl Decider<'_> {
    /// Replaces the rooming list. Beds, price and fees stay as they are.
    pub(super) fn name_guests(&mut self, command_id: Uuid, name: &NameGuests) -> Result<Decision, NoRevision> {
        let header = &name.header;
        let booking = self.target_in(command_id, header, Status::has_guest)?;
        let places: HashMap<(u32, u32), PlaceProgress> = booking
            .places(self.today(&header.property_id))
            .iter()
            .map(|place| ((place.stay_id, place.position), place.progress))
            .collect();
        let mut rooming_list = name.guests.clone();
        rooming_list.sort_by_key(PlaceGuest::place);
        let is_twice = rooming_list.windows(2).any(|pair| pair[0].place() == pair[1].place());
        if is_twice || rooming_list.iter().any(|guest| !places.contains_key(&guest.place())) {
            return Err(NoRevision::because(RefusalCode::UnknownGuests));
        }
        // The property answers for those who have arrived.
        let settled = |guests: &[PlaceGuest]| -> Vec<PlaceGuest> {
            let is_settled = |guest: &&PlaceGuest| places.get(&guest.place()) != Some(&PlaceProgress::Expected);
            guests.iter().filter(is_settled).cloned().collect()
        };
        if !header.actor.is_staff() && settled(&rooming_list) != settled(&booking.rooming_list) {
            return Err(NoRevision::because(RefusalCode::WrongProgress));
        }
        let status = booking.status;
        let named = Booking { rooming_list, ..booking };
        let revision = Revision::of(Action::Modify, command_id, header);
        Ok(Decision::Decided(Box::new(self.advance_if_changed(named, status, (revision, header)))))
    }
}
