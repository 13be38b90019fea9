//! Making room by moving stays that nobody promised a bed: when every night has room but no single bed is free for the whole stay.
//!
//! Stays on interchangeable beds form an interval graph. First the fewest moves are looked for, one, two, three; when those do not do,
//! everything that may move is seated anew.

use super::sweep::{Order, seat};
use crate::view::{Row, Span};

/// Most moves that are tried one by one before everything is seated anew.
const FEW_MOVES: usize = 3;
/// Bound on the search for few moves.
const FEW_MOVES_STEPS: usize = 1_000;
/// Bound on seating anew with every stay preferably where it is.
const HOME_STEPS: usize = 4_000;
/// Bound on the exhaustive search.
const TIGHT_STEPS: usize = 40_000;

/// One unit wanted for some nights: a dorm stay is one item a guest, a private stay is one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// The nights.
    pub span: Span,
    /// Fewest beds of the unit.
    pub beds: usize,
    /// The unit that it has; `None` for those that are to be placed.
    pub home: Option<usize>,
}

/// Units and who wants them.
#[derive(Debug, Clone, Default)]
pub struct Puzzle {
    /// Number of beds of each unit.
    pub units: Vec<usize>,
    /// What cannot be moved, by unit.
    pub fixed: Vec<Row>,
    /// Whoever has or wants a unit and may be moved.
    pub items: Vec<Item>,
}

impl Puzzle {
    /// Whether the unit is large enough for the item and not promised to somebody on its nights.
    pub(super) fn can_hold(&self, unit: usize, item: &Item) -> bool {
        self.units[unit] >= item.beds && !self.fixed[unit].overlaps(&item.span)
    }

    /// Whether every night of every item has as many units as it has guests; if not, nothing helps.
    pub fn has_room(&self) -> bool {
        let nights = self.items.iter().filter(|item| item.home.is_none()).flat_map(|item| item.span.first()..item.span.end());
        let mut nights: Vec<usize> = nights.collect();
        nights.sort_unstable();
        nights.dedup();
        nights.into_iter().all(|night| {
            let open = self.fixed.iter().filter(|row| !row.taken(night)).count();
            self.items.iter().filter(|item| (item.span.first()..item.span.end()).contains(&night)).count() <= open
        })
    }

    /// A unit for each item, moving as few as it can; `None` when there is no way.
    pub fn solve(&self) -> Option<Vec<usize>> {
        if !self.has_room() {
            return None;
        }
        let mut few = FewMoves { puzzle: self, seats: self.items.iter().map(|item| item.home).collect(), settled: vec![false; self.items.len()], steps: 0 };
        let homeless: Vec<usize> = (0..self.items.len()).filter(|item| self.items[*item].home.is_none()).collect();
        for moves in 0..=FEW_MOVES {
            if few.place(&homeless, moves) {
                return few.seats.into_iter().collect();
            }
        }
        let mut seats = seat(self, Order::HomeFirst, HOME_STEPS).or_else(|| seat(self, Order::TightFirst, TIGHT_STEPS))?;
        self.take_back(&mut seats);
        Some(seats)
    }

    /// Lets those go home again whose unit turned out to be free.
    fn take_back(&self, seats: &mut [usize]) {
        let mut changed = true;
        while changed {
            changed = false;
            for index in 0..seats.len() {
                let item = &self.items[index];
                let Some(home) = item.home.filter(|home| *home != seats[index]) else { continue };
                let in_the_way = |other: usize| other != index && seats[other] == home && self.items[other].span.meets(&item.span);
                if !(0..seats.len()).any(in_the_way) {
                    seats[index] = home;
                    changed = true;
                }
            }
        }
    }
}

/// The search for few moves: whoever is placed may push others out, who are placed in turn.
struct FewMoves<'a> {
    puzzle: &'a Puzzle,
    seats: Vec<Option<usize>>,
    /// Placed in this attempt: not pushed out again.
    settled: Vec<bool>,
    steps: usize,
}

impl FewMoves<'_> {
    /// Places all of these with at most so many moves of others, or leaves everything as it was.
    fn place(&mut self, waiting: &[usize], moves: usize) -> bool {
        let Some((item, rest)) = waiting.split_first() else { return true };
        let wanted = self.puzzle.items[*item];
        for (unit, pushed) in self.options(*item, &wanted, moves) {
            self.steps += 1;
            if self.steps > FEW_MOVES_STEPS {
                return false;
            }
            let before = self.seats[*item].replace(unit);
            self.settled[*item] = true;
            let homes: Vec<Option<usize>> = pushed.iter().map(|other| self.seats[*other].take()).collect();
            let next: Vec<usize> = pushed.iter().chain(rest).copied().collect();
            if self.place(&next, moves - pushed.len()) {
                return true;
            }
            pushed.iter().zip(homes).for_each(|(other, home)| self.seats[*other] = home);
            self.settled[*item] = false;
            self.seats[*item] = before;
        }
        false
    }

    /// Units for an item with whom it would push out, fewest first. Going back home would be no move at all, and never helps.
    fn options(&self, index: usize, wanted: &Item, moves: usize) -> Vec<(usize, Vec<usize>)> {
        let mut pushed: Vec<Option<Vec<usize>>> =
            (0..self.puzzle.units.len()).map(|unit| (wanted.home != Some(unit) && self.puzzle.can_hold(unit, wanted)).then(Vec::new)).collect();
        for (other, item) in self.puzzle.items.iter().enumerate() {
            let Some(unit) = self.seats[other].filter(|_| other != index && item.span.meets(&wanted.span)) else { continue };
            if let Some(list) = &mut pushed[unit] {
                if self.settled[other] || list.len() == moves {
                    pushed[unit] = None;
                } else {
                    list.push(other);
                }
            }
        }
        let mut options: Vec<(usize, Vec<usize>)> = pushed.into_iter().enumerate().filter_map(|(unit, list)| Some((unit, list?))).collect();
        options.sort_by_key(|(unit, list)| (list.len(), self.puzzle.units[*unit], *unit));
        options
    }
}

#[cfg(test)]
mod tests;
