//! Blocks: they never overlap a booking, and a refusal names the conflicting ones.

use super::property::{TestProperty, code, id, status};
use crate::booking::Status;
use crate::decide::Decision;
use crate::events::InventoryChange;
use crate::fixtures::stay;
use crate::messages::{RefusalCode, ReplyOutcome};

#[test]
fn blocked_beds_are_not_sold_until_unblocked() {
    let mut property = TestProperty::new();
    let decision = property.block("paint", &["p1-1", "p1-2", "p2-1", "p2-2"], "2027-01-10", "2027-01-12");
    assert!(
        matches!(&decision, Decision::Changed(event) if matches!(event.change, InventoryChange::Blocked { .. })),
        "{decision:?}"
    );
    assert_eq!(property.claims.len(), 8);
    assert_eq!(
        status(&property.book("1", vec![stay("private-double", "2027-01-11", "2027-01-13", 2)])),
        Some(Status::Rejected)
    );
    assert_eq!(
        status(&property.book("2", vec![stay("private-double", "2027-01-12", "2027-01-13", 2)])),
        Some(Status::Confirmed)
    );
    assert_eq!(
        property.block("paint", &["p1-1", "p1-2", "p2-1", "p2-2"], "2027-01-10", "2027-01-12"),
        decision,
        "again"
    );
    let lifted = property.unblock("paint");
    assert!(matches!(&lifted, Decision::Changed(event) if matches!(event.change, InventoryChange::Unblocked { .. })));
    assert_eq!(property.unblock("paint"), lifted);
    assert_eq!(
        status(&property.book("3", vec![stay("private-double", "2027-01-11", "2027-01-13", 2)])),
        Some(Status::Confirmed)
    );
}

#[test]
fn block_refusal_names_conflicting_bookings() {
    let mut property = TestProperty::new();
    property.book("1", vec![stay("private-double", "2027-01-10", "2027-01-12", 2)]);
    property.book("2", vec![stay("private-double", "2027-01-20", "2027-01-22", 2)]);
    let beds: Vec<String> = property.beds("1").into_iter().map(str::to_owned).collect();
    let beds: Vec<&str> = beds.iter().map(String::as_str).collect();
    let refused = property.block("paint", &beds, "2027-01-11", "2027-01-13");
    assert!(
        matches!(&refused, Decision::Refused(_, Some(detail))
            if detail.code == RefusalCode::BedTaken && detail.bookings == [id("1")]),
        "{refused:?}"
    );
    assert!(property.blocks.is_empty());
}

#[test]
fn invalid_blocks_are_refused() {
    let mut property = TestProperty::new();
    assert_eq!(code(&property.block("1", &["ghost"], "2027-01-10", "2027-01-12")), Some(RefusalCode::BedUnfit));
    assert_eq!(code(&property.block("2", &["a-1", "a-1"], "2027-01-10", "2027-01-12")), Some(RefusalCode::BedUnfit));
    assert_eq!(code(&property.block("3", &["a-1"], "2027-01-10", "2027-01-10")), Some(RefusalCode::InvalidDates));
    assert_eq!(code(&property.block("4", &["a-1"], "2026-11-30", "2026-12-02")), Some(RefusalCode::InvalidDates));
}

#[test]
fn block_lifted_before_creation_is_never_created() {
    let mut property = TestProperty::new();
    let lifted = property.unblock("late");
    assert!(matches!(lifted, Decision::Changed(_)), "{lifted:?}");
    assert_eq!(property.unblock("late"), lifted, "again is the same");
    let made = property.block("late", &["a-1"], "2027-01-10", "2027-01-12");
    assert_eq!(made, Decision::Refused(ReplyOutcome::KeyReused, None));
    assert_eq!(property.claims.len(), 0);
    assert!(matches!(property.block("other", &["a-1"], "2027-01-10", "2027-01-12"), Decision::Changed(_)));
}
