//! Allocation of beds to a stay.
//!
//! A stay keeps its beds on all its nights. Preferences: a group in one room, then beds that are ready, then the
//! smallest leftover gaps, then the fewest rooms; among private rooms the one with the smallest gaps, so that free runs
//! stay whole.

pub mod eligibility;
pub(crate) mod neighbourhood;
pub(crate) mod problem;
mod reshuffle;
mod sweep;

use crate::booking::{Rejection, StayRequest};
use crate::grid::{OccupancyGrid, Span};
use crate::inventory::RoomKind;
use std::collections::BTreeMap;

/// Reason for which no beds can be allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllocationError {
    /// Not enough beds are free on all nights.
    Taken,
    /// More guests than the room type can take.
    OverCapacity,
    /// The room type does not exist.
    UnknownType,
    /// The nights lie outside the grid.
    OutsideHorizon,
}

impl From<AllocationError> for Rejection {
    fn from(none: AllocationError) -> Self {
        match none {
            AllocationError::Taken => Self::NoAvailability,
            AllocationError::OverCapacity => Self::OverCapacity,
            AllocationError::UnknownType => Self::Closed,
            AllocationError::OutsideHorizon => Self::InvalidDates,
        }
    }
}

/// Allocates beds by number for all guests of the stay on all its nights: one whole room of a private type, or one bed
/// per guest of a dorm.
///
/// # Errors
/// [`AllocationError`] says why there are none.
pub fn allocate(grid: &OccupancyGrid, stay: &StayRequest) -> Result<Vec<usize>, AllocationError> {
    allocate_keeping(grid, stay, &[], &BTreeMap::new())
}

/// Cost of a step that a bed is from ready, more than all nights of leftover gaps of a stay: guests at the desk cannot
/// move in.
const UNREADY: usize = 1 << 24;

/// As [`allocate`], keeping as many of the stay's `present` beds as possible. Those that are `unready`
/// come last, the further from ready the later, for guests who arrive now.
///
/// # Errors
/// [`AllocationError`] says why there are none.
pub fn allocate_keeping(
    grid: &OccupancyGrid,
    stay: &StayRequest,
    present: &[usize],
    unready: &BTreeMap<usize, usize>,
) -> Result<Vec<usize>, AllocationError> {
    let layout = grid.beds_of(&stay.room_type_id).ok_or(AllocationError::UnknownType)?;
    let guests = usize::try_from(stay.guests).map_err(|_| AllocationError::OverCapacity)?;
    if guests == 0 || guests > layout.capacity() {
        return Err(AllocationError::OverCapacity);
    }
    let span = grid.span(stay.nights()).ok_or(AllocationError::OutsideHorizon)?;
    let cost = |bed: usize| grid.leftover_gap(bed, &span) + UNREADY * unready.get(&bed).copied().unwrap_or(0);
    let found = match layout.kind {
        RoomKind::Private => whole_room(grid, &layout.rooms, (&span, &cost), guests, present),
        RoomKind::Dorm => beds_in_dorms(grid, &layout.rooms, (&span, &cost), guests, present),
    };
    found.ok_or(AllocationError::Taken)
}

fn whole_room(
    grid: &OccupancyGrid,
    rooms: &[Vec<usize>],
    (span, cost): (&Span, &impl Fn(usize) -> usize),
    guests: usize,
    present: &[usize],
) -> Option<Vec<usize>> {
    let fits = |room: &&Vec<usize>| room.len() >= guests && room.iter().all(|bed| grid.is_free(*bed, span));
    let preference = |room: &&Vec<usize>| {
        let kept = room.iter().any(|bed| present.contains(bed));
        (!kept, room.iter().map(|bed| cost(*bed)).sum::<usize>(), room.len())
    };
    rooms.iter().filter(fits).min_by_key(preference).cloned()
}

/// Free beds of one dorm with their costs, lowest first.
struct FreeBeds {
    beds: Vec<(usize, usize)>,
}

impl FreeBeds {
    fn of(grid: &OccupancyGrid, room: &[usize], (span, cost): (&Span, &impl Fn(usize) -> usize)) -> Self {
        let mut beds = Vec::with_capacity(room.len());
        beds.extend(room.iter().filter(|bed| grid.is_free(**bed, span)).map(|bed| (cost(*bed), *bed)));
        beds.sort_unstable();
        Self { beds }
    }

