//! Payments and holds: paid, expired, paid late, and refunded.

use super::property::{PROPERTY, TestProperty, code, id, status};
use crate::booking::{Action, HistoryEntry, PaymentStatus, Status, StayRequest};
use crate::decide::Decision;
use crate::fixtures::{at, request, stay};
use crate::ledger::Summary;
use crate::messages::*;
use proptest::prelude::*;
use uuid::Uuid;

/// Two guests in one room for three nights, taxes included.
const TOTAL: i64 = 42_840;

fn room() -> Vec<StayRequest> {
    vec![stay("private-double", "2027-01-10", "2027-01-13", 2)]
}

/// A property with one held booking; there are two rooms of its kind.
fn held() -> TestProperty {
    let mut property = TestProperty::new();
    hold(&mut property, "1", room());
    property
}

fn hold(property: &mut TestProperty, key: &str, stays: Vec<StayRequest>) -> Decision {
    let requested = RequestBooking { rate_plan_id: "prepaid".into(), ..request(key, stays) };
    property.run(&[(requested.booking_id.request_command_id(), BookingCommand::Request(Box::new(requested)))]).remove(0)
}

fn paid(ledger_rev: u64, captured: i64) -> Summary {
    Summary { ledger_rev, captured, cleared: captured, ..Summary::default() }
}

fn apply_payment(property: &mut TestProperty, key: &str, ledger: Summary) -> Decision {
    let header = property.header(key);
    property.one(BookingCommand::SettlePayment(SettlePayment { header, ledger }))
}

fn expire(property: &mut TestProperty, key: &str) -> Decision {
    let header = property.header(key);
    property.one(BookingCommand::ExpireHold(ExpireHold { header }))
}

/// Advances past the hold of half an hour.
fn time_is_up(property: &mut TestProperty) {
    property.now = at("2026-12-01T12:30:00Z");
}

#[test]
fn prepaid_booking_is_held_until_paid() {
    let mut property = held();
    let booking = property.booking("1");
    assert_eq!(
        (booking.status, booking.payment.required, booking.payment_status()),
        (Status::Held, TOTAL, PaymentStatus::Pending)
    );
    assert_eq!(booking.payment.expires_at, Some(at("2026-12-01T12:30:00Z")));
    assert_eq!((property.claims.len(), booking.payable()), (6, TOTAL), "holds claim like bookings");
    assert_eq!(status(&apply_payment(&mut property, "1", paid(1, TOTAL))), Some(Status::Confirmed));
    let booking = property.booking("1");
    assert_eq!(
        (booking.payment_status(), booking.balance(), booking.history[1].action),
        (PaymentStatus::Paid, 0, Action::Confirm)
    );
}

#[test]
fn partial_payment_confirms_nothing_and_keeps_the_hold() {
    let mut property = held();
    let less = Summary { ledger_rev: 1, captured: TOTAL - 1, cleared: 0, ..Summary::default() };
    assert_eq!(status(&apply_payment(&mut property, "1", less)), Some(Status::Held));
    time_is_up(&mut property);
    assert_eq!(code(&expire(&mut property, "1")), Some(RefusalCode::PaymentUnderWay), "staff have to look at it");
    let header = property.header("1");
    assert_eq!(status(&property.one(BookingCommand::Confirm(ConfirmBooking { header }))), Some(Status::Confirmed));
    assert_eq!(
        (property.booking("1").balance(), property.booking("1").payment_status()),
        (1, PaymentStatus::PartiallyPaid)
    );
}

#[test]
fn hold_expires_at_its_deadline_and_not_before() {
    let mut property = held();
    assert_eq!(code(&expire(&mut property, "1")), Some(RefusalCode::TooEarly));
    time_is_up(&mut property);
    let first = expire(&mut property, "1");
    assert_eq!((status(&first), property.claims.len()), (Some(Status::Expired), 0));
    assert_eq!(expire(&mut property, "1"), first, "once more says the same");
    let mut paid_in_time = held();
    apply_payment(&mut paid_in_time, "1", paid(1, TOTAL));
    time_is_up(&mut paid_in_time);
    assert!(matches!(expire(&mut paid_in_time, "1"), Decision::Refused(ReplyOutcome::Conflict, _)));
}

