//! Puzzles by value.

use super::{Item, Puzzle};
use crate::allocation::sweep::seat;
use crate::fixtures::{date, hostel};
use crate::nights::Nights;
use crate::view::{PropertyView, Row, Span};
use chrono::Days;
use proptest::prelude::*;
use std::sync::Arc;

fn span(first: u64, nights: u64) -> Span {
    let origin = date("2027-01-01");
    let view = PropertyView::new(Arc::new(hostel()), origin);
    view.span(Nights::new(origin + Days::new(first), origin + Days::new(first + nights))).unwrap()
}

fn puzzle(units: usize, items: &[(u64, u64, Option<usize>)]) -> Puzzle {
    let items =
        items.iter().map(|(first, nights, home)| Item { span: span(*first, *nights), beds: 1, home: *home }).collect();
    Puzzle { units: vec![1; units], fixed: vec![Row::EMPTY; units], items }
}

fn is_sound(puzzle: &Puzzle, seats: &[usize]) -> bool {
    let apart = |a: usize, b: usize| seats[a] != seats[b] || !puzzle.items[a].span.meets(&puzzle.items[b].span);
    (0..seats.len()).all(|a| puzzle.can_hold(seats[a], &puzzle.items[a]) && (0..a).all(|b| apart(a, b)))
}

#[test]
fn the_fewest_are_moved() {
    let fragmented = puzzle(2, &[(0, 2, Some(0)), (2, 2, Some(1)), (4, 2, Some(0)), (0, 4, None)]);
    let seats = fragmented.solve().unwrap();
    assert!(is_sound(&fragmented, &seats));
    let moved =
        fragmented.items.iter().zip(&seats).filter(|(item, seat)| item.home.is_some_and(|home| home != **seat)).count();
    assert_eq!(moved, 1, "{seats:?}");
}

#[test]
fn a_large_party_needs_a_large_room() {
    let mut rooms = puzzle(2, &[(0, 2, Some(1)), (0, 2, None)]);
    (rooms.units, rooms.items[1].beds) = (vec![1, 2], 2);
    assert_eq!(rooms.solve(), Some(vec![0, 1]));
    rooms.items[0].beds = 2;
    assert_eq!(rooms.solve(), None);
}

#[test]
fn a_full_night_cannot_be_made_room_in() {
    let full = puzzle(2, &[(0, 2, Some(0)), (1, 2, Some(1)), (0, 4, None)]);
    assert!(!full.has_room());
    assert_eq!(full.solve(), None);
}

#[test]
fn a_choice_that_leads_nowhere_is_taken_back() {
    // The first stay must not go where it fits best: the second one fits nowhere else.
    let mut pinned = puzzle(2, &[(0, 2, None), (1, 4, None), (2, 6, None)]);
    pinned.fixed[0].take(&span(5, 1));
    assert_eq!(seat(&pinned, 100), Some(vec![1, 0, 1]));
    assert_eq!(seat(&pinned, 3), None, "a bound is a bound");
}

proptest! {
    /// Where no night is over capacity and nothing is fixed, the sweep never has to go back.
    #[test]
    fn an_interval_graph_is_always_seated(units in 1_usize..6,
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
        let puzzle = puzzle(units, &items);
        let seats = seat(&puzzle, items.len()).unwrap();
        prop_assert!(is_sound(&puzzle, &seats));
    }

    /// The sweep finds a way around what is fixed whenever there is one.
    #[test]
    fn what_is_fixed_is_worked_around(
        fixed in prop::collection::vec((0_usize..3, 0_u64..10, 1_u64..3), 0..6),
        wished in prop::collection::vec((0_u64..10, 1_u64..5), 1..9),
    ) {
        let items: Vec<(u64, u64, Option<usize>)> = wished.into_iter().map(|(first, nights)| (first, nights,
            None)).collect();
        let mut puzzle = puzzle(3, &items);
        fixed.into_iter().for_each(|(unit, first, nights)| puzzle.fixed[unit].take(&span(first, nights)));
        let every_way = (0..3_usize.pow(u32::try_from(items.len()).unwrap()))
            .any(|code| is_sound(&puzzle, &(0..items.len()).map(|place| code / 3_usize.pow(u32::try_from(place).unwrap()) % 3).collect::<Vec<_>>()));
        for found in [puzzle.solve(), seat(&puzzle, 10_000)] {
            prop_assert_eq!(found.is_some(), every_way);
            prop_assert!(found.is_none_or(|seats| is_sound(&puzzle, &seats)));
        }
    }
}
