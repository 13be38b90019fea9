//! Which beds a stay gets.
//!
//! A stay never changes bed. Among the possibilities: a group in one room before several rooms, then the smallest
//! leftover gaps, then the fullest room, so that empty rooms stay whole.

use crate::booking::{Rejection, StayRequest};
use crate::inventory::{Room, RoomKind};
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

/// The numbers of the beds for this stay, by the view's numbering. Marks nothing.
///
/// # Errors
/// [`NoBeds`] says why there are none.
pub fn allocate(view: &PropertyView, stay: &StayRequest) -> Result<Vec<usize>, NoBeds> {
    let inventory = view.inventory();
    let room_type = inventory.room_type(&stay.room_type_id).ok_or(NoBeds::UnknownType)?;
    let guests = usize::try_from(stay.guests).map_err(|_| NoBeds::OverCapacity)?;
    if guests == 0 || guests > inventory.capacity(room_type) {
        return Err(NoBeds::OverCapacity);
    }
    let span = view.span(stay.nights()).ok_or(NoBeds::OutsideHorizon)?;
    let rooms: Vec<&Room> = inventory.rooms_of(&room_type.id).collect();
    let found = match room_type.kind {
        RoomKind::Private => whole_room(view, &rooms, &span, guests),
        RoomKind::Dorm => beds_in_dorms(view, &rooms, &span, guests),
    };
    found.ok_or(NoBeds::Taken)
}

fn whole_room(view: &PropertyView, rooms: &[&Room], span: &Span, guests: usize) -> Option<Vec<usize>> {
    rooms
        .iter()
        .filter(|room| room.beds.len() >= guests)
        .filter_map(|room| {
            let beds: Vec<usize> = room.beds.iter().filter_map(|bed| view.bed_number(bed)).collect();
            let free = beds.iter().all(|bed| view.is_free(*bed, span));
            let gap: usize = beds.iter().map(|bed| view.leftover_gap(*bed, span)).sum();
            free.then_some((gap, beds))
        })
        .min_by_key(|(gap, _)| *gap)
        .map(|(_, beds)| beds)
}

/// Free beds of one dorm, best fitting first.
struct FreeBeds {
    beds: Vec<(usize, usize)>,
}

impl FreeBeds {
    fn of(view: &PropertyView, room: &Room, span: &Span) -> Self {
        let numbers = room.beds.iter().filter_map(|bed| view.bed_number(bed));
        let mut beds: Vec<(usize, usize)> = numbers.filter(|bed| view.is_free(*bed, span)).map(|bed| (view.leftover_gap(bed, span), bed)).collect();
        beds.sort_unstable();
        Self { beds }
    }

    fn gap_of_first(&self, guests: usize) -> usize {
        self.beds.iter().take(guests).map(|(gap, _)| gap).sum()
    }

    fn take(&self, guests: usize) -> impl Iterator<Item = usize> {
        self.beds.iter().take(guests).map(|(_, bed)| *bed)
    }
}

fn beds_in_dorms(view: &PropertyView, rooms: &[&Room], span: &Span, guests: usize) -> Option<Vec<usize>> {
    let mut dorms: Vec<FreeBeds> = rooms.iter().map(|room| FreeBeds::of(view, room, span)).collect();
    let together = dorms.iter().filter(|dorm| dorm.beds.len() >= guests).min_by_key(|dorm| (dorm.gap_of_first(guests), dorm.beds.len()));
    if let Some(dorm) = together {
        return Some(dorm.take(guests).collect());
    }
    // No room takes them all: the emptiest rooms first, so that the group touches as few as possible.
    dorms.sort_by_key(|dorm| std::cmp::Reverse(dorm.beds.len()));
    let beds: Vec<usize> = dorms.iter().flat_map(|dorm| dorm.beds.iter().map(|(_, bed)| *bed)).take(guests).collect();
    (beds.len() == guests).then_some(beds)
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
