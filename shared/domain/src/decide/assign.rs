//! Bed assignments by staff.

use super::checked_in::ChangedStay;
use super::{Decider, Decision, NoRevision, Revision};
use crate::booking::{Action, Booking, Status, StayRequest};
use crate::ids::{BedId, BookingId, PropertyId};
use crate::inventory::RoomKind;
use crate::messages::{AssignBeds, Assignment, CommandHeader, RefusalCode, RefusalDetail};
use crate::nights::Nights;
use chrono::NaiveDate;
use std::collections::{BTreeSet, HashSet};
use uuid::Uuid;

impl Decider<'_> {
    pub(super) fn assign(&mut self, command_id: Uuid, assign: &AssignBeds) -> Result<Decision, NoRevision> {
        let header = &assign.header;
        let booking = self.changeable(command_id, header)?;
        let mut named = HashSet::new();
        let mut assignments = Vec::with_capacity(assign.assignments.len());
        for one in &assign.assignments {
            let index = booking.named_stay(one.stay, one.id).filter(|index| named.insert(*index));
            assignments.push((index.ok_or_else(|| NoRevision::because(RefusalCode::UnknownStay))?, one));
        }
        let mark = self.journal.mark();
        let mut booking = booking;
        // It was made for the beds of before.
        if assignments.iter().any(|(index, one)| names_other_beds(&booking, *index, one)) {
            self.release_pending_change(&mut booking);
        }
        let reassigned = self.reassign(&booking, header, &assignments).and_then(|changed| {
            let stays: Vec<ChangedStay<'_>> = changed
                .stays
                .iter()
                .zip(&booking.stays)
                .enumerate()
                .map(|(index, (after, before))| {
                    let named = assignments.iter().any(|(stay, one)| *stay == index && one.beds.is_some());
                    ChangedStay { after, before: Some(before), named }
                })
                .collect();
            let bed_moves = self.bed_moves(&booking, &stays)?;
            Ok((changed, bed_moves))
        });
        let (changed, bed_moves) = reassigned.inspect_err(|_| self.journal.undo_to(mark))?;
        let revision = Revision { bed_moves, ..Revision::of(Action::Assign, command_id, header) };
        Ok(Decision::Decided(Box::new(self.advance_if_changed(changed, booking.status, (revision, header)))))
    }

    /// All changing beds are released before any is claimed, so that guests may swap beds. Those of checked-in guests
    /// change from tonight on, or from the night that is named.
    fn reassign(
        &mut self,
        booking: &Booking,
        header: &CommandHeader,
        assignments: &[(usize, &Assignment)],
    ) -> Result<Booking, NoRevision> {
        let in_house = booking.status == Status::CheckedIn;
        let from = if in_house { self.today(&header.property_id) } else { NaiveDate::MIN };
        let mut changed = booking.clone();
        let mut claimed = Vec::new();
        for (index, one) in assignments {
            let Some(stay) = changed.stays.get_mut(*index) else { continue };
            stay.locked = one.locked.unwrap_or(stay.locked);
            if let Some(pending) = &mut changed.pending_change {
                pending.lock_as(stay);
            }
            let earliest = stay.arrival.max(from);
            let begin = one.from.unwrap_or(earliest);
            let Some(beds) = &one.beds else { continue };
            if begin < earliest || stay.departure <= begin || (begin > earliest && !in_house) {
                return Err(NoRevision::because(RefusalCode::InvalidDates));
            }
            self.release_beds(&header.property_id, std::slice::from_ref(stay), begin);
            claimed.push((*index, Nights::new(begin, stay.departure), beds));
        }
        for (index, ahead, beds) in claimed {
            let Some(stay) = changed.stays.get_mut(index) else { continue };
            self.assign_beds(header, &stay.as_request(), ahead, beds)?;
            stay.move_to(beds.clone(), ahead.arrival);
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
        let in_the_way = |booking: &Booking| {
            let claimed = |(bed, night)| nights.arrival <= night && night < nights.departure && beds.contains(bed);
            Some(booking.id) != own && booking.claims().any(claimed)
        };
        match self.bookings_on(property, nights, in_the_way) {
            Ok(bookings) => NoRevision::with(RefusalDetail::of(RefusalCode::BedTaken).naming(bookings)),
            Err(unread) => unread,
        }
    }
}

/// Whether the assignment names beds that its stay does not have.
fn names_other_beds(booking: &Booking, index: usize, one: &Assignment) -> bool {
    let Some(stay) = booking.stays.get(index) else { return false };
    one.beds.as_ref().is_some_and(|beds| *beds != stay.assigned_beds)
}
