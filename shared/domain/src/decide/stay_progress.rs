//! Check-in, check-out and no-show, in the property's local time.

use super::{Decider, Decision, NoRevision, Revision};
use crate::booking::{Absence, Action, Booking, RefusalCause, Rejection, Status, Stay, StayProgress, StayRequest};
use crate::ids::{BedId, PropertyId, RoomTypeId};
use crate::inventory::RoomKind;
use crate::messages::{CheckInBooking, CheckOutBooking, MarkNoShow, RefusalCode, RefusalDetail, StaySelection};
use crate::nights::Nights;
use crate::pricing::{Price, total_of};
use crate::values::stay::same_beds;
use chrono::{Days, NaiveDate};
use uuid::Uuid;

/// Why the guests of a stay do not arrive or leave today, and the first business day on which they may.
struct NotToday {
    code: RefusalCode,
    possible_from: Option<NaiveDate>,
}

impl NotToday {
    /// It is before this day.
    fn before(possible_from: Option<NaiveDate>) -> Self {
        Self { code: RefusalCode::TooEarly, possible_from }
    }
}

impl From<NotToday> for NoRevision {
    fn from(NotToday { code, possible_from }: NotToday) -> Self {
        Self::with(RefusalDetail::of(code).caused_by(RefusalCause { possible_from, ..RefusalCause::default() }))
    }
}

