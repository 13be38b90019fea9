//! Bed assignments by staff.

use super::{Decider, Decision, NoRevision, Revision};
use crate::booking::{Action, Booking, Status, Stay, StayRequest};
use crate::ids::{BedId, BookingId, PropertyId};
use crate::inventory::RoomKind;
use crate::messages::{AssignBeds, CommandHeader, RefusalCode, RefusalDetail, ReplyOutcome};
use crate::nights::Nights;
use chrono::NaiveDate;
use std::collections::{BTreeSet, HashSet};
use uuid::Uuid;

impl Decider<'_> {
    pub(super) fn assign(&mut self, command_id: Uuid, assign: &AssignBeds) -> Result<Decision, NoRevision> {
        let header = &assign.header;
        let booking = self.changeable(command_id, header)?;
        let mut named = HashSet::new();
        if assign.assignments.iter().any(|one| one.stay >= booking.stays.len() || !named.insert(one.stay)) {
            return Err(NoRevision::because(RefusalCode::UnknownStay));
        }
        let mark = self.journal.mark();
        // It was made for the beds of before.
        let mut booking = booking;
        self.release_pending_change(&mut booking);
        match self.reassign(&booking, assign) {
            Ok(changed) => {
                let status = booking.status;
                Ok(Decision::Decided(Box::new(self.advance(
                    changed,
                    status,
                    Revision::of(Action::Assign, command_id, header),
                ))))
            }
            Err(stop) => {
                self.journal.undo_to(mark);
                Err(stop)
            }
        }
    }

    /// All changing beds are released before any is claimed, so that guests may swap beds.
    fn reassign(&mut self, booking: &Booking, assign: &AssignBeds) -> Result<Booking, NoRevision> {
        let header = &assign.header;
        let from = if booking.status == Status::CheckedIn { self.today(&header.property_id) } else { NaiveDate::MIN };
        let mut changed = booking.clone();
        let leaving = assign.assignments.iter().filter(|one| one.beds.is_some());
        let leaving: Vec<Stay> = leaving.filter_map(|one| booking.stays.get(one.stay).cloned()).collect();
        self.release_beds(&header.property_id, &leaving, from);
        for one in &assign.assignments {
            let Some(stay) = changed.stays.get_mut(one.stay) else { continue };
            let ahead = Nights::new(stay.arrival.max(from), stay.departure);
            if let Some(beds) = &one.beds {
                if ahead.count() < 1 {
                    return Err(NoRevision::because(RefusalCode::InvalidDates));
                }
                self.assign_beds(header, &stay.as_request(), ahead, beds)?;
                stay.move_to(beds.clone(), ahead.arrival);
            }
            stay.locked = one.locked.unwrap_or(stay.locked);
        }
        Ok(changed)
    }

    /// Claims exactly these beds for a stay on the nights `ahead`; they must be free, of the stay's type, and as many
    /// as it needs.
    pub(super) fn assign_beds(
        &mut self,
        header: &CommandHeader,
        stay: &StayRequest,
        ahead: Nights,
        beds: &[BedId],
    ) -> Result<(), NoRevision> {
        let property = &header.property_id;
        self.journal.adopt(property, self.known.grids.get(property));
        let Some(grid) = self.grid(property) else { return Err(self.refuse_command(header, RefusalCode::Closed)) };
        let Some(span) = grid.span(ahead) else { return Err(self.refuse_command(header, RefusalCode::InvalidDates)) };
        let numbers: BTreeSet<usize> = beds.iter().filter_map(|bed| grid.bed_number(bed)).collect();
        let guests = usize::try_from(stay.guests).unwrap_or(usize::MAX);
        let fit = numbers.len() == beds.len()
            && grid.beds_of(&stay.room_type_id).is_some_and(|layout| match layout.kind {
                RoomKind::Private => {
                    numbers.len() >= guests
                        && layout.rooms.iter().any(|room| room.iter().copied().collect::<BTreeSet<_>>() == numbers)
                }
                RoomKind::Dorm => {
                    numbers.len() == guests
                        && numbers.iter().all(|bed| layout.rooms.iter().flatten().any(|own| own == bed))
                }
            });
        if !fit {
            return Err(self.refuse_command(header, RefusalCode::BedUnfit));
        }
        if !numbers.iter().all(|bed| grid.is_free(*bed, &span)) {
            return Err(self.bed_taken(property, header.booking_id.into(), beds, ahead));
        }
        numbers.into_iter().for_each(|bed| self.journal.take(property, bed, &span));
        Ok(())
    }

    /// The refusal that names the conflicting bookings. It waits until every booking on these nights is known.
    pub(super) fn bed_taken(
        &mut self,
        property: &PropertyId,
        own: Option<BookingId>,
        beds: &[BedId],
        nights: Nights,
    ) -> NoRevision {
        if !self.known.fresh.contains(property) {
            self.missing.grids.insert(property.clone());
            return NoRevision::Unread;
        }
        let known = self.known.occupied.get(property);
        if !known.is_some_and(|known| known.arrival <= nights.arrival && nights.departure <= known.departure) {
            let wider = known.map_or(nights, |known| {
                Nights::new(known.arrival.min(nights.arrival), known.departure.max(nights.departure))
            });
            self.missing.occupants.insert(property.clone(), wider);
            return NoRevision::Unread;
        }
        let in_the_way = |booking: &&Booking| {
            Some(booking.id) != own
                && booking.property_id == *property
                && booking
                    .claims()
                    .any(|(bed, night)| nights.arrival <= night && night < nights.departure && beds.contains(bed))
        };
        let stored = self.known.bookings.values().filter(|booking| !self.bookings.contains_key(&booking.id));
        let mut bookings: Vec<BookingId> =
            self.bookings.values().chain(stored).filter(in_the_way).map(|booking| booking.id).collect();
        bookings.sort_unstable();
        let detail = RefusalDetail { code: RefusalCode::BedTaken, alternatives: Vec::new(), bookings };
        NoRevision::Answer(Decision::Refused(ReplyOutcome::Refused, Some(Box::new(detail))))
    }
}
