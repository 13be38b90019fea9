//! Who sleeps where, as bits: the in-memory hint by which a worker decides.
//!
//! One bit a bed and night. The view may say yes wrongly (the unique claim in the store then judges) but a no counts
//! only when the view was read after the batch began: see [`crate::decide`].

use crate::ids::BedId;
use crate::inventory::Inventory;
use crate::nights::Nights;
use chrono::NaiveDate;
use std::collections::HashMap;
use std::sync::Arc;

const WORD_BITS: usize = 64;
const WORDS: usize = 15;

/// Nights that a view covers, from its origin: 540 days ahead, 365 nights of stay, and slack for the days until it is read again.
pub const HORIZON_NIGHTS: usize = WORDS * WORD_BITS;

/// How far from a stay's edges leftover gaps still matter, in nights.
const GAP_LIMIT: usize = 14;

/// Occupied nights of one bed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row([u64; WORDS]);

impl Row {
    const EMPTY: Self = Self([0; WORDS]);

    fn taken(&self, night: usize) -> bool {
        self.0[night / WORD_BITS] >> (night % WORD_BITS) & 1 == 1
    }

    fn overlaps(&self, mask: &Self) -> bool {
        self.0.iter().zip(&mask.0).any(|(row, mask)| row & mask != 0)
    }
}

/// A stay's nights as offsets from a view's origin.
#[derive(Debug, Clone)]
pub struct Span {
    first: usize,
    end: usize,
    mask: Row,
}

/// Occupancy of one property.
#[derive(Debug, Clone)]
pub struct PropertyView {
    inventory: Arc<Inventory>,
    origin: NaiveDate,
    rows: Vec<Row>,
    beds: Arc<[BedId]>,
    index: Arc<HashMap<BedId, usize>>,
}

impl PropertyView {
    /// An empty house whose first night is `origin`. Beds are numbered room by room.
    pub fn new(inventory: Arc<Inventory>, origin: NaiveDate) -> Self {
        let beds: Arc<[BedId]> = inventory.rooms.iter().flat_map(|room| room.beds.iter().cloned()).collect();
        let index = beds.iter().cloned().enumerate().map(|(number, bed)| (bed, number)).collect();
        Self { rows: vec![Row::EMPTY; beds.len()], beds, index: Arc::new(index), inventory, origin }
    }

    /// What the house consists of.
    pub fn inventory(&self) -> &Arc<Inventory> {
        &self.inventory
    }

    /// The first night covered.
    pub fn origin(&self) -> NaiveDate {
        self.origin
    }

    /// The nights within this view, or `None` when some lie outside it.
    pub fn span(&self, nights: Nights) -> Option<Span> {
        let first = usize::try_from((nights.arrival - self.origin).num_days()).ok()?;
        let end = usize::try_from((nights.departure - self.origin).num_days()).ok()?;
        if first >= end || end > HORIZON_NIGHTS {
            return None;
        }
        let mut mask = Row::EMPTY;
        for night in first..end {
            mask.0[night / WORD_BITS] |= 1 << (night % WORD_BITS);
        }
        Some(Span { first, end, mask })
    }

    /// The bed of this number.
    pub fn bed_id(&self, number: usize) -> &BedId {
        &self.beds[number]
    }

    /// The bed's number, if the house has it.
    pub fn bed_number(&self, bed: &BedId) -> Option<usize> {
        self.index.get(bed).copied()
    }

    /// Whether the bed is free on every night of the span.
    pub fn is_free(&self, bed: usize, span: &Span) -> bool {
        !self.rows[bed].overlaps(&span.mask)
    }

    /// Marks the bed as taken for the span.
    pub fn take(&mut self, bed: usize, span: &Span) {
        self.rows[bed].0.iter_mut().zip(&span.mask.0).for_each(|(row, mask)| *row |= mask);
    }

    /// Marks the bed as free for the span.
    pub fn free(&mut self, bed: usize, span: &Span) {
        self.rows[bed].0.iter_mut().zip(&span.mask.0).for_each(|(row, mask)| *row &= !mask);
    }

    /// Marks one claimed night, as read from the store. Beds and nights that this view does not know are ignored: they
    /// cannot be sold from it.
    pub fn take_night(&mut self, bed: &BedId, night: NaiveDate) {
        let offset = usize::try_from((night - self.origin).num_days());
        if let (Some(bed), Ok(offset)) = (self.bed_number(bed), offset)
            && offset < HORIZON_NIGHTS
        {
            self.rows[bed].0[offset / WORD_BITS] |= 1 << (offset % WORD_BITS);
        }
    }

    /// Free nights left beside the span on this bed, each side counted up to [`GAP_LIMIT`]; small is better: long free runs are
    /// kept for long stays.
    pub fn leftover_gap(&self, bed: usize, span: &Span) -> usize {
        let row = &self.rows[bed];
        let before = (span.first.saturating_sub(GAP_LIMIT)..span.first).rev().take_while(|night| !row.taken(*night)).count();
        let after = (span.end..HORIZON_NIGHTS.min(span.end + GAP_LIMIT)).take_while(|night| !row.taken(*night)).count();
        before + after
    }
}

#[cfg(test)]
mod tests {
    use super::{HORIZON_NIGHTS, PropertyView};
    use crate::fixtures::{date, hostel};
    use crate::nights::Nights;
    use chrono::Days;
    use std::sync::Arc;

    fn view() -> PropertyView {
        PropertyView::new(Arc::new(hostel()), date("2026-12-01"))
    }

    #[test]
    fn departure_day_is_free_for_the_next_arrival() {
        let mut view = view();
        let first = view.span(Nights::new(date("2027-01-10"), date("2027-01-13"))).unwrap();
        view.take(0, &first);
        assert!(!view.is_free(0, &view.span(Nights::new(date("2027-01-12"), date("2027-01-14"))).unwrap()));
        assert!(view.is_free(0, &view.span(Nights::new(date("2027-01-13"), date("2027-01-14"))).unwrap()));
        view.free(0, &first);
        assert!(view.is_free(0, &first));
    }

    #[test]
    fn nights_outside_the_horizon_have_no_span() {
        let view = view();
        let end = view.origin() + Days::new(HORIZON_NIGHTS as u64);
        assert!(view.span(Nights::new(end - Days::new(1), end)).is_some());
        assert!(view.span(Nights::new(end, end + Days::new(1))).is_none());
        assert!(view.span(Nights::new(date("2026-11-30"), date("2026-12-02"))).is_none());
    }
}