impl Decider<'_> {
    /// Checks in from the business day of arrival on, into assigned and clean beds. Stays of other days stay expected.
    /// In the night before, the beds are not theirs, and it is not paid for.
    pub(super) fn check_in(&mut self, command_id: Uuid, check_in: &CheckInBooking) -> Result<Decision, NoRevision> {
        let header = &check_in.header;
        let mut booking = self.target_of(command_id, header)?;
        if !matches!(booking.status, Status::Confirmed | Status::CheckedIn) {
            return Err(NoRevision::conflict());
        }
        let today = self.today(&header.property_id);
        let when = |stay: &Stay| match () {
            () if today < stay.arrival => Err(NotToday::before(Some(stay.arrival))),
            () if stay.departure <= today => Err(NotToday { code: RefusalCode::TooLate, possible_from: None }),
            () => Ok(()),
        };
        let arrived = self.select(&mut booking, &check_in.stays, StayProgress::Expected, (today, when))?;
        self.check_beds(&booking, &arrived, today)?;
        // The guests move in to what is paid for.
        self.release_pending_change(&mut booking);
        let status = booking.set_progress(&arrived, StayProgress::CheckedIn);
        let revision = Revision::of(Action::CheckIn, command_id, header);
        Ok(Decision::Decided(Box::new(self.advance(booking, status, revision))))
    }

    /// The indexes of the selected stays, all of which must be as far as `progress` says and of the right day; without
    /// a selection, of all that are. Guests who are a part of a stay become a stay of their own.
    fn select(
        &self,
        booking: &mut Booking,
        selected: &[StaySelection],
        progress: StayProgress,
        (today, when): (NaiveDate, impl Fn(&Stay) -> Result<(), NotToday>),
    ) -> Result<Vec<usize>, NoRevision> {
        let is_so = |booking: &Booking, stay: &Stay| booking.progress_of(stay) == progress;
        if selected.is_empty() {
            let candidates: Vec<(usize, &Stay)> =
                booking.stays.iter().enumerate().filter(|(_, stay)| is_so(booking, stay)).collect();
            let meant: Vec<usize> =
                candidates.iter().filter(|(_, stay)| when(stay).is_ok()).map(|(index, _)| *index).collect();
            let refusals = candidates.iter().filter_map(|(_, stay)| when(stay).err());
            let refusal = refusals.min_by_key(|refusal| refusal.possible_from);
            return match (meant.is_empty(), refusal) {
                (false, _) => Ok(meant),
                (true, Some(refusal)) => Err(refusal.into()),
                (true, None) => Err(NoRevision::because(RefusalCode::WrongProgress)),
            };
        }
        // All are named before guests are parted off: positions and stays are those of before.
        let mut named: Vec<usize> = Vec::with_capacity(selected.len());
        for one in selected {
            let index = booking.named_stay(one.stay, one.id).filter(|index| !named.contains(index));
            named.push(index.ok_or_else(|| NoRevision::because(RefusalCode::UnknownStay))?);
        }
        let mut meant = Vec::with_capacity(selected.len());
        for (one, index) in selected.iter().zip(named) {
            let stay = &booking.stays[index];
            if !is_so(booking, stay) {
                return Err(NoRevision::because(RefusalCode::WrongProgress));
            }
            when(stay)?;
            // Beds of the night on which the guests are: tonight's, or the nearest night of the stay.
            let night = stay.night_nearest(today);
            meant.push(match self.part_of(booking, stay, one, night).map_err(NoRevision::because)? {
                None => index,
                Some(beds) => booking.part_off(index, &beds, night).unwrap_or(index),
            });
        }
        Ok(meant)
    }

    /// The beds of the selected guests; `None` when the whole stay is selected.
    fn part_of(
        &self,
        booking: &Booking,
        stay: &Stay,
        selected: &StaySelection,
        night: NaiveDate,
    ) -> Result<Option<Vec<BedId>>, RefusalCode> {
        if let Some(places) = &selected.places
            && selected.guests.is_none_or(|guests| guests == stay.guests)
            && are_all_of(places, stay)
        {
            return Ok(None);
        }
        let count = |beds: &Vec<BedId>| u32::try_from(beds.len()).unwrap_or(u32::MAX);
        let named = match &selected.places {
            Some(places) => Some(beds_of(stay, places, night).ok_or(RefusalCode::UnknownGuests)?),
            None => selected.beds.clone(),
        };
        let Some(guests) = selected.guests.or(named.as_ref().map(count)) else { return Ok(None) };
        let present = stay.beds_on(night);
        let beds = match &named {
            Some(beds) => beds.clone(),
            None => present.iter().take(usize::try_from(guests).unwrap_or(usize::MAX)).cloned().collect(),
        };
        let are_distinct = beds.iter().enumerate().all(|(index, bed)| !beds[..index].contains(bed));
        if guests == stay.guests && (named.is_none() || are_distinct && same_beds(&beds, present)) {
            return Ok(None);
        }
        let by_the_bed = self.is_by_the_bed(&booking.property_id, &stay.room_type_id);
        let is_known = are_distinct && count(&beds) == guests && beds.iter().all(|bed| present.contains(bed));
        if by_the_bed && is_known && (1..stay.guests).contains(&guests) {
            Ok(Some(beds))
        } else {
            Err(RefusalCode::UnknownGuests)
        }
    }

    /// Whether the room type is sold by the bed; one that is unknown counts as such.
    fn is_by_the_bed(&self, property: &PropertyId, room_type: &RoomTypeId) -> bool {
        self.grid(property)
            .and_then(|grid| grid.inventory().room_type(room_type))
            .is_none_or(|room_type| room_type.kind == RoomKind::Dorm)
    }

    /// Checks that these stays have as many beds as they need tonight, and that they are ready: guests of the same
    /// booking, too, leave a bed before others move in.
    fn check_beds(&mut self, booking: &Booking, stays: &[usize], today: NaiveDate) -> Result<(), NoRevision> {
        let property = &booking.property_id;
        if self.grid(property).is_none() {
            return Ok(());
        }
        let mut beds: Vec<(BedId, Nights)> = Vec::new();
        for stay in stays.iter().filter_map(|index| booking.stays.get(*index)) {
            let by_the_bed = self.is_by_the_bed(property, &stay.room_type_id);
            let wanted = if by_the_bed { usize::try_from(stay.guests).unwrap_or(usize::MAX) } else { 1 };
            let tonight = stay.beds_on(today);
            if tonight.len() < wanted {
                return Err(self.refuse(property, NoRevision::because(RefusalCode::BedsMissing), NoRevision::Unread));
            }
            let rest = Nights::new(today, stay.departure);
            beds.extend(tonight.iter().map(|bed| (bed.clone(), rest)));
        }
        let is_occupied = |stay: &Stay| {
            booking.progress_of(stay) == StayProgress::CheckedIn
                && stay.occupied_beds(today).iter().any(|bed| beds.iter().any(|(wanted, _)| wanted == bed))
        };
        if booking.stays.iter().any(is_occupied) {
            return Err(NoRevision::with(RefusalDetail::of(RefusalCode::BedOccupied).naming(vec![booking.id])));
        }
        self.check_ready(property, booking.id, &beds)
    }

    /// Ends stays today and releases unused nights. The booking ends with its last stay; then an open balance needs
    /// permission and a note.
    pub(super) fn check_out(&mut self, command_id: Uuid, check_out: &CheckOutBooking) -> Result<Decision, NoRevision> {
        let header = &check_out.header;
        let mut booking = self.target_of(command_id, header)?;
        if booking.status != Status::CheckedIn {
            return Err(NoRevision::conflict());
        }
        let (date, today) = (self.local_date(&header.property_id, self.now), self.today(&header.property_id));
        // Bookings that were checked in as a whole, before stays were apart, have stays that have not begun.
        let ahead: Vec<usize> = (0..booking.stays.len()).filter(|index| date < booking.stays[*index].arrival).collect();
        if !ahead.is_empty() && ahead.len() < booking.stays.len() {
            booking.set_progress(&ahead, StayProgress::Expected);
        }
        let when = |stay: &Stay| if date < stay.arrival { Err(NotToday::before(None)) } else { Ok(()) };
        let leaving = self.select(&mut booking, &check_out.stays, StayProgress::CheckedIn, (today, when))?;
        let mut left = booking.clone();
        for index in &leaving {
            if let Some(stay) = left.stays.get_mut(*index) {
                stay.end_on(stay.departure.min(today.max(first_morning(stay))));
            }
        }
        let status = left.set_progress(&leaving, StayProgress::CheckedOut);
        if left.stays.iter().zip(&booking.stays).any(|(after, before)| after.nights() != before.nights()) {
            left.price = self.price_of_departure(&booking, &left, check_out.reprice)?;
        }
        if status == Status::CheckedOut {
            check_balance(&left, check_out)?;
        }
        // It was made for the stays of before.
        self.release_pending_change(&mut booking);
        left.pending_change = None;
        for index in leaving {
            let departure = left.stays[index].departure;
            self.release_beds(&header.property_id, std::slice::from_ref(&booking.stays[index]), departure);
        }
        let revision = Revision::of(Action::CheckOut, command_id, header);
        Ok(Decision::Decided(Box::new(self.advance(left, status, revision))))
    }

    /// The price of a booking of which some stays ended early: the agreed amounts of the nights that are left. The
    /// others are deducted with `reprice`, and otherwise remain owed.
    fn price_of_departure(
        &mut self,
        booking: &Booking,
        left: &Booking,
        reprice: bool,
    ) -> Result<Option<Price>, NoRevision> {
        let Some(price) = &booking.price else { return Ok(None) };
        let counts = left.stays.iter().map(|stay| usize::try_from(stay.nights().count()).unwrap_or(0));
        let nights: Vec<Vec<i64>> = price
            .nights
            .iter()
            .zip(counts)
            .map(|(amounts, count)| amounts.iter().take(count).copied().collect())
            .collect();
        let sum = |nights: &[Vec<i64>]| nights.iter().flatten().sum::<i64>();
        if !reprice {
            let unused = price.unused_nights + sum(&price.nights) - sum(&nights);
            return Ok(Some(Price { nights, unused_nights: unused, ..price.clone() }));
        }
        let requests: Vec<StayRequest> = left.stays.iter().map(Stay::as_request).collect();
        let priced = self
            .grid(&booking.property_id)
            .and_then(|grid| total_of(grid.inventory(), &requests, nights, price.unused_nights));
        priced.map(Some).ok_or_else(|| self.not_sellable(&booking.property_id, Rejection::Closed).into())
    }

    /// Marks guests who did not arrive by the end of their business day of arrival. Their beds are released. A booking
    /// of which none arrives ends; the fee is that of a cancellation now. Otherwise the price is without their stays,
    /// and what cancelling those costs now is added to the change fees.
    pub(super) fn no_show(&mut self, command_id: Uuid, no_show: &MarkNoShow) -> Result<Decision, NoRevision> {
        let header = &no_show.header;
        let mut booking = self.target_of(command_id, header)?;
        if !matches!(booking.status, Status::Confirmed | Status::CheckedIn) {
            return Err(NoRevision::conflict());
        }
        let today = self.today(&header.property_id);
        let when = |stay: &Stay| match today <= stay.arrival {
            true => Err(NotToday::before(stay.arrival.succ_opt())),
            false => Ok(()),
        };
        let absent = self.select(&mut booking, &no_show.stays, StayProgress::Expected, (today, when))?;
        let revision = Revision::of(Action::NoShow, command_id, header);
        if absent.len() < booking.stays.len() {
            let status = self.part_with(&mut booking, &absent)?;
            return Ok(Decision::Decided(Box::new(self.advance(booking, status, revision))));
        }
        let fee = self
            .grid(&header.property_id)
            .map(|grid| booking.cancellation_fee_at(&grid.inventory().property, self.now));
        booking.cancellation_fee = Some(fee.unwrap_or(0));
        self.release_all_beds(&mut booking);
        Ok(Decision::Decided(Box::new(self.advance(booking, Status::NoShow, revision))))
    }

    /// Takes the stays of guests who did not arrive out of a booking that goes on. Returns its status.
    fn part_with(&mut self, booking: &mut Booking, absent: &[usize]) -> Result<Status, NoRevision> {
        let property = booking.property_id.clone();
        let whole = booking.clone();
        let (absent, kept): (Vec<usize>, Vec<usize>) = (0..whole.stays.len()).partition(|index| absent.contains(index));
        let stays = |of: &[usize]| -> Vec<Stay> { of.iter().map(|index| whole.stays[*index].clone()).collect() };
        let mut absences: Vec<Absence> = absent
            .iter()
            .map(|index| Absence {
                stay: Stay { progress: None, ..whole.stays[*index].clone() },
                nights: whole.price.as_ref().and_then(|price| price.nights.get(*index).cloned()).unwrap_or_default(),
                fee: 0,
                below_highest_price: 0,
                at: Some(self.now),
            })
            .collect();
        if let Some(price) = &whole.price {
            let Some(grid) = self.grid(&property) else {
                return Err(self.not_sellable(&property, Rejection::Closed).into());
            };
            let inventory = grid.inventory();
            let requests: Vec<StayRequest> = stays(&kept).iter().map(Stay::as_request).collect();
            let nights = kept.iter().map(|index| price.nights.get(*index).cloned().unwrap_or_default()).collect();
            let Some(rest) = total_of(inventory, &requests, nights, price.unused_nights) else {
                return Err(self.not_sellable(&property, Rejection::Closed).into());
            };
            booking.payment.change_fees =
                whole.change_fees_without(&stays(&absent), &rest, &inventory.property, self.now);
            booking.price = Some(rest);
            Absence::share_fees(&mut absences, whole.payment.change_fees, booking.payment.change_fees);
        }
        self.release_pending_change(booking);
        booking.stays = stays(&kept);
        let absent = stays(&absent);
        self.release_beds(&property, &absent, NaiveDate::MIN);
        booking.no_shows.extend(absences);
        Ok(booking.set_progress(&[], StayProgress::Expected))
    }
}

