//! The exhaustive way to seat stays: night after night, each stay that begins gets one of the units that are free.
//!
//! Without fixed stays and with equal units the first choice always does (an interval graph is perfect). With fixed
//! ones a choice can lead nowhere; then the sweep goes back, remembering which situations it has seen fail, up to a
//! bound on its steps.

use super::reshuffle::{Item, ReshuffleProblem};
use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// One stay's choice: what it has now, and what is left to try.
#[derive(Default)]
struct Level {
    /// The unit, and until when it was busy before.
    taken: Option<(usize, usize)>,
    /// Whether its home was tried; almost always that is all.
    was_home: bool,
    /// The other units, the best one last; made when home does not do.
    others: Option<Vec<usize>>,
}

/// A unit for each item, or `None` when there is no way or `steps` choices were not enough to find one.
pub(super) fn seat(problem: &ReshuffleProblem, steps: usize) -> Option<Vec<usize>> {
    let mut by_arrival: Vec<usize> = (0..problem.items.len()).collect();
    by_arrival.sort_by_key(|item| {
        (problem.items[*item].span.first(), std::cmp::Reverse(problem.items[*item].span.end()), *item)
    });
    let mut busy_until = vec![0_usize; problem.units.len()];
    let mut failed: HashSet<u64> = HashSet::new();
    let mut levels: Vec<Level> = Vec::with_capacity(by_arrival.len());
    let mut steps_left = steps;
    while let Some(next) = by_arrival.get(levels.len()) {
        let night = problem.items[*next].span.first();
        let hopeless = !failed.is_empty() && failed.contains(&situation(levels.len(), &busy_until, night));
        levels.push(if hopeless {
            Level { was_home: true, others: Some(Vec::new()), ..Level::default() }
        } else {
            Level::default()
        });
        // Take the next choice of the last stay that has one.
        loop {
            let depth = levels.len().checked_sub(1)?;
            let item = &problem.items[by_arrival[depth]];
            let level = levels.last_mut()?;
            if let Some((unit, before)) = level.taken.take() {
                busy_until[unit] = before;
            }
            if let Some(unit) = level.next(problem, item, &busy_until) {
                steps_left = steps_left.checked_sub(1)?;
                level.taken = Some((unit, busy_until[unit]));
                busy_until[unit] = item.span.end();
                break;
            }
            failed.insert(situation(depth, &busy_until, item.span.first()));
            levels.pop();
        }
    }
    let mut seats = vec![0; problem.items.len()];
    for (item, level) in by_arrival.iter().zip(&levels) {
        seats[*item] = level.taken?.0;
    }
    Some(seats)
}

impl Level {
    fn next(&mut self, problem: &ReshuffleProblem, item: &Item, busy_until: &[usize]) -> Option<usize> {
        if !std::mem::replace(&mut self.was_home, true)
            && let Some(home) = item.home.filter(|home| is_open(problem, item, busy_until, *home))
        {
            return Some(home);
        }
        self.others.get_or_insert_with(|| others(problem, item, busy_until)).pop()
    }
}

fn is_open(problem: &ReshuffleProblem, item: &Item, busy_until: &[usize], unit: usize) -> bool {
    busy_until[unit] <= item.span.first() && problem.can_hold(unit, item)
}

/// What decides about everything that follows: who is next, and until when each unit is busy.
fn situation(depth: usize, busy_until: &[usize], night: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    depth.hash(&mut hasher);
    busy_until.iter().for_each(|end| end.saturating_sub(night).hash(&mut hasher));
    hasher.finish()
}

/// Units beside its home that can take the item, the best one last: the smallest that is free for the shortest time, so
/// that others stay open for longer stays.
fn others(problem: &ReshuffleProblem, item: &Item, busy_until: &[usize]) -> Vec<usize> {
    let open =
        (0..problem.units.len()).filter(|unit| item.home != Some(*unit) && is_open(problem, item, busy_until, *unit));
    let mut units: Vec<(usize, usize, usize)> =
        open.map(|unit| (problem.units[unit], problem.fixed[unit].free_run(item.span.end()), unit)).collect();
    units.sort_unstable_by(|a, b| b.cmp(a));
    units.into_iter().map(|(.., unit)| unit).collect()
}
