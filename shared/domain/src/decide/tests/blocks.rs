//! Blocks: they never overlap a booking, and say whom they met.

use super::house::{House, code, id, status};
use crate::booking::Status;
use crate::decide::Verdict;
use crate::events::InventoryChange;
use crate::fixtures::stay;
use crate::messages::{RefusalCode, ReplyOutcome};

#[test]
fn blocked_beds_are_not_sold_until_they_are_unblocked() {
    let mut house = House::new();
    let verdict = house.block("paint", &["p1-1", "p1-2", "p2-1", "p2-2"], "2027-01-10", "2027-01-12");
    assert!(
        matches!(&verdict, Verdict::Changed(event) if matches!(event.change, InventoryChange::Blocked { .. })),
        "{verdict:?}"
    );
    assert_eq!(house.claims.len(), 8);
    assert_eq!(
        status(&house.book("1", vec![stay("private-double", "2027-01-11", "2027-01-13", 2)])),
        Some(Status::Rejected)
    );
    assert_eq!(
        status(&house.book("2", vec![stay("private-double", "2027-01-12", "2027-01-13", 2)])),
        Some(Status::Confirmed)
    );
    assert_eq!(house.block("paint", &["p1-1", "p1-2", "p2-1", "p2-2"], "2027-01-10", "2027-01-12"), verdict, "again");
    let lifted = house.unblock("paint");
    assert!(matches!(&lifted, Verdict::Changed(event) if matches!(event.change, InventoryChange::Unblocked { .. })));
    assert_eq!(house.unblock("paint"), lifted);
    assert_eq!(
        status(&house.book("3", vec![stay("private-double", "2027-01-11", "2027-01-13", 2)])),
        Some(Status::Confirmed)
    );
}

#[test]
fn a_block_that_meets_bookings_names_them() {
    let mut house = House::new();
    house.book("1", vec![stay("private-double", "2027-01-10", "2027-01-12", 2)]);
    house.book("2", vec![stay("private-double", "2027-01-20", "2027-01-22", 2)]);
    let beds: Vec<String> = house.beds("1").into_iter().map(str::to_owned).collect();
    let beds: Vec<&str> = beds.iter().map(String::as_str).collect();
    let refused = house.block("paint", &beds, "2027-01-11", "2027-01-13");
    assert!(
        matches!(&refused, Verdict::Refused(_, Some(why)) if why.code == RefusalCode::BedTaken && why.bookings == [id("1")]),
        "{refused:?}"
    );
    assert!(house.blocks.is_empty());
}

#[test]
fn a_block_must_make_sense() {
    let mut house = House::new();
    assert_eq!(code(&house.block("1", &["ghost"], "2027-01-10", "2027-01-12")), Some(RefusalCode::BedUnfit));
    assert_eq!(code(&house.block("2", &["a-1", "a-1"], "2027-01-10", "2027-01-12")), Some(RefusalCode::BedUnfit));
    assert_eq!(code(&house.block("3", &["a-1"], "2027-01-10", "2027-01-10")), Some(RefusalCode::InvalidDates));
    assert_eq!(code(&house.block("4", &["a-1"], "2026-11-30", "2026-12-02")), Some(RefusalCode::InvalidDates));
}

#[test]
fn what_is_lifted_before_it_is_made_is_never_made() {
    let mut house = House::new();
    let lifted = house.unblock("late");
    assert!(matches!(lifted, Verdict::Changed(_)), "{lifted:?}");
    assert_eq!(house.unblock("late"), lifted, "again is the same");
    let made = house.block("late", &["a-1"], "2027-01-10", "2027-01-12");
    assert_eq!(made, Verdict::Refused(ReplyOutcome::KeyReused, None));
    assert_eq!(house.claims.len(), 0);
    assert!(matches!(house.block("other", &["a-1"], "2027-01-10", "2027-01-12"), Verdict::Changed(_)));
}
