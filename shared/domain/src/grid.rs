//! Occupancy grid of a property, one bit per bed and night: the in-memory hint by which a worker decides.
//!
//! The grid may wrongly say that a bed is free (the unique claim in the store then rejects the commit); that it is
//! taken counts only when the grid was read after the batch began: see [`crate::decide`].

mod layout;

pub use layout::RoomTypeLayout;

use crate::ids::{BedId, RoomTypeId};
use crate::inventory::{Cleanliness, Inventory};
use crate::nights::Nights;
use crate::rates::Rates;
use chrono::{Days, NaiveDate};
use layout::Layout;
use std::collections::BTreeMap;
use std::sync::Arc;

const WORD_BITS: usize = 64;
const WORDS: usize = 15;

/// Nights that a grid covers, from its origin: 540 days ahead, 365 nights of stay, and slack until it is read again.
pub const HORIZON_NIGHTS: usize = WORDS * WORD_BITS;

/// Reach of leftover gaps from a stay's edges, in nights.
const GAP_LIMIT: usize = 14;

/// Occupied nights of one bed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row([u64; WORDS]);

impl Row {
    /// A row without taken nights.
    pub const EMPTY: Self = Self([0; WORDS]);

    /// Whether the night of this offset is taken.
    pub fn taken(&self, night: usize) -> bool {
        self.0.get(night / WORD_BITS).is_some_and(|word| word >> (night % WORD_BITS) & 1 == 1)
    }

    /// Whether any night of the span is taken.
    pub fn overlaps(&self, span: &Span) -> bool {
        let words = span.first / WORD_BITS..=(span.end - 1) / WORD_BITS;
        self.0[words.clone()].iter().zip(&span.mask.0[words]).any(|(row, mask)| row & mask != 0)
    }

    /// Takes the nights of the span.
    pub fn take(&mut self, span: &Span) {
        self.0.iter_mut().zip(&span.mask.0).for_each(|(row, mask)| *row |= mask);
    }

    /// Frees the nights of the span.
    pub fn free(&mut self, span: &Span) {
        self.0.iter_mut().zip(&span.mask.0).for_each(|(row, mask)| *row &= !mask);
    }

    /// Takes every night that is taken in the other row.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(row, other)| *row |= other);
    }

    /// Number of free nights from `first` on, to the end of the grid.
    pub fn free_run(&self, first: usize) -> usize {
        let mut free = 0;
        while first + free < HORIZON_NIGHTS {
            let (word, shift) = ((first + free) / WORD_BITS, (first + free) % WORD_BITS);
            let ahead = WORD_BITS - shift;
            let run = (self.0[word] >> shift).trailing_zeros() as usize;
            if run < ahead {
                return free + run;
            }
            free += ahead;
        }
        free
    }

    /// Up to 63 nights from `first` on as bits; nights outside the grid count as taken.
    fn window(&self, first: usize, count: usize) -> u64 {
        let (word, shift) = (first / WORD_BITS, first % WORD_BITS);
        let at = |index: usize| u128::from(self.0.get(index).copied().unwrap_or(u64::MAX));
        let pair = at(word) | at(word + 1) << WORD_BITS;
        // The mask leaves at most 63 bits.
        u64::try_from(pair >> shift & ((1 << count) - 1)).unwrap_or(u64::MAX)
    }
}

/// A stay's nights as offsets from a grid's origin; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    first: usize,
    end: usize,
    mask: Row,
}

impl Span {
    /// The nights from `first` to before `end`, both within a grid.
    pub(crate) fn new(first: usize, end: usize) -> Self {
        let mut mask = Row::EMPTY;
        for night in first..end {
            mask.0[night / WORD_BITS] |= 1 << (night % WORD_BITS);
        }
        Self { first, end, mask }
    }

    /// Offset of the first night.
    pub fn first(&self) -> usize {
        self.first
    }

    /// Offset of the morning of departure.
    pub fn end(&self) -> usize {
        self.end
    }

    /// Whether they share a night.
    pub fn meets(&self, other: &Self) -> bool {
        self.first < other.end && other.first < self.end
    }
}

/// Occupancy of one property.
#[derive(Debug, Clone)]
pub struct OccupancyGrid {
    inventory: Arc<Inventory>,
    rates: Arc<Rates>,
    layout: Arc<Layout>,
    origin: NaiveDate,
    rows: Vec<Row>,
}

