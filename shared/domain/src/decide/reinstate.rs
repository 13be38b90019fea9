//! Reversal of check-ins and no-shows.

use super::place::Wanted;
use super::stay_progress::is_given;
use super::{Decider, Decision, NoRevision, Revision};
use crate::booking::{
    Absence, Action, Booking, HistoryEntry, Rejection, Status, Stay, StayProgress, StayRequest, stay_id,
};
use crate::business_day::business_date;
use crate::ids::BookingId;
use crate::messages::{CommandHeader, RefusalCode, ReinstateBooking};
use crate::nights::Nights;
use crate::pricing::total_of;
use crate::timestamp::Timestamp;
use chrono::NaiveDate;
use std::collections::HashSet;
use uuid::Uuid;

impl Decider<'_> {
    /// Undoes a check-in or a no-show: with a reason, on the same business day, or later by an administrator.
    pub(super) fn reinstate(&mut self, command_id: Uuid, reinstate: &ReinstateBooking) -> Result<Decision, NoRevision> {
        let header = &reinstate.header;
        let mut booking = self.target_of(command_id, header)?;
        if !reinstate.stays.is_empty() {
            return self.reinstate_absent(command_id, header, booking, &reinstate.stays);
        }
        // The latest of them all: repeated, the command finds it undone and goes no further back.
        let Some(last) = last_reversible(&booking) else { return Err(NoRevision::conflict()) };
        let (entered, is_absence) = (last.at, last.action == Action::NoShow);
        let is_over = booking.status == Status::NoShow;
        let in_house = if is_absence { Vec::new() } else { arrived_with(&booking, last) };
        if is_absence && !is_over {
            let absent = booking.no_shows.iter().filter(|absence| absence.at == Some(entered));
            let absent: Vec<u32> = absent.filter_map(|absence| absence.stay.id).collect();
            return self.reinstate_absent(command_id, header, booking, &absent);
        }
        if !is_over && in_house.is_empty() {
            return Err(NoRevision::conflict());
        }
        if !is_given(header.reason.as_deref()) {
            return Err(NoRevision::because(RefusalCode::ReasonMissing));
        }
        if !header.as_admin && !self.is_same_day(&booking, entered) {
            return Err(NoRevision::because(RefusalCode::TooLate));
        }
        let mut revision = Revision::of(Action::Reinstate, command_id, header);
        if is_over {
            if extent(&booking).1.is_none_or(|departure| departure <= self.today(&header.property_id)) {
                return Err(NoRevision::because(RefusalCode::TooLate));
            }
            revision.moved = self.reallocate(&mut booking, 0, command_id)?;
            booking.cancellation_fee = None;
        }
        let status = booking.set_progress(&in_house, StayProgress::Expected);
        Ok(Decision::Decided(Box::new(self.advance(booking, status, revision))))
    }

    /// Brings back the stays of guests who came after all: in the same beds, or in others. They owe their nights again,
    /// and no longer the fee of their absence.
    fn reinstate_absent(
        &mut self,
        command_id: Uuid,
        header: &CommandHeader,
        booking: Booking,
        ids: &[u32],
    ) -> Result<Decision, NoRevision> {
        if ids.is_empty() || !booking.status.is_changeable() {
            return Err(NoRevision::conflict());
        }
        let is_meant = |absence: &Absence| absence.stay.id.is_some_and(|id| ids.contains(&id));
        let (absent, left): (Vec<Absence>, Vec<Absence>) = booking.no_shows.iter().cloned().partition(is_meant);
        if absent.len() != ids.len() {
            return Err(NoRevision::because(RefusalCode::UnknownStay));
        }
        if !is_given(header.reason.as_deref()) {
            return Err(NoRevision::because(RefusalCode::ReasonMissing));
        }
        let today = self.today(&header.property_id);
        let is_too_late = |absence: &Absence| {
            let is_recent = header.as_admin || absence.at.is_some_and(|at| self.is_same_day(&booking, at));
            // Absences that were entered by earlier versions do not say what their nights cost.
            let has_price = booking.price.is_none() || !absence.nights.is_empty();
            !is_recent || !has_price || absence.stay.departure <= today
        };
        if absent.iter().any(is_too_late) {
            return Err(NoRevision::because(RefusalCode::TooLate));
        }
        let mark = self.journal.mark();
        let returned = self.with_returned(booking, absent, left, command_id);
        let (restored, moved) = returned.inspect_err(|_| self.journal.undo_to(mark))?;
        let status = restored.status;
        let revision = Revision { moved, ..Revision::of(Action::Reinstate, command_id, header) };
        Ok(Decision::Decided(Box::new(self.advance(restored, status, revision))))
    }

    /// The booking with these stays again and the others `left` absent, and the bookings that made room.
    fn with_returned(
        &mut self,
        booking: Booking,
        absent: Vec<Absence>,
        left: Vec<Absence>,
        command_id: Uuid,
    ) -> Result<(Booking, Vec<BookingId>), NoRevision> {
        let mut restored = booking.clone();
        self.release_pending_change(&mut restored);
        restored.no_shows = left;
        let returning = absent.iter().map(|absence| absence.stay.clone());
        restored.stays.extend(returning.map(|stay| Stay { progress: Some(StayProgress::Expected), ..stay }));
        let moved = self.reallocate(&mut restored, booking.stays.len(), command_id)?;
        if let Some(price) = &booking.price {
            let requests: Vec<StayRequest> = restored.stays.iter().map(Stay::as_request).collect();
            let nights = price.nights.iter().chain(absent.iter().map(|absence| &absence.nights)).cloned().collect();
            let priced = self
                .grid(&booking.property_id)
                .and_then(|grid| total_of(grid.inventory(), &requests, nights, price.unused_nights));
            let Some(priced) = priced else {
                return Err(self.not_sellable(&booking.property_id, Rejection::Closed).into());
            };
            restored.payment.change_fees = booking.payment.change_fees.without(&absent);
            restored.price = Some(priced);
        }
        restored.set_progress(&[], StayProgress::Expected);
        Ok((restored, moved))
    }

    fn is_same_day(&self, booking: &Booking, at: Timestamp) -> bool {
        self.grid(&booking.property_id)
            .is_some_and(|grid| business_date(&grid.inventory().property, at) == self.today(&booking.property_id))
    }

    /// Claims beds for the stays from index `first` on again, the same ones where they are still free: from tonight on,
    /// because others may have slept in them since, and nobody of these did.
    pub(super) fn reallocate(
        &mut self,
        booking: &mut Booking,
        first: usize,
        command_id: Uuid,
    ) -> Result<Vec<BookingId>, NoRevision> {
        let property = booking.property_id.clone();
        let today = self.today(&property);
        let Some(grid) = self.grid(&property) else {
            return Err(self.not_sellable(&property, Rejection::Closed).into());
        };
        let ahead = |stay: &Stay| Nights::new(stay.arrival.max(today), stay.departure);
        let wanted: Vec<(usize, Wanted)> = booking
            .stays
            .iter()
            .enumerate()
            .skip(first)
            .filter(|(_, stay)| ahead(stay).count() >= 1)
            .map(|(index, stay)| {
                let nights = ahead(stay);
                let requested =
                    StayRequest { arrival: nights.arrival, departure: nights.departure, ..stay.as_request() };
                (
                    index,
                    Wanted {
                        requested,
                        present: stay.assigned_beds.iter().filter_map(|bed| grid.bed_number(bed)).collect(),
                        exact: false,
                    },
                )
            })
            .collect();
        let (places, wanted): (Vec<usize>, Vec<Wanted>) = wanted.into_iter().unzip();
        let placement = self.place_or_name(&property, booking.id, &wanted)?;
        for stay in booking.stays.iter_mut().skip(first) {
            stay.leave_beds_until(today);
        }
        for ((index, numbers), one) in places.into_iter().zip(&placement.beds).zip(&wanted) {
            let beds = self.bed_ids(&property, numbers);
            if let Some(stay) = booking.stays.get_mut(index) {
                stay.locked &= stay.assigned_beds == beds;
                stay.move_to(beds, one.requested.arrival);
            }
        }
        Ok(self.reassign_others(&property, placement.moves, command_id))
    }
}