#[test]
fn late_payment_gets_beds_again_or_a_refund() {
    let mut property = held();
    time_is_up(&mut property);
    expire(&mut property, "1");
    assert_eq!(status(&apply_payment(&mut property, "1", paid(1, TOTAL))), Some(Status::Confirmed));
    assert_eq!((property.claims.len(), property.booking("1").payment.to_refund), (6, 0));

    let mut full = held();
    time_is_up(&mut full);
    expire(&mut full, "1");
    full.book("2", room());
    full.book("3", room());
    assert_eq!(status(&apply_payment(&mut full, "1", paid(1, TOTAL))), Some(Status::Expired));
    assert_eq!((full.booking("1").payment.to_refund, full.booking("1").payment.refund_due()), (TOTAL, TOTAL));
    // The beds become free; the refund is pending all the same, and must not confirm what it refunds.
    let header = full.header("2");
    full.one(BookingCommand::Cancel(CancelBooking { header, waive_fee: true }));
    let back = Summary { refunded: TOTAL, ..paid(2, TOTAL) };
    assert_eq!(status(&apply_payment(&mut full, "1", back)), Some(Status::Expired));
    assert_eq!(
        (full.booking("1").payment.refund_due(), full.booking("1").payment_status()),
        (0, PaymentStatus::Refunded)
    );
}

#[test]
fn refunded_late_payment_claims_no_beds() {
    for gone in [Summary { refunded: TOTAL, ..paid(1, TOTAL) }, Summary { charged_back: TOTAL, ..paid(1, TOTAL) }] {
        let mut property = held();
        time_is_up(&mut property);
        expire(&mut property, "1");
        assert_eq!(
            status(&apply_payment(&mut property, "1", gone)),
            Some(Status::Expired),
            "a refund was made in the meantime"
        );
    }
    // Refunded because there were no beds; then charged back as well, and the chargeback reversed: it stays refunded.
    let mut property = held();
    time_is_up(&mut property);
    expire(&mut property, "1");
    property.book("2", room());
    property.book("3", room());
    apply_payment(&mut property, "1", paid(1, TOTAL));
    apply_payment(&mut property, "1", Summary { refunded: TOTAL, ..paid(2, TOTAL) });
    apply_payment(&mut property, "1", Summary { refunded: TOTAL, charged_back: TOTAL, ..paid(3, TOTAL) });
    let header = property.header("2");
    property.one(BookingCommand::Cancel(CancelBooking { header, waive_fee: true }));
    assert_eq!(
        status(&apply_payment(&mut property, "1", Summary { refunded: TOTAL, ..paid(4, TOTAL) })),
        Some(Status::Expired),
        "though there are beds now"
    );
}

#[test]
fn older_ledger_summary_is_ignored() {
    let mut property = held();
    apply_payment(&mut property, "1", paid(5, TOTAL));
    let rev = property.booking("1").rev;
    apply_payment(&mut property, "1", Summary { ledger_rev: 4, ..Summary::default() });
    apply_payment(&mut property, "1", paid(5, TOTAL));
    assert_eq!((property.booking("1").rev, property.booking("1").status), (rev, Status::Confirmed));
}

#[test]
fn cancellation_keeps_the_fee_and_refunds_the_rest() {
    let mut property = held();
    apply_payment(&mut property, "1", paid(1, TOTAL));
    property.now = at("2027-01-09T12:00:00Z");
    let header = property.header("1");
    property.one(BookingCommand::Cancel(CancelBooking { header, waive_fee: false }));
    let booking = property.booking("1");
    assert_eq!(
        (booking.cancellation_fee, booking.payment.to_refund),
        (Some(TOTAL / 2), TOTAL - TOTAL / 2),
        "half of it, a day before"
    );
    let mut unpaid = held();
    let header = unpaid.header("1");
    unpaid.one(BookingCommand::Cancel(CancelBooking { header, waive_fee: false }));
    assert_eq!(
        (unpaid.booking("1").cancellation_fee, unpaid.booking("1").payment.to_refund),
        (Some(0), 0),
        "who was not confirmed owes nothing"
    );
    apply_payment(&mut unpaid, "1", paid(1, TOTAL));
    assert_eq!(
        (unpaid.booking("1").status, unpaid.booking("1").payment.to_refund),
        (Status::Cancelled, TOTAL),
        "and gets back what comes late"
    );
}

#[test]
fn double_payment_and_price_reduction_are_refunded() {
    let mut property = held();
    let twice = Summary { surplus: TOTAL, cleared: TOTAL, ..paid(1, 2 * TOTAL) };
    assert_eq!(status(&apply_payment(&mut property, "1", twice)), Some(Status::Confirmed));
    assert_eq!(property.booking("1").payment.to_refund, TOTAL);
    let mut shorter = held();
    apply_payment(&mut shorter, "1", paid(1, TOTAL));
    shorter.modify("1", vec![stay("private-double", "2027-01-10", "2027-01-12", 2)]);
    let booking = shorter.booking("1");
    assert_eq!(booking.payment.to_refund, TOTAL - booking.price.as_ref().unwrap().total);
    shorter.modify("1", vec![stay("private-double", "2027-01-10", "2027-01-14", 2)]);
    assert_eq!(
        (shorter.booking("1").payment.to_refund, shorter.booking("1").balance()),
        (0, TOTAL / 3),
        "longer again: owed, not refunded"
    );
}