    fn cost_of_first(&self, guests: usize) -> usize {
        self.beds.iter().take(guests).map(|(cost, _)| cost).sum()
    }
}

fn beds_in_dorms(
    grid: &OccupancyGrid,
    rooms: &[Vec<usize>],
    (span, cost): (&Span, &impl Fn(usize) -> usize),
    guests: usize,
    present: &[usize],
) -> Option<Vec<usize>> {
    let kept: Vec<usize> = present
        .iter()
        .filter(|bed| rooms.iter().flatten().any(|own| own == *bed) && grid.is_free(**bed, span))
        .copied()
        .collect();
    if kept.len() >= guests {
        return Some(kept.into_iter().take(guests).collect());
    }
    let mut dorms: Vec<FreeBeds> = rooms.iter().map(|room| FreeBeds::of(grid, room, (span, cost))).collect();
    if kept.is_empty() {
        let together = dorms
            .iter()
            .filter(|dorm| dorm.beds.len() >= guests)
            .min_by_key(|dorm| (dorm.cost_of_first(guests), dorm.beds.len()));
        if let Some(dorm) = together {
            return Some(dorm.beds.iter().take(guests).map(|(_, bed)| *bed).collect());
        }
    }
    for dorm in &mut dorms {
        dorm.beds.retain(|(_, bed)| !kept.contains(bed));
    }
    let wanted = guests - kept.len();
    let more = across_dorms(&dorms, wanted, |index| rooms[index].iter().any(|bed| kept.contains(bed)))?;
    Some(kept.into_iter().chain(more).collect())
}

/// The beds with the lowest costs; of equal ones those in rooms already used, then in rooms with the most of them.
fn across_dorms(dorms: &[FreeBeds], wanted: usize, touched: impl Fn(usize) -> bool) -> Option<Vec<usize>> {
    let mut costs: Vec<usize> = dorms.iter().flat_map(|dorm| dorm.beds.iter().map(|(cost, _)| *cost)).collect();
    if costs.len() < wanted {
        return None;
    }
    costs.sort_unstable();
    let worst = costs[wanted.saturating_sub(1)];
    let mut beds = Vec::with_capacity(wanted);
    let mut at_worst: Vec<(bool, usize, Vec<usize>)> = Vec::with_capacity(dorms.len());
    for (index, dorm) in dorms.iter().enumerate() {
        let better = dorm.beds.iter().filter(|(cost, _)| *cost < worst).map(|(_, bed)| *bed);
        let before = beds.len();
        beds.extend(better);
        let equal: Vec<usize> = dorm.beds.iter().filter(|(cost, _)| *cost == worst).map(|(_, bed)| *bed).collect();
        at_worst.push((!(touched(index) || beds.len() > before), usize::MAX - equal.len(), equal));
    }
    at_worst.sort_unstable();
    let missing = wanted - beds.len().min(wanted);
    beds.extend(at_worst.into_iter().flat_map(|(_, _, equal)| equal).take(missing));
    Some(beds)
}

#[cfg(test)]
mod tests {
    use super::{AllocationError, allocate, allocate_keeping};
    use crate::fixtures::{date, sample_inventory, stay};
    use crate::grid::OccupancyGrid;
    use crate::nights::Nights;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn grid() -> OccupancyGrid {
        OccupancyGrid::new(Arc::new(sample_inventory()), date("2026-12-01"))
    }

    fn book(grid: &mut OccupancyGrid, requested: &crate::booking::StayRequest) -> Result<Vec<usize>, AllocationError> {
        let beds = allocate(grid, requested)?;
        let span = grid.span(requested.nights()).unwrap();
        beds.iter().for_each(|bed| grid.take(*bed, &span));
        Ok(beds)
    }

