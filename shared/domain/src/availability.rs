//! Availability search: what could be sold now, at which price, and what prevents it.
//!
//! It applies the rules of [`crate::decide`] without deciding: what is bookable here is confirmed when it is requested
//! in the same state. A result reserves nothing; beds are claimed by decisions alone.

mod occupancy;

pub use occupancy::{Holding, Occupancy};

use crate::allocation::eligibility::check_party;
use crate::allocation::neighbourhood::{homes, reach, unit_of};
use crate::allocation::problem::{Item, ReshuffleProblem};
use crate::allocation::{AllocationError, allocate};
use crate::booking::{Rejection, StayRequest};
use crate::grid::{RoomTypeLayout, Span};
use crate::ids::RoomTypeId;
use crate::inventory::{RatePlan, Room, RoomKind};
use crate::nights::Nights;
use crate::pricing::{Price, price};
use crate::rates::restrictions::{self, RestrictionViolation};
use chrono::NaiveDate;

/// Free units for a stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vacancy {
    /// Units left on its fullest night: beds of a dorm, or private rooms large enough for the guests.
    pub units: usize,
    /// Whether the stay would get beds, with others reassigned if needed.
    pub fits: bool,
}

/// A stay on one rate plan.
#[derive(Debug, Clone)]
pub struct Offer<'a> {
    /// The plan.
    pub plan: &'a RatePlan,
    /// Price of the stay, taxes included.
    pub price: Price,
    /// Restrictions of the plan that it violates.
    pub violations: Vec<RestrictionViolation>,
}

/// Availability of one room type for one stay.
#[derive(Debug, Clone)]
pub struct RoomTypeAvailability<'a> {
    /// Free units.
    pub vacancy: Vacancy,
    /// Reason for which these guests cannot book the type, whatever is free.
    pub ineligible: Option<Rejection>,
    /// Every plan that sells the type.
    pub offers: Vec<Offer<'a>>,
}

impl RoomTypeAvailability<'_> {
    /// Whether some plan sells the stay.
    pub fn is_bookable(&self) -> bool {
        self.vacancy.fits && self.ineligible.is_none() && self.offers.iter().any(|offer| offer.violations.is_empty())
    }
}

impl Occupancy {
    /// The availability of a stay requested on `today`, a local date at the property.
    pub fn search(&self, requested: &StayRequest, today: NaiveDate) -> RoomTypeAvailability<'_> {
        let stays = std::slice::from_ref(requested);
        let (inventory, rates) = (self.grid().inventory(), self.grid().rates());
        let offer = |plan| {
            Some(Offer {
                plan,
                price: price(inventory, rates, plan, stays)?,
                violations: restrictions::check(rates, &plan.id, stays, today),
            })
        };
        RoomTypeAvailability {
            vacancy: self.vacancy(requested),
            ineligible: check_party(inventory, stays).err(),
            offers: inventory.rate_plans.iter().filter_map(offer).collect(),
        }
    }

    /// Whether there is room for a stay.
    pub fn vacancy(&self, requested: &StayRequest) -> Vacancy {
        const NONE: Vacancy = Vacancy { units: 0, fits: false };
        let grid = self.grid();
        let (Some(layout), Some(span)) = (grid.beds_of(&requested.room_type_id), grid.span(requested.nights())) else {
            return NONE;
        };
        let Ok(guests) = usize::try_from(requested.guests) else { return NONE };
        let large = if layout.kind == RoomKind::Private { guests } else { 1 };
        let mut units = layout.units();
        units.retain(|beds| beds.len() >= large);
        let open = ReshuffleProblem::of_units(grid, &units).fixed;
        let left = (span.first()..span.end())
            .map(|night| open.iter().filter(|row| !row.taken(night)).count())
            .min()
            .unwrap_or(0);
        match allocate(grid, requested) {
            Ok(_) => Vacancy { units: left, fits: true },
            // A stay with fewer guests may free a larger room.
            Err(AllocationError::Taken) if self.can_reshuffle(requested, layout, span, guests) => {
                Vacancy { units: left.max(1), fits: true }
            }
            Err(AllocationError::Taken) => {
                Vacancy { units: left.min(open.iter().filter(|row| !row.overlaps(&span)).count()), fits: false }
            }
            Err(_) => Vacancy { units: left, fits: false },
        }
    }

    /// Whether reassigning stays makes room, searched as a decision does.
    fn can_reshuffle(&self, requested: &StayRequest, layout: &RoomTypeLayout, span: Span, guests: usize) -> bool {
        let (grid, units, kind) = (self.grid(), layout.units(), layout.kind);
        let (count, beds) = if kind == RoomKind::Private { (1, guests) } else { (guests, 1) };
        let mut base = ReshuffleProblem::of_units(grid, &units);
        base.items.extend(std::iter::repeat_n(Item { span, beds, home: None }, count));
        if !base.has_room() {
            return false;
        }
        let unit_of = unit_of(&units);
        reach(grid, &base.fixed, &[span]).into_iter().filter_map(|nights| grid.clipped_span(nights)).any(|within| {
            let mut problem = base.clone();
            for (span, beds, guests) in self.movable(&requested.room_type_id, &within) {
                let Some(homes) = homes(&beds, &units, &unit_of, kind) else { continue };
                let needed = if kind == RoomKind::Private { guests } else { 1 };
                for home in homes {
                    problem.fixed[home].free(&span);
                    problem.items.push(Item { span, beds: needed, home: Some(home) });
                }
            }
            problem.solve().is_some()
        })
    }

    /// Units of a room type that are free on each of the nights: beds of a dorm, whole private rooms. Nights that
    /// cannot be sold have none.
    pub fn free_units(&self, room_type: &RoomTypeId, nights: Nights) -> Vec<(NaiveDate, usize)> {
        let units = self.grid().beds_of(room_type).map(RoomTypeLayout::units).unwrap_or_default();
        self.free_on(&units, nights)
    }

    /// Beds of a room that are free on each of the nights.
    pub fn free_beds(&self, room: &Room, nights: Nights) -> Vec<(NaiveDate, usize)> {
        let beds: Vec<Vec<usize>> =
            room.active_beds().filter_map(|bed| self.grid().bed_number(bed)).map(|bed| vec![bed]).collect();
        self.free_on(&beds, nights)
    }

    fn free_on(&self, units: &[Vec<usize>], nights: Nights) -> Vec<(NaiveDate, usize)> {
        let grid = self.grid();
        let rows = ReshuffleProblem::of_units(grid, units).fixed;
        let free = |night: NaiveDate| {
            let sold = grid.span(Nights::new(night, night.succ_opt().unwrap_or(night)));
            sold.map_or(0, |span| rows.iter().filter(|row| !row.overlaps(&span)).count())
        };
        nights.iter().map(|night| (night, free(night))).collect()
    }
}

#[cfg(test)]
mod tests;