impl OccupancyGrid {
    /// An empty grid whose first night is `origin`, with the plans' own prices. Beds are numbered room by room.
    pub fn new(inventory: Arc<Inventory>, origin: NaiveDate) -> Self {
        let layout = Layout::of(&inventory);
        Self {
            rows: vec![Row::EMPTY; layout.bed_count()],
            layout: Arc::new(layout),
            rates: Arc::default(),
            inventory,
            origin,
        }
    }

    /// The same grid with these calendars.
    pub fn with_rates(self, rates: Arc<Rates>) -> Self {
        Self { rates, ..self }
    }

    /// The inventory of the property.
    pub fn inventory(&self) -> &Arc<Inventory> {
        &self.inventory
    }

    /// Marks these beds as dirty: the next revision of the inventory, unless all of them are marked already.
    pub fn mark_dirty(&mut self, beds: &[BedId]) {
        let inventory = &self.inventory;
        let is_clean = |bed: &&BedId| inventory.cleanliness_of(bed) == Some(Cleanliness::Clean);
        let clean: Vec<&BedId> = beds.iter().filter(is_clean).collect();
        if clean.is_empty() {
            return;
        }
        let mut marked = Inventory::clone(inventory);
        for room in &mut marked.rooms {
            for bed in clean.iter().filter(|bed| room.beds.contains(bed)) {
                room.bed_states.entry((**bed).clone()).or_default().cleanliness = Cleanliness::Dirty;
            }
        }
        marked.rev += 1;
        self.inventory = Arc::new(marked);
    }

    /// The beds that may not be ready for guests who arrive on this day, by number, and how far from ready they are:
    /// more those that are to be cleaned than those of the night before, whose guests leave on this day.
    pub fn unready_beds(&self, day: NaiveDate) -> BTreeMap<usize, usize> {
        let mut unready = BTreeMap::new();
        let before = day.pred_opt().and_then(|before| self.clipped_span(Nights::new(before, day)));
        if let Some(before) = before {
            let taken = (0..self.layout.bed_count()).filter(|bed| !self.is_free(*bed, &before));
            unready.extend(taken.map(|bed| (bed, 1)));
        }
        let states = self.inventory.rooms.iter().flat_map(|room| &room.bed_states);
        let dirty = states.filter(|(_, state)| state.cleanliness == Cleanliness::Dirty);
        for bed in dirty.filter_map(|(bed, _)| self.bed_number(bed)) {
            *unready.entry(bed).or_default() += 2;
        }
        unready
    }

    /// Its prices and restrictions by date.
    pub fn rates(&self) -> &Arc<Rates> {
        &self.rates
    }

    /// The active beds of a room type, room by room; `None` when there is no such type.
    pub fn beds_of(&self, room_type: &RoomTypeId) -> Option<&RoomTypeLayout> {
        self.layout.of_type(room_type)
    }

    /// The first night covered.
    pub fn origin(&self) -> NaiveDate {
        self.origin
    }

    /// The span of the nights, or `None` when some lie outside the grid.
    pub fn span(&self, nights: Nights) -> Option<Span> {
        let first = usize::try_from((nights.arrival - self.origin).num_days()).ok()?;
        let end = usize::try_from((nights.departure - self.origin).num_days()).ok()?;
        (first < end && end <= HORIZON_NIGHTS).then(|| Span::new(first, end))
    }

    /// The span of those nights that lie within the grid, or `None` when none does.
    pub fn clipped_span(&self, nights: Nights) -> Option<Span> {
        let end = self.date_at(HORIZON_NIGHTS);
        self.span(Nights::new(nights.arrival.max(self.origin), nights.departure.min(end)))
    }

    /// The date of this offset.
    pub fn date_at(&self, offset: usize) -> NaiveDate {
        self.origin.checked_add_days(Days::new(offset as u64)).unwrap_or(NaiveDate::MAX)
    }

    /// The bed of this number.
    pub fn bed_id(&self, number: usize) -> &BedId {
        self.layout.bed_id(number)
    }

    /// The bed's number, if the property has it.
    pub fn bed_number(&self, bed: &BedId) -> Option<usize> {
        self.layout.bed_number(bed)
    }

    /// The bed's occupied nights.
    pub fn row(&self, bed: usize) -> &Row {
        &self.rows[bed]
    }

    /// Restores a row returned by [`Self::row`].
    pub fn restore(&mut self, bed: usize, row: Row) {
        self.rows[bed] = row;
    }

    /// Whether the bed is free on every night of the span.
    pub fn is_free(&self, bed: usize, span: &Span) -> bool {
        !self.rows[bed].overlaps(span)
    }

