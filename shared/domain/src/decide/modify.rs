//! Deciding a modification: new dates, guests, room types, beds and prices in one step, all of it or nothing.

use super::place::Wanted;
use super::repricing::{Continued, agreed};
use super::{Decider, MAX_REVISIONS, Revision, Stop, Unsold, Verdict};
use crate::booking::{Action, Booking, Rejection, Status, Stay, StayRequest};
use crate::ids::RatePlanId;
use crate::intake::{MAX_GROUP_STAYS, MAX_NIGHTS, MAX_STAY_NIGHTS};
use crate::messages::{ModifyBooking, Order, RefusalCode, StayWish};
use crate::nights::Nights;
use crate::pricing::Price;
use crate::rates::restrictions::{self, RestrictionKind};
use chrono::NaiveDate;
use std::collections::HashSet;
use uuid::Uuid;

impl Decider<'_> {
    pub(super) fn modify(&mut self, command_id: Uuid, modify: &ModifyBooking) -> Result<Verdict, Stop> {
        let order = &modify.order;
        let booking = self.changeable(command_id, order)?;
        let mut revision = Revision::of(Action::Modify, command_id, order);
        let mut changed = booking.clone();
        if let Some(guest) = &modify.guest {
            changed.guest = guest.clone();
        }
        if let Some(wishes) = &modify.stays {
            let today = self.today(&order.property_id);
            let allowed = check_wishes(&booking, wishes, today);
            allowed.map_err(Stop::because)?;
            self.check_sale(&booking, modify, wishes)?;
            let mark = self.journal.mark();
            match self.reseat(&booking, order, wishes, today) {
                Ok((stays, moves)) => {
                    changed.stays = stays;
                    self.settle_price(&booking, &mut changed, modify, today)
                        .inspect_err(|_| self.journal.undo_to(mark))?;
                    revision.moved = self.give_way(&order.property_id, moves, command_id);
                }
                Err(stop) => {
                    self.journal.undo_to(mark);
                    return Err(stop);
                }
            }
        } else {
            let today = self.today(&order.property_id);
            self.settle_price(&booking, &mut changed, modify, today)?;
        }
        let status = booking.status;
        Ok(Verdict::Decided(Box::new(self.advance(changed, status, revision))))
    }

    /// The booking of an order that changes its stays or beds.
    pub(super) fn changeable(&mut self, command_id: Uuid, order: &Order) -> Result<Booking, Stop> {
        let booking = self.ordered(command_id, order)?;
        if !booking.status.is_changeable() {
            return Err(Stop::conflict());
        }
        if booking.rev >= MAX_REVISIONS {
            return Err(Stop::because(RefusalCode::TooManyChanges));
        }
        Ok(booking)
    }

    /// Gender, age, size of the group, and the restrictions of what differs from before.
    fn check_sale(&mut self, booking: &Booking, modify: &ModifyBooking, wishes: &[StayWish]) -> Result<(), Unsold> {
        let property = &booking.property_id;
        let asked: Vec<StayRequest> = wishes.iter().map(|wish| wish.stay.clone()).collect();
        self.check_stays(property, &asked)?;
        let changed = |wish: &StayWish| before(booking, wish).is_none_or(|before| before.as_request() != wish.stay);
        if modify.override_restrictions || !wishes.iter().any(changed) {
            return Ok(());
        }
        let plan = modify.rate_plan_id.as_ref().filter(|_| modify.reprice).unwrap_or(&booking.rate_plan_id);
        let booked_on = self.local_date(property, modify.order.requested_at);
        let faults = self
            .view(property)
            .map_or_else(Vec::new, |view| restrictions::check(view.rates(), plan, &asked, booked_on));
        let new_faults = faults.iter().filter(|fault| {
            let Some(wish) = wishes.get(fault.stay).filter(|wish| changed(wish)) else { return false };
            let Some(before) = before(booking, wish) else { return true };
            // What was sold stays sold: an arrival or departure that does not change is not restricted anew.
            match fault.kind {
                RestrictionKind::ClosedToArrival
                | RestrictionKind::AdvanceTooShort
                | RestrictionKind::AdvanceTooLong => before.arrival != wish.stay.arrival,
                RestrictionKind::ClosedToDeparture => before.departure != wish.stay.departure,
                RestrictionKind::StopSell => {
                    before.room_type_id != wish.stay.room_type_id
                        || !before.nights().iter().any(|night| night == fault.date)
                }
                RestrictionKind::MinStayArrival | RestrictionKind::MinStayThrough => {
                    wish.stay.nights().count() < before.nights().count()
                }
                RestrictionKind::MaxStay => wish.stay.nights().count() > before.nights().count(),
            }
        });
        if new_faults.count() == 0 { Ok(()) } else { Err(self.unsold(property, Rejection::Restriction)) }
    }

    /// Gives the stays beds on all nights from `today` on; nights before stay as they were slept.
    #[allow(clippy::type_complexity)] // stays, and who gave way for them
    fn reseat(
        &mut self,
        booking: &Booking,
        order: &Order,
        wishes: &[StayWish],
        today: NaiveDate,
    ) -> Result<(Vec<Stay>, Vec<(crate::ids::BookingId, usize, Vec<usize>)>), Stop> {
        let property = &order.property_id;
        let from = if booking.status == Status::CheckedIn { today } else { NaiveDate::MIN };
        let kept: HashSet<usize> =
            wishes.iter().filter(|wish| is_kept(booking, wish)).filter_map(|wish| wish.continues).collect();
        let leaving: Vec<Stay> = booking
            .stays
            .iter()
            .enumerate()
            .filter(|(index, _)| !kept.contains(index))
            .map(|(_, stay)| stay.clone())
            .collect();
        self.vacate(property, &leaving, from);
        let mut stays: Vec<Option<Stay>> = vec![None; wishes.len()];
        let mut waiting = Vec::new();
        for (index, wish) in wishes.iter().enumerate() {
            let present = before(booking, wish);
            let mut stay =
                present.map_or_else(|| Stay::of(&wish.stay, Vec::new()), |present| continued(present, &wish.stay));
            let ahead = Nights::new(wish.stay.arrival.max(from), wish.stay.departure);
            if is_kept(booking, wish) || ahead.count() < 1 {
                stays[index] = Some(stay);
                continue;
            }
            let same_shape = present.is_some_and(|present| {
                present.room_type_id == wish.stay.room_type_id && present.guests == wish.stay.guests
            });
            let promised = present.filter(|present| present.locked && same_shape).map(|present| &present.assigned_beds);
            if let Some(beds) = wish.beds.as_ref().or(promised) {
                self.seat_in(order, &wish.stay, ahead, beds)?;
                stay.move_to(beds.clone(), ahead.arrival);
                stays[index] = Some(stay);
            } else {
                stays[index] = Some(stay);
                waiting.push((index, ahead));
            }
        }
        let view = self.view(property);
        let number = |bed| view.and_then(|view| view.bed_number(bed));
        let wanted: Vec<Wanted> = waiting
            .iter()
            .map(|(index, ahead)| Wanted {
                asked: StayRequest {
                    arrival: ahead.arrival,
                    departure: ahead.departure,
                    ..wishes[*index].stay.clone()
                },
                present: stays[*index].iter().flat_map(|stay| stay.assigned_beds.iter().filter_map(number)).collect(),
            })
            .collect();
        let placement = self.place(property, booking.id, &wanted)?;
        for ((index, ahead), numbers) in waiting.into_iter().zip(&placement.beds) {
            let beds = self.bed_ids(property, numbers);
            if let Some(stay) = &mut stays[index] {
                let same: HashSet<_> = stay.assigned_beds.iter().collect();
                // The same beds in another order are no move.
                if same != beds.iter().collect() {
                    stay.locked = false;
                    stay.move_to(beds, ahead.arrival);
                }
            }
        }
        Ok((stays.into_iter().flatten().collect(), placement.moves))
    }

    fn settle_price(
        &mut self,
        booking: &Booking,
        changed: &mut Booking,
        modify: &ModifyBooking,
        today: NaiveDate,
    ) -> Result<(), Unsold> {
        if !modify.reprice && modify.quote.is_none() {
            changed.price = agreed(booking, &changed.stays);
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
    ) -> Result<Price, Unsold> {
        let requests: Vec<StayRequest> = changed.stays.iter().map(Stay::as_request).collect();
        let holds = |quote: &&crate::rates::quote::Quote| {
            quote.covers(&booking.property_id, plan, &requests, modify.order.requested_at)
        };
        if let Some(quote) = modify.quote.as_ref().filter(holds) {
            return Ok(quote.price.clone());
        }
        let place = |index: usize| match &modify.stays {
            Some(wishes) => wishes.get(index).and_then(|wish| wish.continues),
            None => Some(index),
        };
        let stays: Vec<Continued> =
            requests.into_iter().enumerate().map(|(index, asked)| Continued { asked, before: place(index) }).collect();
        let price = self.reprice(booking, plan, &stays, today)?;
        if modify.quote.as_ref().is_some_and(|quote| quote.price != price) {
            return Err(self.unsold(&booking.property_id, Rejection::PriceChanged));
        }
        Ok(price)
    }
}

