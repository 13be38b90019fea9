//! Reshuffle: reassignment of stays that are not pinned, when every night has a free bed but no bed is free for the
//! whole stay.
//!
//! Stays on interchangeable beds form an interval graph. First one, two and three moves are searched; when those do not
//! suffice, everything that may move is assigned again.

use super::problem::ReshuffleProblem;
use super::sweep::seat;
use crate::grid::Span;

/// Most moves that are searched before everything is assigned again.
const FEW_MOVES: usize = 3;
/// Bound on the steps of that search.
const FEW_MOVES_STEPS: usize = 1_000;
/// Bound on the steps of a full reassignment. Without fixed stays one step per stay suffices.
const SEATING_STEPS: usize = 10_000;

impl ReshuffleProblem {
    /// Assigns a unit to each item with as few moves as possible; `None` when there is no solution.
    pub(crate) fn solve(&self) -> Option<Vec<usize>> {
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

    /// Returns items to their present unit where it turned out to be free.
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

/// A free night in [`FewMoves::guests`].
const FREE: usize = usize::MAX;

/// Search for few moves: a placed item may displace others, which are placed in turn.
struct FewMoves<'a> {
    problem: &'a ReshuffleProblem,
    seats: Vec<Option<usize>>,
    /// Item in each unit on each night, from `first` on: unit by unit.
    guests: Vec<usize>,
    first: usize,
    nights: usize,
    /// Placed in this attempt: not displaced again.
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

    /// Places all of these with at most `moves` displacements, or leaves everything unchanged.
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

    /// Units for an item with the items that it would displace, fewest first. Its present unit is left out: it would be
    /// no move.
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

    /// Items in the unit on these nights, if they are at most `moves` and may be displaced.
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
