//! Which beds a stay gets.
//!
//! A stay never changes bed for want of room. Among the possibilities: a group in one room before several rooms, then
//! the smallest leftover gaps, then the fewest rooms; among whole rooms the fullest, so that empty rooms stay whole.

pub mod eligibility;
pub mod reshuffle;
pub(crate) mod surroundings;
mod sweep;

use crate::booking::{Rejection, StayRequest};
use crate::inventory::RoomKind;
use crate::view::{PropertyView, Span};

/// Why a stay got no beds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoBeds {
    /// Not enough are free on all its nights.
    Taken,
    /// The type could not take so many guests even if it were empty.
    OverCapacity,
    /// The room type is not sold here.
    UnknownType,
    /// The nights lie outside what can be sold.
    OutsideHorizon,
}

impl From<NoBeds> for Rejection {
    fn from(none: NoBeds) -> Self {
        match none {
            NoBeds::Taken => Self::NoAvailability,
            NoBeds::OverCapacity => Self::OverCapacity,
            NoBeds::UnknownType => Self::Closed,
            NoBeds::OutsideHorizon => Self::InvalidDates,
        }
    }
}

/// Beds by number for all guests of the stay on all its nights: for a private room type one whole room, else one bed a
/// guest.
///
/// # Errors
/// [`NoBeds`] says why there are none.
pub fn allocate(view: &PropertyView, stay: &StayRequest) -> Result<Vec<usize>, NoBeds> {
    allocate_keeping(view, stay, &[])
}

/// As [`allocate`]; of the beds that the stay has, `present`, it keeps as many as it can.
///
/// # Errors
/// [`NoBeds`] says why there are none.
pub fn allocate_keeping(view: &PropertyView, stay: &StayRequest, present: &[usize]) -> Result<Vec<usize>, NoBeds> {
    let layout = view.beds_of(&stay.room_type_id).ok_or(NoBeds::UnknownType)?;
    let guests = usize::try_from(stay.guests).map_err(|_| NoBeds::OverCapacity)?;
    if guests == 0 || guests > layout.capacity() {
        return Err(NoBeds::OverCapacity);
    }
    let span = view.span(stay.nights()).ok_or(NoBeds::OutsideHorizon)?;
    let found = match layout.kind {
        RoomKind::Private => whole_room(view, &layout.rooms, &span, guests, present),
        RoomKind::Dorm => beds_in_dorms(view, &layout.rooms, &span, guests, present),
    };
    found.ok_or(NoBeds::Taken)
}

fn whole_room(
    view: &PropertyView,
    rooms: &[Vec<usize>],
    span: &Span,
    guests: usize,
    present: &[usize],
) -> Option<Vec<usize>> {
    let fits = |room: &&Vec<usize>| room.len() >= guests && room.iter().all(|bed| view.is_free(*bed, span));
    let cost = |room: &&Vec<usize>| {
        let kept = room.iter().any(|bed| present.contains(bed));
        (!kept, room.iter().map(|bed| view.leftover_gap(*bed, span)).sum::<usize>(), room.len())
    };
    rooms.iter().filter(fits).min_by_key(cost).cloned()
}

/// Free beds of one dorm, best fitting first.
struct FreeBeds {
    beds: Vec<(usize, usize)>,
}

impl FreeBeds {
    fn of(view: &PropertyView, room: &[usize], span: &Span) -> Self {
        let free = room.iter().filter(|bed| view.is_free(**bed, span));
        let mut beds: Vec<(usize, usize)> = free.map(|bed| (view.leftover_gap(*bed, span), *bed)).collect();
        beds.sort_unstable();
        Self { beds }
    }

    fn gap_of_first(&self, guests: usize) -> usize {
        self.beds.iter().take(guests).map(|(gap, _)| gap).sum()
    }
}

