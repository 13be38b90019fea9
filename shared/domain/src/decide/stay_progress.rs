//! Check-in, check-out, no-show and their reversal, in the property's local time.

use super::place::Wanted;
use super::repricing::{Continued, agreed};
use super::{Decider, Decision, NoRevision, Revision};
use crate::booking::{Action, Booking, Rejection, Status, Stay, StayRequest};
use crate::business_day::business_date;
use crate::ids::{BedId, BookingId};
use crate::inventory::RoomKind;
use crate::messages::{CheckInBooking, CheckOutBooking, MarkNoShow, RefusalCode, ReinstateBooking};
use crate::nights::Nights;
use crate::timestamp::Timestamp;
use chrono::{Days, NaiveDate};
use uuid::Uuid;

impl Decider<'_> {
    /// Checks in from the day of arrival, into assigned and clean beds.
    pub(super) fn check_in(&mut self, command_id: Uuid, check_in: &CheckInBooking) -> Result<Decision, NoRevision> {
        let header = &check_in.header;
        let mut booking = self.target_of(command_id, header)?;
        if booking.status != Status::Confirmed {
            return Err(NoRevision::conflict());
        }
        let (date, today) = (self.local_date(&header.property_id, self.now), self.today(&header.property_id));
        let (arrival, departure) = extent(&booking);
        if arrival.is_some_and(|arrival| date < arrival) {
            return Err(NoRevision::because(RefusalCode::TooEarly));
        }
        if departure.is_some_and(|departure| today >= departure) {
            return Err(NoRevision::because(RefusalCode::TooLate));
        }
        self.check_beds(&booking, date, today)?;
        // The guests move in to what is paid for.
        self.release_pending_change(&mut booking);
        Ok(Decision::Decided(Box::new(self.advance(
            booking,
            Status::CheckedIn,
            Revision::of(Action::CheckIn, command_id, header),
        ))))
    }

    /// Checks that every stay of this day has as many beds as it needs, and that they are ready.
    fn check_beds(&mut self, booking: &Booking, date: NaiveDate, today: NaiveDate) -> Result<(), NoRevision> {
        let property = &booking.property_id;
        let Some(grid) = self.grid(property) else { return Ok(()) };
        let inventory = grid.inventory();
        let mut beds: Vec<BedId> = Vec::new();
        for stay in booking.stays.iter().filter(|stay| stay.arrival <= date && date <= stay.departure) {
            let by_the_bed =
                inventory.room_type(&stay.room_type_id).is_none_or(|room_type| room_type.kind == RoomKind::Dorm);
            let wanted = if by_the_bed { usize::try_from(stay.guests).unwrap_or(usize::MAX) } else { 1 };
            let tonight = stay.beds_on(today.max(stay.arrival));
            if tonight.len() < wanted {
                return Err(self.refuse(property, NoRevision::because(RefusalCode::BedsMissing), NoRevision::Unread));
            }
            beds.extend(tonight.iter().cloned());
        }
        self.check_ready(property, booking.id, &beds, today)
    }

    /// Ends the stays today and releases unused nights. An open balance needs permission and a note.
    pub(super) fn check_out(&mut self, command_id: Uuid, check_out: &CheckOutBooking) -> Result<Decision, NoRevision> {
        let header = &check_out.header;
        let booking = self.target_of(command_id, header)?;
        if booking.status != Status::CheckedIn {
            return Err(NoRevision::conflict());
        }
        let today = self.today(&header.property_id);
        let mut left = booking.clone();
        let shortened: Vec<(usize, Stay)> =
            booking.stays.iter().enumerate().filter_map(|(index, stay)| Some((index, ended(stay, today)?))).collect();
        left.stays = shortened.iter().map(|(_, stay)| stay.clone()).collect();
        if left.stays.is_empty() {
            return Err(NoRevision::because(RefusalCode::TooEarly));
        }
        left.price = if check_out.reprice && left.stays != booking.stays {
            let stays: Vec<Continued> = shortened
                .iter()
                .map(|(index, stay)| Continued { requested: stay.as_request(), before: Some(*index) })
                .collect();
            Some(self.reprice(&booking, &booking.rate_plan_id, &stays, today)?)
        } else {
            agreed(&booking, &left.stays)
        };
        if left.balance() > 0 {
            if !check_out.allow_open_balance {
                return Err(NoRevision::because(RefusalCode::BalanceOpen));
            }
            if !is_given(header.reason.as_deref()) {
                return Err(NoRevision::because(RefusalCode::ReasonMissing));
            }
        }
        for (index, stay) in booking.stays.iter().enumerate() {
            let until =
                shortened.iter().find(|(kept, _)| *kept == index).map_or(stay.arrival, |(_, kept)| kept.departure);
            self.release_beds(&header.property_id, std::slice::from_ref(stay), until);
        }
        Ok(Decision::Decided(Box::new(self.advance(
            left,
            Status::CheckedOut,
            Revision::of(Action::CheckOut, command_id, header),
        ))))
    }

    /// Marks a no-show after the business day of arrival. The beds are released; the fee is that of a cancellation now.
    pub(super) fn no_show(&mut self, command_id: Uuid, no_show: &MarkNoShow) -> Result<Decision, NoRevision> {
        let header = &no_show.header;
        let mut booking = self.target_of(command_id, header)?;
        if booking.status != Status::Confirmed {
            return Err(NoRevision::conflict());
        }
        if extent(&booking).0.is_none_or(|arrival| self.today(&header.property_id) <= arrival) {
            return Err(NoRevision::because(RefusalCode::TooEarly));
        }
        let fee = self
            .grid(&header.property_id)
            .map(|grid| booking.cancellation_fee_at(&grid.inventory().property, self.now));
        booking.cancellation_fee = Some(fee.unwrap_or(0));
        self.release_all_beds(&mut booking);
        Ok(Decision::Decided(Box::new(self.advance(
            booking,
            Status::NoShow,
            Revision::of(Action::NoShow, command_id, header),
        ))))
    }

    /// Undoes a check-in or a no-show: with a reason, on the same business day, or later by an administrator.
    pub(super) fn reinstate(&mut self, command_id: Uuid, reinstate: &ReinstateBooking) -> Result<Decision, NoRevision> {
        let header = &reinstate.header;
        let mut booking = self.target_of(command_id, header)?;
        let undone = booking.status;
        if !matches!(undone, Status::CheckedIn | Status::NoShow) {
            return Err(NoRevision::conflict());
        }
        if !is_given(header.reason.as_deref()) {
            return Err(NoRevision::because(RefusalCode::ReasonMissing));
        }
        let entered =
            booking.history.iter().rfind(|entry| entry.to == undone && entry.from != undone).map(|entry| entry.at);
        if !header.as_admin && !entered.is_some_and(|at| self.is_same_day(&booking, at)) {
            return Err(NoRevision::because(RefusalCode::TooLate));
        }
        let mut revision = Revision::of(Action::Reinstate, command_id, header);
        if undone == Status::NoShow {
            if extent(&booking).1.is_none_or(|departure| departure <= self.today(&header.property_id)) {
                return Err(NoRevision::because(RefusalCode::TooLate));
            }
            revision.moved = self.reallocate(&mut booking, command_id)?;
            booking.cancellation_fee = None;
        }
        Ok(Decision::Decided(Box::new(self.advance(booking, Status::Confirmed, revision))))
    }

    fn is_same_day(&self, booking: &Booking, at: Timestamp) -> bool {
        self.grid(&booking.property_id)
            .is_some_and(|grid| business_date(&grid.inventory().property, at) == self.today(&booking.property_id))
    }

    /// Claims beds for all stays again, the same ones where they are still free.
    pub(super) fn reallocate(&mut self, booking: &mut Booking, command_id: Uuid) -> Result<Vec<BookingId>, NoRevision> {
        let property = booking.property_id.clone();
        let Some(grid) = self.grid(&property) else {
            return Err(self.not_sellable(&property, Rejection::Closed).into());
        };
        let seen = |stay: &Stay| Nights::new(stay.arrival.max(grid.origin()), stay.departure);
        let wanted: Vec<(usize, Wanted)> = booking
            .stays
            .iter()
            .enumerate()
            .filter(|(_, stay)| seen(stay).count() >= 1)
            .map(|(index, stay)| {
                let nights = seen(stay);
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
        let placement = self.place(&property, booking.id, &wanted)?;
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

/// First arrival and last departure.
fn extent(booking: &Booking) -> (Option<NaiveDate>, Option<NaiveDate>) {
    (booking.stays.iter().map(|stay| stay.arrival).min(), booking.stays.iter().map(|stay| stay.departure).max())
}

/// A stay that was checked in is at least one night.
fn first_morning(stay: &Stay) -> NaiveDate {
    stay.arrival.checked_add_days(Days::new(1)).unwrap_or(stay.arrival)
}

/// The stay when its guests leave today; `None` for one that has not begun.
fn ended(stay: &Stay, today: NaiveDate) -> Option<Stay> {
    let mut ended = stay.clone();
    ended.end_on(stay.departure.min(today.max(first_morning(stay))));
    (stay.arrival <= today).then_some(ended)
}

fn is_given(reason: Option<&str>) -> bool {
    reason.is_some_and(|reason| !reason.trim().is_empty())
}
