//! Modifications: new dates, guests, room types, beds and prices in one step, all or nothing.

use super::repricing::{Continued, agreed};
use super::reseat::before;
use super::{
    Decider, Decision, MAX_GUEST_CHANGES, MAX_REVISIONS, MAX_SHARED_REVISIONS, NoRevision, NotSellable, Revision,
};
use crate::booking::{
    Absence, Action, Booking, ChangeFees, Guest, Rejection, Status, Stay, StayProgress, StayRequest, stay_id,
};
use crate::events::BookingEvent;
use crate::grid::OccupancyGrid;
use crate::ids::RatePlanId;
use crate::intake::{MAX_GROUP_STAYS, MAX_NIGHTS, MAX_STAY_NIGHTS};
use crate::inventory::Inventory;
use crate::messages::{CommandHeader, ModifyBooking, RefusalCode, StayModification};
use crate::pricing::Price;
use crate::rates::restrictions::{self, RestrictionKind, RestrictionViolation};
use chrono::NaiveDate;
use std::collections::HashSet;
use uuid::Uuid;

impl Decider<'_> {
    pub(super) fn modify(&mut self, command_id: Uuid, modify: &ModifyBooking) -> Result<Decision, NoRevision> {
        if let Some(guest) = modify.guest_alone() {
            return self.correct_guest(command_id, &modify.header, guest);
        }
        let booking = self.changeable(command_id, &modify.header)?;
        let mark = self.journal.mark();
        let event = self.change(booking, command_id, modify).inspect_err(|_| self.journal.undo_to(mark))?;
        Ok(Decision::Decided(Box::new(event)))
    }

    /// Beds, price and fees stay as they are.
    fn correct_guest(
        &mut self,
        command_id: Uuid,
        header: &CommandHeader,
        guest: &Guest,
    ) -> Result<Decision, NoRevision> {
        let booking = self.target_in(command_id, header, Status::has_guest)?;
        let status = booking.status;
        let corrected = Booking { guest: guest.clone(), ..booking };
        let revision = Revision::of(Action::Modify, command_id, header);
        Ok(Decision::Decided(Box::new(self.advance_if_changed(corrected, status, (revision, header)))))
    }

    fn change(
        &mut self,
        mut booking: Booking,
        command_id: Uuid,
        modify: &ModifyBooking,
    ) -> Result<BookingEvent, NoRevision> {
        let header = &modify.header;
        let (date, today) = (self.local_date(&header.property_id, self.now), self.today(&header.property_id));
        if modify.stays.is_some() || modify.reprice || modify.quote.is_some() {
            // A later change takes the place of one that is still unpaid: applied, that one would undo it.
            self.release_pending_change(&mut booking);
        }
        let mut revision = Revision::of(Action::Modify, command_id, header);
        let mut changed = booking.clone();
        if let Some(guest) = &modify.guest {
            changed.guest = guest.clone();
        }
        let mut moves = Vec::new();
        if let Some(modifications) = &modify.stays {
            check_modifications(&booking, modifications, (today, date)).map_err(NoRevision::because)?;
            self.check_sale(&booking, modify, modifications)?;
            let reseated = self.reseat(&booking, header, modifications, today)?;
            (changed.stays, moves, revision.bed_moves) = (reseated.stays, reseated.moves, reseated.bed_moves);
            changed.number_added_stays(&booking);
        }
        self.apply_price(&booking, &mut changed, modify, today)?;
        let is_guest = !header.actor.is_staff();
        if modify.waive_change_fees {
            changed.payment.change_fees = ChangeFees::default();
            changed.no_shows.iter_mut().for_each(Absence::waive_fee);
            if let Some(pending) = &mut changed.pending_change {
                // Applied, it would bring the fees back.
                pending.change_fees = ChangeFees::default();
            }
        } else if is_guest
            && !has_same_room(&booking, &changed)
            && let Some(grid) = self.grid(&header.property_id)
        {
            let property = &grid.inventory().property;
            changed.payment.change_fees = booking.change_fees_after(&changed, property, header.requested_at);
        }
        if let Some(required) = self.missing_deposit(&booking, &mut changed, is_guest)? {
            return self.hold_change(booking, changed, required, revision, moves);
        }
        revision.moved = self.reassign_others(&header.property_id, moves, command_id);
        let status = match booking.status {
            Status::CheckedIn => changed.set_progress(&[], StayProgress::Expected),
            status => status,
        };
        Ok(self.advance_if_changed(changed, status, (revision, header)))
    }

    /// The booking of a command that changes its stays or beds.
    pub(super) fn changeable(&mut self, command_id: Uuid, header: &CommandHeader) -> Result<Booking, NoRevision> {
        self.target_in(command_id, header, Status::is_changeable)
    }

    /// The booking of a command that adds a revision, in a status that allows it.
    pub(super) fn target_in(
        &mut self,
        command_id: Uuid,
        header: &CommandHeader,
        allows: fn(Status) -> bool,
    ) -> Result<Booking, NoRevision> {
        let booking = self.target_of(command_id, header)?;
        if !allows(booking.status) {
            return Err(NoRevision::conflict());
        }
        if booking.rev >= MAX_REVISIONS || (!header.actor.is_staff() && has_used_up_changes(&booking)) {
            return Err(NoRevision::because(RefusalCode::TooManyChanges));
        }
        Ok(booking)
    }

    /// Checks gender, age and group size, and the restrictions of what changed.
    fn check_sale(
        &mut self,
        booking: &Booking,
        modify: &ModifyBooking,
        modifications: &[StayModification],
    ) -> Result<(), NotSellable> {
        let property = &booking.property_id;
        let requested: Vec<StayRequest> = modifications.iter().map(|modification| modification.stay.clone()).collect();
        self.check_stays(property, &requested)?;
        let is_too_young =
            |grid: &OccupancyGrid| modifications.iter().any(|one| is_too_young(grid.inventory(), booking, one));
        if self.grid(property).is_some_and(is_too_young) {
            return Err(self.not_sellable(property, Rejection::Age));
        }
        let changed = |modification: &StayModification| {
            before(booking, modification).is_none_or(|before| !before.as_request().is_sold_as(&modification.stay))
        };
        if modify.override_restrictions || !modifications.iter().any(changed) {
            return Ok(());
        }
        let plan = modify.rate_plan_id.as_ref().filter(|_| modify.reprice).unwrap_or(&booking.rate_plan_id);
        let booked_on = self.business_date(property, modify.header.requested_at);
        let violations = self
            .grid(property)
            .map_or_else(Vec::new, |grid| restrictions::check(grid.rates(), plan, &requested, booked_on));
        let is_new = |violation: &RestrictionViolation| {
            let Some(modification) = modifications.get(violation.stay).filter(|modification| changed(modification))
            else {
                return false;
            };
            let Some(before) = before(booking, modification) else { return true };
            // What was sold stays sold: an unchanged arrival or departure is not restricted again.
            match violation.kind {
                RestrictionKind::ClosedToArrival
                | RestrictionKind::AdvanceTooShort
                | RestrictionKind::AdvanceTooLong => before.arrival != modification.stay.arrival,
                RestrictionKind::ClosedToDeparture => before.departure != modification.stay.departure,
                RestrictionKind::StopSell => {
                    before.room_type_id != modification.stay.room_type_id
                        || !before.nights().iter().any(|night| night == violation.date)
                }
                RestrictionKind::MinStayArrival | RestrictionKind::MinStayThrough => {
                    modification.stay.nights().count() < before.nights().count()
                }
                RestrictionKind::MaxStay => modification.stay.nights().count() > before.nights().count(),
            }
        };
        let new_violations: Vec<RestrictionViolation> = violations.into_iter().filter(is_new).collect();
        if new_violations.is_empty() { Ok(()) } else { Err(self.restricted(property, new_violations)) }
    }

    fn apply_price(
        &mut self,
        booking: &Booking,
        changed: &mut Booking,
        modify: &ModifyBooking,
        today: NaiveDate,
    ) -> Result<(), NotSellable> {
        if !modify.reprice && modify.quote.is_none() {
            changed.price = agreed(booking, &changed.stays);
            if declares_otherwise(booking, modify) {
                self.apply_taxes(changed)?;
            }
            return Ok(());
        }
        let plan = modify.rate_plan_id.clone().unwrap_or_else(|| booking.rate_plan_id.clone());
        let price = self.new_price(booking, changed, modify, &plan, today)?;
        changed.price = Some(price);
        if plan != booking.rate_plan_id {
            changed.cancellation_policy = self.policy(&booking.property_id, &plan);
            changed.rate_plan_id = plan;
        }
        Ok(())
    }

    fn new_price(
        &mut self,
        booking: &Booking,
        changed: &Booking,
        modify: &ModifyBooking,
        plan: &RatePlanId,
        today: NaiveDate,
    ) -> Result<Price, NotSellable> {
        let requests: Vec<StayRequest> = changed.stays.iter().map(Stay::as_request).collect();
        let holds = |quote: &&crate::rates::quote::Quote| {
            quote.covers(&booking.property_id, plan, &requests, modify.header.requested_at)
        };
        if let Some(quote) = modify.quote.as_ref().filter(holds) {
            return Ok(quote.price.clone());
        }
        let place = |index: usize| match &modify.stays {
            Some(modifications) => modifications.get(index).and_then(|modification| modification.continues),
            None => Some(index),
        };
        let stays: Vec<Continued> = requests
            .into_iter()
            .enumerate()
            .map(|(index, requested)| Continued { requested, before: place(index) })
            .collect();
        let price = self.reprice(booking, plan, &stays, today)?;
        if modify.quote.as_ref().is_some_and(|quote| quote.price != price) {
            return Err(self.not_sellable(&booking.property_id, Rejection::PriceChanged));
        }
        Ok(price)
    }
}

