//! Alternatives to a rejected request: the same room types some days earlier or later, or another one on the same
//! dates.

use super::Decider;
use super::repricing::Continued;
use crate::allocation::allocate;
use crate::allocation::eligibility::check_party;
use crate::booking::{Alternative, Booking, Rejection, StayRequest};
use crate::business_day::{business_date, first_bookable_night};
use crate::ids::RoomTypeId;
use crate::messages::{RequestBooking, StayModification};
use crate::nights::Nights;
use crate::pricing::price;
use crate::rates::restrictions;
use chrono::{NaiveDate, TimeDelta};
use std::sync::Arc;

/// Most alternatives per rejection.
pub(super) const MAX_ALTERNATIVES: usize = 3;
/// Shifts of the dates that are tried, nearest first, in days.
const SHIFTS: [i64; 6] = [1, -1, 2, -2, 3, -3];

impl Decider<'_> {
    /// At most three priced offers that could be booked now without reassigning other bookings. Only for rejections
    /// that other dates or room types can avoid.
    pub(super) fn alternatives(&mut self, request: &RequestBooking, rejection: Rejection) -> Vec<Alternative> {
        if !matches!(rejection, Rejection::NoAvailability | Rejection::Restriction | Rejection::Gender | Rejection::Age)
        {
            return Vec::new();
        }
        let property = &request.property_id;
        self.journal.adopt(property, self.known.grids.get(property));
        let Some(grid) = self.grid(property) else { return Vec::new() };
        let bookable = first_bookable_night(&grid.inventory().property, request.requested_at, false);
        // Staff may have requested the night before.
        let first_night = request.stays.iter().map(|stay| stay.arrival).fold(bookable, NaiveDate::min);
        let others: Vec<RoomTypeId> =
            grid.inventory().room_types.iter().map(|room_type| room_type.id.clone()).collect();
        let shifted = SHIFTS.into_iter().filter_map(|days| shifted(&request.stays, days));
        let retyped = others.iter().map(|id| retyped(&request.stays, id)).filter(|stays| *stays != request.stays);
        let mut offers = Vec::new();
        for stays in shifted.chain(retyped) {
            if offers.len() == MAX_ALTERNATIVES {
                break;
            }
            offers.extend(self.offer(request, stays, first_night));
        }
        offers
    }

    /// Alternatives to a longer stay of checked-in guests, whose beds are taken: as long as they can stay in them, or
    /// from then on in another room type. The beds of the stay have been released.
    pub(super) fn shorter_or_split(
        &mut self,
        booking: &Booking,
        modifications: &[StayModification],
        (index, ahead): (usize, Nights),
        beds: &[usize],
    ) -> Vec<Alternative> {
        let today = self.today(&booking.property_id);
        let Some(grid) = self.grid(&booking.property_id) else { return Vec::new() };
        let (inventory, Some(span)) = (Arc::clone(grid.inventory()), grid.span(ahead)) else { return Vec::new() };
        let free = beds.iter().map(|bed| grid.row(*bed).free_run(span.first())).min().unwrap_or(0);
        let until = grid.date_at(span.end().min(span.first() + free));
        let stays: Vec<Continued> =
            modifications.iter().map(|one| Continued { requested: one.stay.clone(), before: one.continues }).collect();
        let Some(stay) = stays.get(index).filter(|stay| stay.requested.arrival < until && until < ahead.departure)
        else {
            return Vec::new();
        };
        let rest = StayRequest { arrival: until, departure: ahead.departure, ..stay.requested.clone() };
        let mut shorter = stays.clone();
        shorter[index].requested.departure = until;
        let others = inventory.room_types.iter().filter(|other| other.id != rest.room_type_id);
        let split = others.map(|other| StayRequest { room_type_id: other.id.clone(), ..rest.clone() });
        let split = split.filter(|other| allocate(grid, other).is_ok()).map(|requested| {
            let added = Continued { requested, before: None };
            shorter.iter().cloned().chain([added]).collect::<Vec<_>>()
        });
        let is_longer =
            booking.stays.iter().enumerate().any(|(before, had)| stay.before == Some(before) && had.departure < until);
        let offers: Vec<Vec<Continued>> = is_longer.then(|| shorter.clone()).into_iter().chain(split).collect();
        let mut priced = Vec::new();
        for stays in offers {
            let requests: Vec<StayRequest> = stays.iter().map(|stay| stay.requested.clone()).collect();
            if check_party(&inventory, &requests).is_ok()
                && let Ok(price) = self.reprice(booking, &booking.rate_plan_id, &stays, today)
            {
                priced.push(Alternative { stays: requests, total: price.total });
            }
        }
        priced
    }

    fn offer(
        &mut self,
        request: &RequestBooking,
        stays: Vec<StayRequest>,
        first_night: NaiveDate,
    ) -> Option<Alternative> {
        let property = &request.property_id;
        let grid = self.grid(property)?;
        let inventory = grid.inventory();
        let booked_on = business_date(&inventory.property, request.requested_at);
        let sold = stays.iter().all(|stay| stay.arrival >= first_night)
            && check_party(inventory, &stays).is_ok()
            && restrictions::check(grid.rates(), &request.rate_plan_id, &stays, booked_on).is_empty();
        let price =
            price(inventory, grid.rates(), inventory.rate_plan(&request.rate_plan_id)?, &stays).filter(|_| sold)?;
        let mark = self.journal.mark();
        let fits = stays.iter().all(|stay| self.try_on(request, stay).is_some());
        self.journal.undo_to(mark);
        fits.then_some(Alternative { stays, total: price.total })
    }

    fn try_on(&mut self, request: &RequestBooking, stay: &StayRequest) -> Option<()> {
        let grid = self.grid(&request.property_id)?;
        let (beds, span) = (allocate(grid, stay).ok()?, grid.span(stay.nights())?);
        beds.into_iter().for_each(|bed| self.journal.take(&request.property_id, bed, &span));
        Some(())
    }
}

fn shifted(stays: &[StayRequest], days: i64) -> Option<Vec<StayRequest>> {
    let by = TimeDelta::days(days);
    let moved = |stay: &StayRequest| {
        Some(StayRequest {
            arrival: stay.arrival.checked_add_signed(by)?,
            departure: stay.departure.checked_add_signed(by)?,
            ..stay.clone()
        })
    };
    stays.iter().map(moved).collect()
}

fn retyped(stays: &[StayRequest], room_type: &RoomTypeId) -> Vec<StayRequest> {
    stays.iter().map(|stay| StayRequest { room_type_id: room_type.clone(), ..stay.clone() }).collect()
}