#[test]
fn refund_of_another_amount_than_requested_leaves_what_pays() {
    let mut property = held();
    let other = Summary { cleared: 0, ..paid(1, 2 * TOTAL) };
    assert_eq!(status(&apply_payment(&mut property, "1", other)), Some(Status::Held));
    assert_eq!((property.booking("1").payment.to_refund, property.booking("1").payable()), (TOTAL, TOTAL));
    let requested = Summary { cleared: TOTAL, ..paid(2, 3 * TOTAL) };
    assert_eq!(status(&apply_payment(&mut property, "1", requested)), Some(Status::Confirmed));
    assert_eq!(property.booking("1").payment.to_refund, 2 * TOTAL);
}

#[test]
fn event_carries_the_payment_of_its_revision() {
    let mut property = held();
    let confirmed = apply_payment(&mut property, "1", paid(1, TOTAL));
    apply_payment(&mut property, "1", Summary { refunded: 1_000, ..paid(2, TOTAL) });
    let booking = property.booking("1");
    let again = crate::events::BookingEvent::of(booking, &booking.history[1]);
    assert_eq!(Decision::Decided(Box::new(again)), confirmed);
}

#[derive(Debug, Clone)]
enum Step {
    Settle(usize),
    Expire,
    Cancel,
    Others,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![4 => (0_usize..4).prop_map(Step::Settle), 2 => Just(Step::Expire), 1 => Just(Step::Cancel),
        1 => Just(Step::Others)];
    prop::collection::vec(step, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// However payment and expiry race: a paid booking has its beds or is refunded, never both, never neither.
    #[test]
    fn payment_yields_beds_or_a_refund(steps in steps()) {
        let mut property = held();
        time_is_up(&mut property);
        // Totals by revision: nothing, paid, paid twice, one of them refunded.
        let sums = [
            Summary { ledger_rev: 1, ..Summary::default() },
            paid(2, TOTAL),
            Summary { surplus: TOTAL, cleared: TOTAL, ..paid(3, 2 * TOTAL) },
            Summary { surplus: TOTAL, cleared: TOTAL, refunded: TOTAL, ..paid(4, 2 * TOTAL) },
        ];
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::Settle(which) => drop(apply_payment(&mut property, "1", sums[*which].clone())),
                Step::Expire => drop(expire(&mut property, "1")),
                Step::Cancel => {
                    let header = property.header("1");
                    property.one(BookingCommand::Cancel(CancelBooking { header, waive_fee: true }));
                }
                Step::Others => drop(property.book(&format!("other {number}"), room())),
            }
            let booking = property.booking("1");
            let ledger = booking.payment.ledger();
            let has_beds = booking.claims().count() > 0;
            let kept_in_the_end = ledger.captured - booking.payment.to_refund;
            prop_assert_eq!(booking.payment.to_refund, booking.total_to_refund());
            prop_assert!(kept_in_the_end == if has_beds { ledger.captured.min(TOTAL) } else { 0 }, "{:?}: {:?}",
                booking.status, booking.payment);
            if booking.status == Status::Confirmed {
                prop_assert!(ledger.captured >= TOTAL && booking.payment.covers());
            }
            let late = |entry: &&HistoryEntry| entry.to == Status::Confirmed && entry.from == Status::Expired;
            prop_assert!(booking.history.iter().filter(late).count() <= 1);
        }
    }

    /// Any order and repetition of the totals ends in the same booking.
    #[test]
    fn order_of_ledger_summaries_does_not_matter(order in prop::collection::vec(0_usize..5, 1..16)) {
        let sums = [
            Summary { ledger_rev: 1, processing: true, ..Summary::default() },
            paid(2, TOTAL),
            Summary { refunded: 2_000, ..paid(3, TOTAL) },
            Summary { refunded: 2_000, charged_back: TOTAL - 2_000, ..paid(4, TOTAL) },
            Summary { refunded: 2_000, ..paid(5, TOTAL) },
        ];
        let mut straight = held();
        sums.iter().for_each(|sum| drop(apply_payment(&mut straight, "1", sum.clone())));
        let mut shuffled = held();
        for which in order {
            apply_payment(&mut shuffled, "1", sums[which].clone());
        }
        apply_payment(&mut shuffled, "1", sums[4].clone());
        let (one, two) = (straight.booking("1"), shuffled.booking("1"));
        prop_assert_eq!((one.status, &one.payment, &one.stays), (two.status, &two.payment, &two.stays));
        prop_assert_eq!(straight.claims, shuffled.claims);
    }
}

#[test]
fn hold_has_its_own_property_and_event_ids() {
    let property = held();
    assert_eq!((property.booking("1").property_id.as_str(), property.booking("1").id), (PROPERTY, id("1")));
    assert!(property.booking("1").entry_of(Uuid::nil()).is_none());
}