/// Whether a guest of the rooming list is too young for what is sold from now on instead.
fn is_too_young(inventory: &Inventory, booking: &Booking, modification: &StayModification) -> bool {
    let (Some(index), stay) = (modification.continues, &modification.stay) else { return false };
    let is_sold = before(booking, modification)
        .is_some_and(|before| before.room_type_id == stay.room_type_id && before.arrival == stay.arrival);
    let minimum = inventory.room_type(&stay.room_type_id).and_then(|room_type| room_type.minimum_age);
    let (false, Some(minimum)) = (is_sold, minimum) else { return false };
    let id = stay_id(&booking.stays, index);
    let born = booking.rooming_list.iter().filter(|guest| guest.stay_id == id).filter_map(|guest| guest.birth_date);
    born.map(|born| stay.arrival.years_since(born).unwrap_or(0)).any(|age| age < u32::from(minimum))
}

/// Whether other ages or exemptions are declared of guests than before.
fn declares_otherwise(booking: &Booking, modify: &ModifyBooking) -> bool {
    let differs = |modification: &StayModification| {
        before(booking, modification).is_some_and(|before| !before.as_request().declares_as(&modification.stay))
    };
    modify.stays.iter().flatten().any(differs)
}

/// Whether the guests gave up nothing: the same is sold on the same nights for as much, before tax.
fn has_same_room(booking: &Booking, changed: &Booking) -> bool {
    let amounts = |booking: &Booking| booking.price.as_ref().map(|price| (price.nights.clone(), price.unused_nights));
    booking.stays.len() == changed.stays.len()
        && booking.stays.iter().zip(&changed.stays).all(|(one, other)| one.as_request().is_sold_as(&other.as_request()))
        && amounts(booking) == amounts(changed)
}

