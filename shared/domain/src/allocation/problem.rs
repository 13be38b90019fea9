//! Reshuffle problem: units, the nights of them that are fixed, and the items to place.

use crate::grid::{OccupancyGrid, Row, Span};

/// A demand for one unit on some nights: a dorm stay is one item per guest, a private stay is one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    /// Nights.
    pub(crate) span: Span,
    /// Fewest beds of the unit.
    pub(crate) beds: usize,
    /// Its present unit; `None` for an item to place.
    pub(crate) home: Option<usize>,
}

/// A reshuffle to solve: units, fixed nights and items.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReshuffleProblem {
    /// Number of beds of each unit.
    pub(crate) units: Vec<usize>,
    /// Nights that cannot be reassigned, by unit.
    pub(crate) fixed: Vec<Row>,
    /// Items to place, and items that may be reassigned.
    pub(crate) items: Vec<Item>,
}

impl ReshuffleProblem {
    /// These units, with every taken night counted as fixed.
    pub(crate) fn of_units(grid: &OccupancyGrid, units: &[Vec<usize>]) -> Self {
        let fixed = units.iter().map(|beds| {
            let mut row = Row::EMPTY;
            beds.iter().for_each(|bed| row.merge(grid.row(*bed)));
            row
        });
        Self { fixed: fixed.collect(), units: units.iter().map(Vec::len).collect(), items: Vec::new() }
    }

    /// Whether the unit is large enough for the item and has no fixed night of it.
    pub(super) fn can_hold(&self, unit: usize, item: &Item) -> bool {
        self.units[unit] >= item.beds && !self.fixed[unit].overlaps(&item.span)
    }

    /// Takes their present unit from items that can no longer stay in it, because nights of it became fixed.
    pub(crate) fn evict(&mut self) {
        for index in 0..self.items.len() {
            let item = self.items[index];
            if item.home.is_some_and(|home| !self.can_hold(home, &item)) {
                self.items[index].home = None;
            }
        }
    }

    /// Whether every night has as many units as items; if not, there is no solution.
    pub(crate) fn has_room(&self) -> bool {
        let nights =
            self.items.iter().filter(|item| item.home.is_none()).flat_map(|item| item.span.first()..item.span.end());
        let mut nights: Vec<usize> = nights.collect();
        nights.sort_unstable();
        nights.dedup();
        nights.into_iter().all(|night| {
            let open = self.fixed.iter().filter(|row| !row.taken(night)).count();
            self.items.iter().filter(|item| (item.span.first()..item.span.end()).contains(&night)).count() <= open
        })
    }
}
