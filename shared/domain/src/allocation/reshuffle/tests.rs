//! Reshuffles by value.

use crate::allocation::problem::{Item, ReshuffleProblem};
use crate::allocation::sweep::seat;
use crate::fixtures::{date, sample_inventory};
use crate::grid::{OccupancyGrid, Row, Span};
use crate::nights::Nights;
use chrono::Days;
use proptest::prelude::*;
use std::sync::Arc;

fn span(first: u64, nights: u64) -> Span {
    let origin = date("2027-01-01");
    let grid = OccupancyGrid::new(Arc::new(sample_inventory()), origin);
    grid.span(Nights::new(origin + Days::new(first), origin + Days::new(first + nights))).unwrap()
}

fn problem(units: usize, items: &[(u64, u64, Option<usize>)]) -> ReshuffleProblem {
    let items =
        items.iter().map(|(first, nights, home)| Item { span: span(*first, *nights), beds: 1, home: *home }).collect();
    ReshuffleProblem { units: vec![1; units], fixed: vec![Row::EMPTY; units], items }
}

fn is_sound(problem: &ReshuffleProblem, seats: &[usize]) -> bool {
    let apart = |a: usize, b: usize| seats[a] != seats[b] || !problem.items[a].span.meets(&problem.items[b].span);
    (0..seats.len()).all(|a| problem.can_hold(seats[a], &problem.items[a]) && (0..a).all(|b| apart(a, b)))
}

#[test]
fn fewest_stays_are_moved() {
    let fragmented = problem(2, &[(0, 2, Some(0)), (2, 2, Some(1)), (4, 2, Some(0)), (0, 4, None)]);
    let seats = fragmented.solve().unwrap();
    assert!(is_sound(&fragmented, &seats));
    let moved =
        fragmented.items.iter().zip(&seats).filter(|(item, seat)| item.home.is_some_and(|home| home != **seat)).count();
    assert_eq!(moved, 1, "{seats:?}");
}

#[test]
fn large_party_needs_a_large_room() {
    let mut rooms = problem(2, &[(0, 2, Some(1)), (0, 2, None)]);
    (rooms.units, rooms.items[1].beds) = (vec![1, 2], 2);
    assert_eq!(rooms.solve(), Some(vec![0, 1]));
    rooms.items[0].beds = 2;
    assert_eq!(rooms.solve(), None);
}

#[test]
fn full_night_has_no_solution() {
    let full = problem(2, &[(0, 2, Some(0)), (1, 2, Some(1)), (0, 4, None)]);
    assert!(!full.has_room());
    assert_eq!(full.solve(), None);
}

#[test]
fn dead_ends_are_backtracked_within_the_bound() {
    // The first stay must not take its best unit: the second one fits nowhere else.
    let mut pinned = problem(2, &[(0, 2, None), (1, 4, None), (2, 6, None)]);
    pinned.fixed[0].take(&span(5, 1));
    assert_eq!(seat(&pinned, 100), Some(vec![1, 0, 1]));
    assert_eq!(seat(&pinned, 3), None, "a bound is a bound");
}

proptest! {
    /// Where no night is over capacity and nothing is fixed, the sweep never backtracks.
    #[test]
    fn interval_graph_is_always_solved(units in 1_usize..6,
        wished in prop::collection::vec((0_u64..20, 1_u64..8), 1..60)) {
        let mut load = [0_usize; 40];
        let mut items = Vec::new();
        for (first, nights) in wished {
            let mut range = first..first + nights;
            if range.clone().all(|night| load[night as usize] < units) {
                range.by_ref().for_each(|night| load[night as usize] += 1);
                items.push((first, nights, None));
            }
        }
        let problem = problem(units, &items);
        let seats = seat(&problem, items.len()).unwrap();
        prop_assert!(is_sound(&problem, &seats));
    }

    /// The sweep finds a solution around fixed nights whenever there is one.
    #[test]
    fn fixed_stays_are_worked_around(
        fixed in prop::collection::vec((0_usize..3, 0_u64..10, 1_u64..3), 0..6),
        wished in prop::collection::vec((0_u64..10, 1_u64..5), 1..9),
    ) {
        let items: Vec<(u64, u64, Option<usize>)> = wished.into_iter().map(|(first, nights)| (first, nights,
            None)).collect();
        let mut problem = problem(3, &items);
        fixed.into_iter().for_each(|(unit, first, nights)| problem.fixed[unit].take(&span(first, nights)));
        let power = |exponent: usize| 3_usize.pow(u32::try_from(exponent).unwrap());
        let seats = |code: usize| (0..items.len()).map(|place| code / power(place) % 3).collect::<Vec<_>>();
        let every_way = (0..power(items.len())).any(|code| is_sound(&problem, &seats(code)));
        for found in [problem.solve(), seat(&problem, 10_000)] {
            prop_assert_eq!(found.is_some(), every_way);
            prop_assert!(found.is_none_or(|seats| is_sound(&problem, &seats)));
        }
    }
}
