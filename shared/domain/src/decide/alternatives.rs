//! Alternatives to a rejected request: the same room types some days earlier or later, or another one on the same
//! dates.

use super::Decider;
use crate::allocation::allocate;
use crate::allocation::eligibility::check_party;
use crate::booking::{Alternative, Rejection, StayRequest};
use crate::ids::RoomTypeId;
use crate::messages::RequestBooking;
use crate::pricing::price;
use crate::rates::restrictions;
use chrono::{NaiveDate, TimeDelta};

/// Most alternatives per rejection.
const MAX_ALTERNATIVES: usize = 3;
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
        let today = self.local_date(property, request.requested_at);
        let Some(grid) = self.grid(property) else { return Vec::new() };
        let others: Vec<RoomTypeId> =
            grid.inventory().room_types.iter().map(|room_type| room_type.id.clone()).collect();
        let shifted = SHIFTS.into_iter().filter_map(|days| shifted(&request.stays, days));
        let retyped = others.iter().map(|id| retyped(&request.stays, id)).filter(|stays| *stays != request.stays);
        let mut offers = Vec::new();
        for stays in shifted.chain(retyped) {
            if offers.len() == MAX_ALTERNATIVES {
                break;
            }
            offers.extend(self.offer(request, stays, today));
        }
        offers
    }

    fn offer(&mut self, request: &RequestBooking, stays: Vec<StayRequest>, today: NaiveDate) -> Option<Alternative> {
        let property = &request.property_id;
        let grid = self.grid(property)?;
        let inventory = grid.inventory();
        let sold = stays.iter().all(|stay| stay.arrival >= today)
            && check_party(inventory, &stays).is_ok()
            && restrictions::check(grid.rates(), &request.rate_plan_id, &stays, today).is_empty();
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
