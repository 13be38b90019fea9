//! The exhaustive way to seat stays: night after night, each stay that begins gets one of the units that are free.
//!
//! Without fixed stays and with equal units the first choice always does (an interval graph is perfect). With fixed ones a choice can
//! lead nowhere; then the sweep goes back, remembering which situations it has seen fail, up to a bound on its steps.

use super::reshuffle::{Item, Puzzle};
use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// Which free unit is tried first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The one where the stay is, so that few are moved.
    HomeFirst,
    /// The one that is free for the shortest time, so that the others stay open for longer stays.
    TightFirst,
}

/// One stay's choice: the units that are left to try, last first, and what it has now.
struct Level {
    untried: Vec<usize>,
    taken: Option<(usize, usize)>,
    key: u64,
}

/// A unit for each item, or `None` when there is no way or `steps` choices were not enough to find one.
pub(super) fn seat(puzzle: &Puzzle, order: Order, steps: usize) -> Option<Vec<usize>> {
    let mut by_arrival: Vec<usize> = (0..puzzle.items.len()).collect();
    by_arrival.sort_by_key(|item| (puzzle.items[*item].span.first(), std::cmp::Reverse(puzzle.items[*item].span.end()), *item));
    let mut busy_until = vec![0_usize; puzzle.units.len()];
    let mut failed: HashSet<u64> = HashSet::new();
    let mut levels: Vec<Level> = Vec::with_capacity(by_arrival.len());
    let mut steps_left = steps;
    loop {
        let Some(next) = by_arrival.get(levels.len()) else {
            let mut seats = vec![0; puzzle.items.len()];
            for (item, level) in by_arrival.iter().zip(&levels) {
                seats[*item] = level.taken.map_or(0, |(unit, _)| unit);
            }
            return Some(seats);
        };
        let item = &puzzle.items[*next];
        let key = situation(levels.len(), &busy_until, item.span.first());
        let untried = if failed.contains(&key) { Vec::new() } else { choices(puzzle, item, &busy_until, order) };
        levels.push(Level { untried, taken: None, key });
        // Take the next choice of the last stay that has one.
        loop {
            let depth = levels.len();
            let level = levels.last_mut()?;
            if let Some((unit, before)) = level.taken.take() {
                busy_until[unit] = before;
            }
            if let Some(unit) = level.untried.pop() {
                steps_left = steps_left.checked_sub(1)?;
                level.taken = Some((unit, busy_until[unit]));
                busy_until[unit] = puzzle.items[by_arrival[depth - 1]].span.end();
                break;
            }
            failed.insert(level.key);
            levels.pop();
        }
    }
}

/// What decides about everything that follows: who is next, and until when each unit is busy.
fn situation(depth: usize, busy_until: &[usize], night: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    depth.hash(&mut hasher);
    busy_until.iter().for_each(|end| end.saturating_sub(night).hash(&mut hasher));
    hasher.finish()
}

/// The units that can take the item, the best one last.
fn choices(puzzle: &Puzzle, item: &Item, busy_until: &[usize], order: Order) -> Vec<usize> {
    let span = &item.span;
    let fits = |unit: &usize| puzzle.can_hold(*unit, item) && busy_until[*unit] <= span.first();
    let mut units: Vec<(bool, usize, usize, usize)> = (0..puzzle.units.len())
        .filter(fits)
        .map(|unit| {
            let elsewhere = order == Order::HomeFirst && item.home != Some(unit);
            (elsewhere, puzzle.units[unit], puzzle.fixed[unit].free_run(span.end()), unit)
        })
        .collect();
    units.sort_unstable_by(|a, b| b.cmp(a));
    units.into_iter().map(|(.., unit)| unit).collect()
}
