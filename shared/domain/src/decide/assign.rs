//! Deciding which beds a stay gets when staff choose them.

use super::{Decider, Revision, Stop, Verdict};
use crate::booking::{Action, Booking, Status, Stay, StayRequest};
use crate::ids::{BedId, BookingId, PropertyId};
use crate::inventory::RoomKind;
use crate::messages::{AssignBeds, Order, RefusalCode, ReplyOutcome, Why};
use crate::nights::Nights;
use chrono::NaiveDate;
use std::collections::{BTreeSet, HashSet};
use uuid::Uuid;

impl Decider<'_> {
    pub(super) fn assign(&mut self, command_id: Uuid, assign: &AssignBeds) -> Result<Verdict, Stop> {
        let order = &assign.order;
        let booking = self.changeable(command_id, order)?;
        let mut named = HashSet::new();
        if assign.assignments.iter().any(|one| one.stay >= booking.stays.len() || !named.insert(one.stay)) {
            return Err(Stop::because(RefusalCode::UnknownStay));
        }
        let mark = self.journal.mark();
        match self.reassign(&booking, assign) {
            Ok(changed) => {
                let status = booking.status;
                Ok(Verdict::Decided(Box::new(self.advance(
                    changed,
                    status,
                    Revision::of(Action::Assign, command_id, order),
                ))))
            }
            Err(stop) => {
                self.journal.undo_to(mark);
                Err(stop)
            }
        }
    }

    /// First everybody leaves the beds that change, then everybody takes the new ones: guests may change places.
    fn reassign(&mut self, booking: &Booking, assign: &AssignBeds) -> Result<Booking, Stop> {
        let order = &assign.order;
        let from = if booking.status == Status::CheckedIn { self.today(&order.property_id) } else { NaiveDate::MIN };
        let mut changed = booking.clone();
        let leaving = assign.assignments.iter().filter(|one| one.beds.is_some());
        let leaving: Vec<Stay> = leaving.filter_map(|one| booking.stays.get(one.stay).cloned()).collect();
        self.vacate(&order.property_id, &leaving, from);
        for one in &assign.assignments {
            let Some(stay) = changed.stays.get_mut(one.stay) else { continue };
            let ahead = Nights::new(stay.arrival.max(from), stay.departure);
            if let Some(beds) = &one.beds {
                if ahead.count() < 1 {
                    return Err(Stop::because(RefusalCode::InvalidDates));
                }
                self.seat_in(order, &stay.as_request(), ahead, beds)?;
                stay.move_to(beds.clone(), ahead.arrival);
            }
            stay.locked = one.locked.unwrap_or(stay.locked);
        }
        Ok(changed)
    }

    /// Takes exactly these beds for a stay on the nights `ahead`; they must be free, of the stay's type, and as many as
    /// it needs.
    pub(super) fn seat_in(
        &mut self,
        order: &Order,
        stay: &StayRequest,
        ahead: Nights,
        beds: &[BedId],
    ) -> Result<(), Stop> {
        let property = &order.property_id;
        self.journal.adopt(property, self.known.views.get(property));
        let Some(view) = self.view(property) else { return Err(self.refuse_order(order, RefusalCode::Closed)) };
        let Some(span) = view.span(ahead) else { return Err(self.refuse_order(order, RefusalCode::InvalidDates)) };
        let numbers: BTreeSet<usize> = beds.iter().filter_map(|bed| view.bed_number(bed)).collect();
        let guests = usize::try_from(stay.guests).unwrap_or(usize::MAX);
        let fit = numbers.len() == beds.len()
            && view.beds_of(&stay.room_type_id).is_some_and(|layout| match layout.kind {
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
            return Err(self.refuse_order(order, RefusalCode::BedUnfit));
        }
        if !numbers.iter().all(|bed| view.is_free(*bed, &span)) {
            return Err(self.taken(property, order.booking_id.into(), beds, ahead));
        }
        numbers.into_iter().for_each(|bed| self.journal.take(property, bed, &span));
        Ok(())
    }

    /// The refusal that names the bookings in the way. It waits until everybody who owns a bed on these nights is
    /// known.
    pub(super) fn taken(
        &mut self,
        property: &PropertyId,
        own: Option<BookingId>,
        beds: &[BedId],
        nights: Nights,
    ) -> Stop {
        if !self.known.fresh.contains(property) {
            self.missing.views.insert(property.clone());
            return Stop::Unread;
        }
        let known = self.known.occupied.get(property);
        if !known.is_some_and(|known| known.arrival <= nights.arrival && nights.departure <= known.departure) {
            let wider = known.map_or(nights, |known| {
                Nights::new(known.arrival.min(nights.arrival), known.departure.max(nights.departure))
            });
            self.missing.occupants.insert(property.clone(), wider);
            return Stop::Unread;
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
        let why = Why { code: RefusalCode::BedTaken, alternatives: Vec::new(), bookings };
        Stop::Answer(Verdict::Refused(ReplyOutcome::Refused, Some(Box::new(why))))
    }
}
