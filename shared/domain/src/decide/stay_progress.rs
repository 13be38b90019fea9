//! Guests come, leave, do not come, and staff undo what was a mistake. All by the property's own time.

use super::place::Wanted;
use super::repricing::{Continued, agreed};
use super::{Decider, Revision, Stop, Verdict};
use crate::booking::{Action, Booking, Rejection, Status, Stay, StayRequest};
use crate::business_day::business_date;
use crate::inventory::{Cleanliness, RoomKind};
use crate::messages::{CheckInBooking, CheckOutBooking, MarkNoShow, RefusalCode, ReinstateBooking};
use crate::nights::Nights;
use crate::rates::cancellation::cancellation_fee;
use crate::timestamp::Timestamp;
use chrono::{Days, NaiveDate};
use uuid::Uuid;

impl Decider<'_> {
    /// From the day of arrival, into beds that are assigned and clean.
    pub(super) fn check_in(&mut self, command_id: Uuid, check_in: &CheckInBooking) -> Result<Verdict, Stop> {
        let order = &check_in.order;
        let booking = self.ordered(command_id, order)?;
        if booking.status != Status::Confirmed {
            return Err(Stop::conflict());
        }
        let (date, today) = (self.local_date(&order.property_id, self.now), self.today(&order.property_id));
        let (arrival, departure) = extent(&booking);
        if arrival.is_some_and(|arrival| date < arrival) {
            return Err(Stop::because(RefusalCode::TooEarly));
        }
        if departure.is_some_and(|departure| today >= departure) {
            return Err(Stop::because(RefusalCode::TooLate));
        }
        if let Some(code) = self.beds_unready(&booking, date) {
            return Err(self.refuse_order(order, code));
        }
        Ok(Verdict::Decided(Box::new(self.advance(
            booking,
            Status::CheckedIn,
            Revision::of(Action::CheckIn, command_id, order),
        ))))
    }

    fn beds_unready(&self, booking: &Booking, date: NaiveDate) -> Option<RefusalCode> {
        let inventory = self.view(&booking.property_id)?.inventory();
        for stay in booking.stays.iter().filter(|stay| stay.arrival <= date && date <= stay.departure) {
            let by_the_bed =
                inventory.room_type(&stay.room_type_id).is_none_or(|room_type| room_type.kind == RoomKind::Dorm);
            let wanted = if by_the_bed { usize::try_from(stay.guests).unwrap_or(usize::MAX) } else { 1 };
            if stay.assigned_beds.len() < wanted {
                return Some(RefusalCode::BedsMissing);
            }
            let dirty =
                |bed| inventory.room_of(bed).is_some_and(|room| room.state_of(bed).cleanliness == Cleanliness::Dirty);
            if stay.assigned_beds.iter().any(dirty) {
                return Some(RefusalCode::BedNotClean);
            }
        }
        None
    }

    /// Ends the stays today: nights that are not slept are freed. An open balance needs permission and a note.
    pub(super) fn check_out(&mut self, command_id: Uuid, check_out: &CheckOutBooking) -> Result<Verdict, Stop> {
        let order = &check_out.order;
        let booking = self.ordered(command_id, order)?;
        if booking.status != Status::CheckedIn {
            return Err(Stop::conflict());
        }
        let today = self.today(&order.property_id);
        let mut left = booking.clone();
        let shortened: Vec<(usize, Stay)> =
            booking.stays.iter().enumerate().filter_map(|(index, stay)| Some((index, ended(stay, today)?))).collect();
        left.stays = shortened.iter().map(|(_, stay)| stay.clone()).collect();
        if left.stays.is_empty() {
            return Err(Stop::because(RefusalCode::TooEarly));
        }
        left.price = if check_out.reprice && left.stays != booking.stays {
            let stays: Vec<Continued> = shortened
                .iter()
                .map(|(index, stay)| Continued { asked: stay.as_request(), before: Some(*index) })
                .collect();
            Some(self.reprice(&booking, &booking.rate_plan_id, &stays, today)?)
        } else {
            agreed(&booking, &left.stays)
        };
        if left.balance() > 0 {
            if !check_out.allow_open_balance {
                return Err(Stop::because(RefusalCode::BalanceOpen));
            }
            if !is_given(order.reason.as_deref()) {
                return Err(Stop::because(RefusalCode::ReasonMissing));
            }
        }
        for (index, stay) in booking.stays.iter().enumerate() {
            let until =
                shortened.iter().find(|(kept, _)| *kept == index).map_or(stay.arrival, |(_, kept)| kept.departure);
            self.vacate(&order.property_id, std::slice::from_ref(stay), until);
        }
        Ok(Verdict::Decided(Box::new(self.advance(
            left,
            Status::CheckedOut,
            Revision::of(Action::CheckOut, command_id, order),
        ))))
    }

    /// After the business day of arrival is over. The beds are free again; it costs what cancelling would cost now.
    pub(super) fn no_show(&mut self, command_id: Uuid, no_show: &MarkNoShow) -> Result<Verdict, Stop> {
        let order = &no_show.order;
        let mut booking = self.ordered(command_id, order)?;
        if booking.status != Status::Confirmed {
            return Err(Stop::conflict());
        }
        if extent(&booking).0.is_none_or(|arrival| self.today(&order.property_id) <= arrival) {
            return Err(Stop::because(RefusalCode::TooEarly));
        }
        let fee =
            self.view(&order.property_id).map(|view| cancellation_fee(&booking, &view.inventory().property, self.now));
        booking.cancellation_fee = Some(fee.unwrap_or(0));
        self.vacate(&order.property_id, &booking.stays, NaiveDate::MIN);
        Ok(Verdict::Decided(Box::new(self.advance(
            booking,
            Status::NoShow,
            Revision::of(Action::NoShow, command_id, order),
        ))))
    }

    /// Undoes a check-in or a no-show: with a reason, on the same business day, or later by an administrator.
    pub(super) fn reinstate(&mut self, command_id: Uuid, reinstate: &ReinstateBooking) -> Result<Verdict, Stop> {
        let order = &reinstate.order;
        let mut booking = self.ordered(command_id, order)?;
        let undone = booking.status;
        if !matches!(undone, Status::CheckedIn | Status::NoShow) {
            return Err(Stop::conflict());
        }
        if !is_given(order.reason.as_deref()) {
            return Err(Stop::because(RefusalCode::ReasonMissing));
        }
        let entered =
            booking.history.iter().rfind(|entry| entry.to == undone && entry.from != undone).map(|entry| entry.at);
        if !order.as_admin && !entered.is_some_and(|at| self.is_same_day(&booking, at)) {
            return Err(Stop::because(RefusalCode::TooLate));
        }
        let mut revision = Revision::of(Action::Reinstate, command_id, order);
        if undone == Status::NoShow {
            if extent(&booking).1.is_none_or(|departure| departure <= self.today(&order.property_id)) {
                return Err(Stop::because(RefusalCode::TooLate));
            }
            revision.moved = self.seat_again(&mut booking, command_id)?;
            booking.cancellation_fee = None;
        }
        Ok(Verdict::Decided(Box::new(self.advance(booking, Status::Confirmed, revision))))
    }

    fn is_same_day(&self, booking: &Booking, at: Timestamp) -> bool {
        self.view(&booking.property_id)
            .is_some_and(|view| business_date(&view.inventory().property, at) == self.today(&booking.property_id))
    }

    /// Claims beds for all stays again, the old ones where they are still free.
    pub(super) fn seat_again(
        &mut self,
        booking: &mut Booking,
        command_id: Uuid,
    ) -> Result<Vec<crate::ids::BookingId>, Stop> {
        let property = booking.property_id.clone();
        let Some(view) = self.view(&property) else { return Err(self.unsold(&property, Rejection::Closed).into()) };
        let seen = |stay: &Stay| Nights::new(stay.arrival.max(view.origin()), stay.departure);
        let wanted: Vec<(usize, Wanted)> = booking
            .stays
            .iter()
            .enumerate()
            .filter(|(_, stay)| seen(stay).count() >= 1)
            .map(|(index, stay)| {
                let nights = seen(stay);
                let asked = StayRequest { arrival: nights.arrival, departure: nights.departure, ..stay.as_request() };
                (
                    index,
                    Wanted {
                        asked,
                        present: stay.assigned_beds.iter().filter_map(|bed| view.bed_number(bed)).collect(),
                    },
                )
            })
            .collect();
        let (places, wanted): (Vec<usize>, Vec<Wanted>) = wanted.into_iter().unzip();
        let placement = self.place(&property, booking.id, &wanted)?;
        for (index, numbers) in places.into_iter().zip(&placement.beds) {
            let beds = self.bed_ids(&property, numbers);
            if let Some(stay) = booking.stays.get_mut(index) {
                stay.locked &= stay.assigned_beds == beds;
                stay.assigned_beds = beds;
            }
        }
        Ok(self.give_way(&property, placement.moves, command_id))
    }
}

/// First arrival and last departure.
fn extent(booking: &Booking) -> (Option<NaiveDate>, Option<NaiveDate>) {
    (booking.stays.iter().map(|stay| stay.arrival).min(), booking.stays.iter().map(|stay| stay.departure).max())
}

/// Whoever came is sold at least one night.
fn first_morning(stay: &Stay) -> NaiveDate {
    stay.arrival.checked_add_days(Days::new(1)).unwrap_or(stay.arrival)
}

/// The stay as it ends when its guests leave today; `None` for one that has not begun.
fn ended(stay: &Stay, today: NaiveDate) -> Option<Stay> {
    let mut ended = stay.clone();
    ended.departure = stay.departure.min(today.max(first_morning(stay)));
    (stay.arrival <= today).then_some(ended)
}

fn is_given(reason: Option<&str>) -> bool {
    reason.is_some_and(|reason| !reason.trim().is_empty())
}