/// The latest check-in or no-show.
fn last_reversible(booking: &Booking) -> Option<&HistoryEntry> {
    booking.history.iter().rfind(|entry| matches!(entry.action, Action::CheckIn | Action::NoShow))
}

/// What a reinstatement that names no stays undoes: the latest check-in or no-show, with the ids of its stays. None
/// where no guest of it is left to undo it for.
pub fn undone_by_reinstatement(booking: &Booking) -> Option<(&HistoryEntry, Vec<u32>)> {
    let last = last_reversible(booking)?;
    let id = |index: usize| stay_id(&booking.stays, index);
    let ids: Vec<u32> = match (last.action, booking.status) {
        (_, Status::NoShow) => (0..booking.stays.len()).map(id).collect(),
        (Action::NoShow, _) => {
            let absent = booking.no_shows.iter().filter(|absence| absence.at == Some(last.at));
            absent.filter_map(|absence| absence.stay.id).collect()
        }
        _ => arrived_with(booking, last).into_iter().map(id).collect(),
    };
    (!ids.is_empty()).then_some((last, ids))
}

/// First arrival and last departure.
fn extent(booking: &Booking) -> (Option<NaiveDate>, Option<NaiveDate>) {
    (booking.stays.iter().map(|stay| stay.arrival).min(), booking.stays.iter().map(|stay| stay.departure).max())
}

/// The stays in house whose guests checked in with this entry, by their indexes. Stays that were added since are of
/// guests who were in house already: they count where all of these came with this entry.
fn arrived_with(booking: &Booking, entry: &HistoryEntry) -> Vec<usize> {
    let in_house = |status: Status, stays: &[Stay]| -> HashSet<u32> {
        let is_in_house = |index: &usize| stays[*index].progress_in(status) == StayProgress::CheckedIn;
        (0..stays.len()).filter(is_in_house).map(|index| stay_id(stays, index)).collect()
    };
    let (before, after) = (booking.state_at(entry.rev - 1).stays, booking.state_at(entry.rev).stays);
    let known: HashSet<u32> = (0..after.len()).map(|index| stay_id(&after, index)).collect();
    let (were, are) = (in_house(entry.from, &before), in_house(entry.to, &after));
    let came_together = were.is_empty();
    let now = in_house(booking.status, &booking.stays);
    let came = |id: u32| if known.contains(&id) { are.contains(&id) && !were.contains(&id) } else { came_together };
    let indexes = 0..booking.stays.len();
    indexes
        .map(|index| (index, stay_id(&booking.stays, index)))
        .filter(|(_, id)| now.contains(id) && came(*id))
        .map(|(index, _)| index)
        .collect()
}