    #[test]
    fn group_shares_a_room_with_space() {
        let mut grid = grid();
        assert_eq!(book(&mut grid, &stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 4)).unwrap().len(), 4);
        let second = book(&mut grid, &stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 5)).unwrap();
        assert!(second.iter().all(|bed| (6..12).contains(bed)), "{second:?}");
    }

    #[test]
    fn group_is_split_before_it_is_refused() {
        let mut grid = grid();
        assert_eq!(book(&mut grid, &stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 8)).unwrap().len(), 8);
        assert_eq!(book(&mut grid, &stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 4)).unwrap().len(), 4);
        assert_eq!(book(&mut grid, &stay("dorm-6-mixed", "2027-01-11", "2027-01-12", 1)), Err(AllocationError::Taken));
    }

    #[test]
    fn private_room_is_taken_whole() {
        let mut grid = grid();
        assert_eq!(book(&mut grid, &stay("private-double", "2027-01-10", "2027-01-12", 1)), Ok(vec![12, 13]));
        assert_eq!(book(&mut grid, &stay("private-double", "2027-01-10", "2027-01-12", 1)), Ok(vec![14, 15]));
        assert_eq!(
            book(&mut grid, &stay("private-double", "2027-01-11", "2027-01-12", 1)),
            Err(AllocationError::Taken)
        );
        assert_eq!(
            allocate(&grid, &stay("private-double", "2027-01-20", "2027-01-22", 3)),
            Err(AllocationError::OverCapacity)
        );
    }

    #[test]
    fn short_stay_fills_a_gap_first() {
        let mut grid = grid();
        let neighbours = [("2027-01-01", "2027-01-10"), ("2027-01-12", "2027-01-20")];
        for (arrival, departure) in neighbours {
            let span = grid.span(crate::nights::Nights::new(date(arrival), date(departure))).unwrap();
            grid.take(3, &span);
        }
        assert_eq!(allocate(&grid, &stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 1)), Ok(vec![3]));
    }

    proptest! {
        /// Beds of the dorms are 0 to 11, those of the private rooms 12 to 15, two each.
        #[test]
        fn clean_bed_is_chosen_where_one_is_free(
            taken in prop::collection::vec((0..16_usize, 1..20_u64, 1..8_u64), 0..20),
            avoided in prop::collection::btree_set(0..16_usize, 0..16),
            guests in 1..=6_u32,
            is_private in any::<bool>(),
        ) {
            let mut grid = grid();
            let day = |number: u64| date("2026-12-01") + chrono::Days::new(number);
            for (bed, arrival, nights) in taken {
                let span = grid.span(Nights::new(day(arrival), day(arrival + nights))).unwrap();
                grid.take(bed, &span);
            }
            let room_type = if is_private { "private-double" } else { "dorm-6-mixed" };
            let guests = if is_private { guests.min(2) } else { guests };
            let requested = stay(room_type, "2026-12-10", "2026-12-12", guests);
            let span = grid.span(requested.nights()).unwrap();
            let avoided: Vec<usize> = avoided.into_iter().collect();
            let all = allocate(&grid, &requested);
            let unready = avoided.iter().map(|bed| (*bed, 1)).collect();
            let chosen = allocate_keeping(&grid, &requested, &[], &unready);
            // It never decides whether there are beds.
            prop_assert_eq!(all.is_ok(), chosen.is_ok());
            let (Ok(all), Ok(chosen)) = (all, chosen) else { return Ok(()) };
            let gaps = |beds: &[usize]| beds.iter().map(|bed| grid.leftover_gap(*bed, &span)).sum::<usize>();
            let dirty = |beds: &[usize]| beds.iter().filter(|bed| avoided.contains(bed)).count();
            prop_assert!(dirty(&chosen) <= dirty(&all), "{:?} instead of {:?}", chosen, all);
            prop_assert!(dirty(&chosen) < dirty(&all) || gaps(&chosen) == gaps(&all), "they fit as well");
            let units: Vec<Vec<usize>> =
                if is_private { vec![vec![12, 13], vec![14, 15]] } else { (0..12).map(|bed| vec![bed]).collect() };
            let is_ready =
                |unit: &Vec<usize>| unit.iter().all(|bed| grid.is_free(*bed, &span)) && dirty(unit) == 0;
            if (guests == 1 || is_private) && units.iter().any(is_ready) {
                prop_assert_eq!(dirty(&chosen), 0);
            }
        }
    }
}