/// Whether the guest has changed the booking as often as guests may, or the revisions left are those of the staff.
fn has_used_up_changes(booking: &Booking) -> bool {
    let is_change = |action| matches!(action, Action::Modify | Action::HoldChange);
    let by_guest = booking.history.iter().filter(|entry| is_change(entry.action) && entry.actor.is_guest());
    booking.rev >= MAX_SHARED_REVISIONS || by_guest.count() >= MAX_GUEST_CHANGES
}

/// Checks that do not depend on occupancy. After check-in only future nights change.
fn check_modifications(
    booking: &Booking,
    modifications: &[StayModification],
    (today, date): (NaiveDate, NaiveDate),
) -> Result<(), RefusalCode> {
    let mut continued = HashSet::new();
    if modifications.is_empty() || modifications.len() > MAX_GROUP_STAYS {
        return Err(RefusalCode::UnknownStay);
    }
    if modifications
        .iter()
        .filter_map(|modification| modification.continues)
        .any(|index| index >= booking.stays.len() || !continued.insert(index))
    {
        return Err(RefusalCode::UnknownStay);
    }
    let has_left = |stay: &Stay| booking.progress_of(stay) == StayProgress::CheckedOut;
    let is_in_house = |stay: &Stay| booking.progress_of(stay) == StayProgress::CheckedIn;
    for modification in modifications {
        let (stay, nights) = (&modification.stay, modification.stay.nights().count());
        if !(1..=MAX_NIGHTS).contains(&nights) {
            return Err(RefusalCode::InvalidDates);
        }
        let slept = |before: &&Stay| is_in_house(before) && before.arrival < today;
        let changes_past = |before: &Stay| {
            let moves_past_departure = before.departure < today && stay.departure != before.departure;
            // Nothing lies ahead in which others could sleep there, or elsewhere.
            let is_over =
                stay.departure <= today && (before.guests != stay.guests || before.room_type_id != stay.room_type_id);
            let shortened_past = stay.departure < today.min(before.departure);
            shortened_past || moves_past_departure || is_over
        };
        match before(booking, modification) {
            Some(before) if has_left(before) && before.as_request().is_sold_as(stay) && modification.beds.is_none() => {
            }
            Some(before) if has_left(before) => return Err(RefusalCode::InvalidDates),
            Some(before) if slept(&before) && (stay.arrival != before.arrival || changes_past(before)) => {
                return Err(RefusalCode::InvalidDates);
            }
            Some(before) if slept(&before) => {}
            // While others are in house, past nights of guests who have not arrived stay claimed as they are.
            Some(before)
                if before.arrival == stay.arrival && booking.status == Status::CheckedIn && changes_past(before) =>
            {
                return Err(RefusalCode::InvalidDates);
            }
            // The guests have not arrived: nights that have passed are neither added nor given up.
            Some(before)
                if before.arrival == stay.arrival
                    && before.departure != stay.departure
                    && before.departure.min(stay.departure) < today =>
            {
                return Err(RefusalCode::InvalidDates);
            }
            Some(before) if before.arrival == stay.arrival => {}
            _ if stay.arrival < today => return Err(RefusalCode::InvalidDates),
            _ => {}
        }
    }
    // Guests who are in house, or were, are checked out, not dropped. Stays that have not begun are of bookings that
    // were checked in as a whole.
    let dropped_past = booking.stays.iter().enumerate().any(|(index, stay)| {
        (has_left(stay) || is_in_house(stay) && stay.arrival <= date) && !continued.contains(&index)
    });
    if dropped_past {
        return Err(RefusalCode::WrongProgress);
    }
    let total: i64 = modifications.iter().map(|modification| modification.stay.nights().count()).sum();
    if total > MAX_STAY_NIGHTS { Err(RefusalCode::InvalidDates) } else { Ok(()) }
}