/// Whether these are all places of the stay, in a dorm or not.
fn are_all_of(places: &[u32], stay: &Stay) -> bool {
    let mut sorted = places.to_vec();
    sorted.sort_unstable();
    sorted.into_iter().eq(0..stay.guests)
}

/// The beds of these places; `None` when one is not of the stay.
fn beds_of(stay: &Stay, places: &[u32], night: NaiveDate) -> Option<Vec<BedId>> {
    let all = stay.places(night);
    let bed = |place: &u32| all.get(usize::try_from(*place).ok()?).copied().flatten().cloned();
    places.iter().map(bed).collect()
}

/// A stay that was checked in is at least one night.
fn first_morning(stay: &Stay) -> NaiveDate {
    stay.arrival.checked_add_days(Days::new(1)).unwrap_or(stay.arrival)
}

/// # Errors
/// Refused when the balance is open and staff have not allowed it with a note.
fn check_balance(left: &Booking, check_out: &CheckOutBooking) -> Result<(), NoRevision> {
    if left.balance() <= 0 {
        return Ok(());
    }
    if !check_out.allow_open_balance {
        return Err(NoRevision::because(RefusalCode::BalanceOpen));
    }
    if !is_given(check_out.header.reason.as_deref()) {
        return Err(NoRevision::because(RefusalCode::ReasonMissing));
    }
    Ok(())
}

pub(super) fn is_given(reason: Option<&str>) -> bool {
    reason.is_some_and(|reason| !reason.trim().is_empty())
}