fn before<'a>(booking: &'a Booking, wish: &StayWish) -> Option<&'a Stay> {
    wish.continues.and_then(|index| booking.stays.get(index))
}

/// Whether the stay keeps everything, its beds included.
fn is_kept(booking: &Booking, wish: &StayWish) -> bool {
    before(booking, wish).is_some_and(|before| {
        before.as_request() == wish.stay && wish.beds.as_ref().is_none_or(|beds| *beds == before.assigned_beds)
    })
}

fn continued(before: &Stay, asked: &StayRequest) -> Stay {
    let mut stay = Stay {
        assigned_beds: before.assigned_beds.clone(),
        earlier_beds: before.earlier_beds.clone(),
        locked: before.locked,
        ..Stay::of(asked, Vec::new())
    };
    // Beds of nights that are no longer part of the stay are nobody's.
    stay.earlier_beds.retain(|earlier| earlier.until > asked.arrival);
    stay
}

/// What does not depend on who sleeps where. After check-in only nights to come change.
fn check_wishes(booking: &Booking, wishes: &[StayWish], today: NaiveDate) -> Result<(), RefusalCode> {
    let mut continued = HashSet::new();
    if wishes.is_empty() || wishes.len() > MAX_GROUP_STAYS {
        return Err(RefusalCode::UnknownStay);
    }
    if wishes
        .iter()
        .filter_map(|wish| wish.continues)
        .any(|index| index >= booking.stays.len() || !continued.insert(index))
    {
        return Err(RefusalCode::UnknownStay);
    }
    let in_house = booking.status == Status::CheckedIn;
    for wish in wishes {
        let (stay, nights) = (&wish.stay, wish.stay.nights().count());
        if !(1..=MAX_NIGHTS).contains(&nights) {
            return Err(RefusalCode::InvalidDates);
        }
        let slept = |before: &&Stay| in_house && before.arrival < today;
        match before(booking, wish) {
            Some(before) if slept(&before) => {
                let same_past = before.departure <= today && stay.departure != before.departure;
                if stay.arrival != before.arrival || stay.departure < today.min(before.departure) || same_past {
                    return Err(RefusalCode::InvalidDates);
                }
            }
            Some(before) if before.arrival == stay.arrival => {}
            _ if stay.arrival < today => return Err(RefusalCode::InvalidDates),
            _ => {}
        }
    }
    let dropped_past = booking
        .stays
        .iter()
        .enumerate()
        .any(|(index, stay)| in_house && stay.arrival < today && !continued.contains(&index));
    let total: i64 = wishes.iter().map(|wish| wish.stay.nights().count()).sum();
    if dropped_past || total > MAX_STAY_NIGHTS { Err(RefusalCode::InvalidDates) } else { Ok(()) }
}