    /// Marks the bed as taken for the span.
    pub fn take(&mut self, bed: usize, span: &Span) {
        self.rows[bed].take(span);
    }

    /// Marks the bed as free for the span.
    pub fn free(&mut self, bed: usize, span: &Span) {
        self.rows[bed].free(span);
    }

    /// Marks one claimed night, as read from the store. Unknown beds and nights outside the grid are ignored: they
    /// cannot be sold from it.
    pub fn take_night(&mut self, bed: &BedId, night: NaiveDate) {
        let offset = usize::try_from((night - self.origin).num_days());
        if let (Some(bed), Ok(offset)) = (self.bed_number(bed), offset)
            && offset < HORIZON_NIGHTS
        {
            self.rows[bed].0[offset / WORD_BITS] |= 1 << (offset % WORD_BITS);
        }
    }

    /// Free nights left beside the span on this bed, each side counted up to [`GAP_LIMIT`]. Smaller is better: long
    /// free runs are kept for long stays.
    pub fn leftover_gap(&self, bed: usize, span: &Span) -> usize {
        let row = &self.rows[bed];
        let (reach, unused) = (span.first.min(GAP_LIMIT), u64::BITS as usize);
        let before = row.window(span.first - reach, reach) << (unused - reach.max(1));
        let before = if reach == 0 { 0 } else { (before.leading_zeros() as usize).min(reach) };
        let after = (row.window(span.end, GAP_LIMIT).trailing_zeros() as usize).min(GAP_LIMIT);
        before + after
    }
}

#[cfg(test)]
mod tests {
    use super::{HORIZON_NIGHTS, OccupancyGrid};
    use crate::fixtures::{date, sample_inventory};
    use crate::nights::Nights;
    use chrono::Days;
    use std::sync::Arc;

    fn grid() -> OccupancyGrid {
        OccupancyGrid::new(Arc::new(sample_inventory()), date("2026-12-01"))
    }

    #[test]
    fn departure_day_is_free_for_the_next_arrival() {
        let mut grid = grid();
        let first = grid.span(Nights::new(date("2027-01-10"), date("2027-01-13"))).unwrap();
        grid.take(0, &first);
        assert!(!grid.is_free(0, &grid.span(Nights::new(date("2027-01-12"), date("2027-01-14"))).unwrap()));
        assert!(grid.is_free(0, &grid.span(Nights::new(date("2027-01-13"), date("2027-01-14"))).unwrap()));
        grid.free(0, &first);
        assert!(grid.is_free(0, &first));
    }

    #[test]
    fn leftover_gap_ends_at_the_next_stay() {
        let mut grid = grid();
        let span = |grid: &OccupancyGrid, from, until| grid.span(Nights::new(date(from), date(until))).unwrap();
        let requested = span(&grid, "2027-02-02", "2027-02-05");
        assert_eq!(grid.leftover_gap(0, &requested), 28);
        grid.take(0, &span(&grid, "2027-01-28", "2027-01-31"));
        assert_eq!(grid.leftover_gap(0, &requested), 2 + 14);
        grid.take(0, &span(&grid, "2027-02-08", "2027-02-09"));
        assert_eq!(grid.leftover_gap(0, &requested), 2 + 3);
        assert_eq!(grid.leftover_gap(1, &span(&grid, "2026-12-01", "2026-12-02")), 14);
        let end = grid.origin() + Days::new(HORIZON_NIGHTS as u64);
        let last = grid.span(Nights::new(end - Days::new(3), end - Days::new(1))).unwrap();
        assert_eq!(grid.leftover_gap(1, &last), 14 + 1);
    }

    #[test]
    fn stay_that_began_before_the_grid_is_clipped() {
        let grid = grid();
        let seen = grid.clipped_span(Nights::new(date("2026-11-20"), date("2026-12-03"))).unwrap();
        assert_eq!((seen.first(), seen.end()), (0, 2));
        assert!(grid.clipped_span(Nights::new(date("2026-11-20"), date("2026-12-01"))).is_none());
    }

    #[test]
    fn nights_outside_the_horizon_have_no_span() {
        let grid = grid();
        let end = grid.origin() + Days::new(HORIZON_NIGHTS as u64);
        assert!(grid.span(Nights::new(end - Days::new(1), end)).is_some());
        assert!(grid.span(Nights::new(end, end + Days::new(1))).is_none());
        assert!(grid.span(Nights::new(date("2026-11-30"), date("2026-12-02"))).is_none());
    }
}
