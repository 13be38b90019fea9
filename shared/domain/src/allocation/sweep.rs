//! Sweep assignment: night after night, each arriving stay gets one of the free units.
//!
//! Without fixed stays and with equal units the first choice always succeeds (an interval graph is perfect). With fixed
//! ones a choice can be a dead end; then the sweep backtracks, remembering failed situations, up to a bound on its
//! steps.

use super::problem::{Item, ReshuffleProblem};
use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// One stay's choice: its unit, and the units left to try.
#[derive(Default)]
struct Level {
    /// The unit, and until when it was busy before.
    taken: Option<(usize, usize)>,
    /// Whether its present unit was tried; almost always that is all.
    was_home: bool,
    /// The other units, best last; computed when the present one fails.
    others: Option<Vec<usize>>,
}

/// Assigns a unit to each item; `None` when there is no solution or it takes more than `steps` choices.
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
        // Take the next choice of the last stay that has one left.
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

/// Hash of the state that determines all later choices: the next stay, and until when each unit is busy.
fn situation(depth: usize, busy_until: &[usize], night: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    depth.hash(&mut hasher);
    busy_until.iter().for_each(|end| end.saturating_sub(night).hash(&mut hasher));
    hasher.finish()
}

/// Other units that can hold the item, best last: the smallest that is free for the shortest time, so that others stay
/// open for longer stays.
fn others(problem: &ReshuffleProblem, item: &Item, busy_until: &[usize]) -> Vec<usize> {
    let open =
        (0..problem.units.len()).filter(|unit| item.home != Some(*unit) && is_open(problem, item, busy_until, *unit));
    let mut units: Vec<(usize, usize, usize)> =
        open.map(|unit| (problem.units[unit], problem.fixed[unit].free_run(item.span.end()), unit)).collect();
    units.sort_unstable_by(|a, b| b.cmp(a));
    units.into_iter().map(|(.., unit)| unit).collect()
}
