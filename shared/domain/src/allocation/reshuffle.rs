//! Making room by moving stays that nobody promised a bed: when every night has room but no single bed is free for the
//! whole stay.
//!
//! Stays on interchangeable beds form an interval graph. First the fewest moves are looked for, one, two, three; when
//! those do not do, everything that may move is seated anew.

use super::sweep::seat;
use crate::grid::{Row, Span};

/// Most moves that are tried one by one before everything is seated anew.
const FEW_MOVES: usize = 3;
/// Bound on the search for few moves.
const FEW_MOVES_STEPS: usize = 1_000;
/// Bound on seating everybody anew. Without fixed stays one step a stay is enough.
const SEATING_STEPS: usize = 10_000;

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
pub struct ReshuffleProblem {
    /// Number of beds of each unit.
    pub units: Vec<usize>,
    /// What cannot be moved, by unit.
    pub fixed: Vec<Row>,
    /// Whoever has or wants a unit and may be moved.
    pub items: Vec<Item>,
}

impl ReshuffleProblem {
    /// Whether the unit is large enough for the item and not promised to somebody on its nights.
    pub(super) fn can_hold(&self, unit: usize, item: &Item) -> bool {
        self.units[unit] >= item.beds && !self.fixed[unit].overlaps(&item.span)
    }

    /// Whether every night of every item has as many units as it has guests; if not, nothing helps.
    pub fn has_room(&self) -> bool {
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

    /// A unit for each item, moving as few as it can; `None` when there is no way.
    pub fn solve(&self) -> Option<Vec<usize>> {
        if !self.has_room() {
            return None;
        }
        if let Some(seats) = FewMoves::search(self) {
            return Some(seats);
        }
        let mut seats = seat(self, SEATING_STEPS)?;
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
                let in_the_way =
                    |other: usize| other != index && seats[other] == home && self.items[other].span.meets(&item.span);
                if !(0..seats.len()).any(in_the_way) {
                    seats[index] = home;
                    changed = true;
                }
            }
        }
    }
}

/// Nobody, in [`FewMoves::guests`].
const FREE: usize = usize::MAX;

/// The search for few moves: whoever is placed may push others out, who are placed in turn.
struct FewMoves<'a> {
    problem: &'a ReshuffleProblem,
    seats: Vec<Option<usize>>,
    /// Who has which unit on which night, from `first` on: unit by unit.
    guests: Vec<usize>,
    first: usize,
    nights: usize,
    /// Placed in this attempt: not pushed out again.
    settled: Vec<bool>,
    steps: usize,
}

impl<'a> FewMoves<'a> {
    fn search(problem: &'a ReshuffleProblem) -> Option<Vec<usize>> {
        let first = problem.items.iter().map(|item| item.span.first()).min()?;
        let nights = problem.items.iter().map(|item| item.span.end()).max()? - first;
        let guests = vec![FREE; nights * problem.units.len()];
        let mut few = Self {
            problem,
            seats: vec![None; problem.items.len()],
            guests,
            first,
            nights,
            settled: vec![false; problem.items.len()],
            steps: 0,
        };
        let mut homeless = Vec::new();
        for (index, item) in problem.items.iter().enumerate() {
            match item.home {
                Some(home) => few.seat(index, home),
                None => homeless.push(index),
            }
        }
        (0..=FEW_MOVES).any(|moves| few.place(&homeless, moves)).then(|| few.seats.into_iter().collect())?
    }

    fn fill(&mut self, index: usize, unit: usize, guest: usize) {
        let span = &self.problem.items[index].span;
        let row = unit * self.nights;
        self.guests[row + span.first() - self.first..row + span.end() - self.first].fill(guest);
    }

    fn seat(&mut self, index: usize, unit: usize) {
        self.seats[index] = Some(unit);
        self.fill(index, unit, index);
    }

    fn unseat(&mut self, index: usize) -> Option<usize> {
        let unit = self.seats[index].take()?;
        self.fill(index, unit, FREE);
        Some(unit)
    }

    /// Places all of these with at most so many moves of others, or leaves everything as it was.
    fn place(&mut self, waiting: &[usize], moves: usize) -> bool {
        let Some((item, rest)) = waiting.split_first() else { return true };
        for (unit, pushed) in self.options(*item, moves) {
            self.steps += 1;
            if self.steps > FEW_MOVES_STEPS {
                return false;
            }
            let homes: Vec<(usize, Option<usize>)> = pushed.iter().map(|other| (*other, self.unseat(*other))).collect();
            self.seat(*item, unit);
            self.settled[*item] = true;
            let next: Vec<usize> = pushed.iter().chain(rest).copied().collect();
            if self.place(&next, moves - pushed.len()) {
                return true;
            }
            self.settled[*item] = false;
            self.unseat(*item);
            for (other, home) in homes {
                home.into_iter().for_each(|home| self.seat(other, home));
            }
        }
        false
    }

    /// Units for an item with whom it would push out, fewest first. Going back home would be no move at all, and never
    /// helps.
    fn options(&self, index: usize, moves: usize) -> Vec<(usize, Vec<usize>)> {
        let wanted = &self.problem.items[index];
        let mut options: Vec<(usize, Vec<usize>)> = Vec::new();
        for unit in (0..self.problem.units.len())
            .filter(|unit| wanted.home != Some(*unit) && self.problem.can_hold(*unit, wanted))
        {
            options.extend(self.pushed_out(unit, &wanted.span, moves).map(|pushed| (unit, pushed)));
        }
        options.sort_by_key(|(unit, pushed)| (pushed.len(), self.problem.units[*unit], *unit));
        options
    }

    /// Who has the unit on these nights, if they are at most so many and may be pushed out.
    fn pushed_out(&self, unit: usize, span: &Span, moves: usize) -> Option<Vec<usize>> {
        let row = unit * self.nights;
        let mut pushed = Vec::new();
        for guest in &self.guests[row + span.first() - self.first..row + span.end() - self.first] {
            if *guest == FREE || pushed.last() == Some(guest) {
                continue;
            }
            if self.settled[*guest] || pushed.len() == moves {
                return None;
            }
            pushed.push(*guest);
        }
        Some(pushed)
    }
}

#[cfg(test)]
mod tests;