fn beds_in_dorms(
    view: &PropertyView,
    rooms: &[Vec<usize>],
    span: &Span,
    guests: usize,
    present: &[usize],
) -> Option<Vec<usize>> {
    let kept: Vec<usize> = present
        .iter()
        .filter(|bed| rooms.iter().flatten().any(|own| own == *bed) && view.is_free(**bed, span))
        .copied()
        .collect();
    if kept.len() >= guests {
        return Some(kept.into_iter().take(guests).collect());
    }
    let mut dorms: Vec<FreeBeds> = rooms.iter().map(|room| FreeBeds::of(view, room, span)).collect();
    if kept.is_empty() {
        let together = dorms
            .iter()
            .filter(|dorm| dorm.beds.len() >= guests)
            .min_by_key(|dorm| (dorm.gap_of_first(guests), dorm.beds.len()));
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

/// The beds with the smallest gaps; where gaps are equal, rooms that are touched anyway, then those with the most such
/// beds.
fn across_dorms(dorms: &[FreeBeds], wanted: usize, touched: impl Fn(usize) -> bool) -> Option<Vec<usize>> {
    let mut gaps: Vec<usize> = dorms.iter().flat_map(|dorm| dorm.beds.iter().map(|(gap, _)| *gap)).collect();
    if gaps.len() < wanted {
        return None;
    }
    gaps.sort_unstable();
    let worst = gaps[wanted.saturating_sub(1)];
    let mut beds = Vec::with_capacity(wanted);
    let mut at_worst: Vec<(bool, usize, Vec<usize>)> = Vec::with_capacity(dorms.len());
    for (index, dorm) in dorms.iter().enumerate() {
        let better = dorm.beds.iter().filter(|(gap, _)| *gap < worst).map(|(_, bed)| *bed);
        let before = beds.len();
        beds.extend(better);
        let equal: Vec<usize> = dorm.beds.iter().filter(|(gap, _)| *gap == worst).map(|(_, bed)| *bed).collect();
        at_worst.push((!(touched(index) || beds.len() > before), usize::MAX - equal.len(), equal));
    }
    at_worst.sort_unstable();
    let missing = wanted - beds.len().min(wanted);
    beds.extend(at_worst.into_iter().flat_map(|(_, _, equal)| equal).take(missing));
    Some(beds)
}

#[cfg(test)]
mod tests {
    use super::{NoBeds, allocate};
    use crate::fixtures::{date, hostel, stay};
    use crate::view::PropertyView;
    use std::sync::Arc;

    fn view() -> PropertyView {
        PropertyView::new(Arc::new(hostel()), date("2026-12-01"))
    }

    fn book(view: &mut PropertyView, asked: &crate::booking::StayRequest) -> Result<Vec<usize>, NoBeds> {
        let beds = allocate(view, asked)?;
        let span = view.span(asked.nights()).unwrap();
        beds.iter().for_each(|bed| view.take(*bed, &span));
        Ok(beds)
    }

    #[test]
    fn a_group_shares_a_room_when_one_has_space() {
        let mut view = view();
        assert_eq!(book(&mut view, &stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 4)).unwrap().len(), 4);
        let second = book(&mut view, &stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 5)).unwrap();
        assert!(second.iter().all(|bed| (6..12).contains(bed)), "{second:?}");
    }

    #[test]
    fn a_group_is_split_before_it_is_refused() {
        let mut view = view();
        assert_eq!(book(&mut view, &stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 8)).unwrap().len(), 8);
        assert_eq!(book(&mut view, &stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 4)).unwrap().len(), 4);
        assert_eq!(book(&mut view, &stay("dorm-6-mixed", "2027-01-11", "2027-01-12", 1)), Err(NoBeds::Taken));
    }

    #[test]
    fn a_private_room_is_taken_whole() {
        let mut view = view();
        assert_eq!(book(&mut view, &stay("private-double", "2027-01-10", "2027-01-12", 1)), Ok(vec![12, 13]));
        assert_eq!(book(&mut view, &stay("private-double", "2027-01-10", "2027-01-12", 1)), Ok(vec![14, 15]));
        assert_eq!(book(&mut view, &stay("private-double", "2027-01-11", "2027-01-12", 1)), Err(NoBeds::Taken));
        assert_eq!(allocate(&view, &stay("private-double", "2027-01-20", "2027-01-22", 3)), Err(NoBeds::OverCapacity));
    }

    #[test]
    fn a_short_stay_fills_a_gap_before_it_breaks_a_free_run() {
        let mut view = view();
        let neighbours = [("2027-01-01", "2027-01-10"), ("2027-01-12", "2027-01-20")];
        for (arrival, departure) in neighbours {
            let span = view.span(crate::nights::Nights::new(date(arrival), date(departure))).unwrap();
            view.take(3, &span);
        }
        assert_eq!(allocate(&view, &stay("dorm-6-mixed", "2027-01-10", "2027-01-12", 1)), Ok(vec![3]));
    }
}
