//! States that go back, and objects that name only their charge.

use super::{OWED, booking_id, charge, dispute, event, events, intent, metadata, observed, refund, session, stories};
use crate::fixtures::now;
use crate::ledger::{Attention, EntryKind, Ledger, PaymentChannel, Refetch};
use crate::money::Currency;
use crate::stripe::{Event, IntentStatus};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

/// A payment of an app: its one intent is tried again and again.
fn app_ledger() -> Ledger {
    let mut ledger = Ledger::new(booking_id(), "pvt-montreal".into(), Currency::CAD, now());
    ledger.open(Uuid::from_u128(1), PaymentChannel::App, OWED, now());
    ledger.opened(Uuid::from_u128(1), "pi_1");
    ledger
}

fn attempted(status: &str, charge: &str) -> Value {
    let mut intent = intent("pi_1", status);
    intent["latest_charge"] = json!(charge);
    if status == "requires_payment_method" {
        intent["last_payment_error"] = json!({ "charge": charge, "type": "card_error" });
    }
    intent
}

fn attempt(status: &str, charge: &str) -> Value {
    json!({ "id": charge, "payment_intent": "pi_1", "amount": OWED, "amount_refunded": 0, "currency": "cad",
        "status": status, "created": 1_800_000_000 })
}

/// Two bank debits that fail and a third that is on its way, all within these many seconds an event.
fn debits(seconds: i64) -> Vec<Event> {
    let story = [
        ("payment_intent.created", intent("pi_1", "requires_payment_method")),
        ("payment_intent.processing", attempted("processing", "py_1")),
        ("charge.failed", attempt("failed", "py_1")),
        ("payment_intent.payment_failed", attempted("requires_payment_method", "py_1")),
        ("payment_intent.processing", attempted("processing", "py_2")),
        ("payment_intent.payment_failed", attempted("requires_payment_method", "py_2")),
        ("payment_intent.processing", attempted("processing", "py_3")),
    ];
    let mut events = events(&story);
    for (event, place) in events.iter_mut().zip(0..) {
        event.created = 1_800_000_000 + place * seconds;
    }
    events
}

fn status(ledger: &Ledger) -> IntentStatus {
    ledger.status_of(ledger.intents.get("pi_1").unwrap())
}

#[test]
fn failed_bank_debit_is_over_and_the_payment_can_be_tried_again() {
    let mut ledger = app_ledger();
    let steps = debits(60);
    for (step, processing) in steps.iter().zip([false, true, false, false, true, false, true]) {
        ledger.apply(step);
        assert_eq!(ledger.summary().processing, processing, "after {} at {}", step.kind, step.created);
        let again = ledger.clone().open(Uuid::from_u128(2), PaymentChannel::App, OWED, now()).unwrap().attempt;
        let reused = again.object.as_deref() == Some("pi_1");
        assert_eq!(reused, !processing, "after {} at {}", step.kind, step.created);
        assert_eq!(ledger.payable_objects(), ["pi_1"], "it can be paid, or could be again");
    }
    ledger.apply(&event(900, "payment_intent.succeeded", attempted("succeeded", "py_3")));
    assert_eq!((ledger.summary().captured, ledger.summary().processing), (OWED, false));
    assert!(ledger.payable_objects().is_empty());
}

#[test]
fn failure_of_a_charge_is_enough() {
    // Within one second, and the event of the intent is late.
    let steps = debits(0);
    let mut ledger = app_ledger();
    for step in [&steps[2], &steps[1]] {
        ledger.apply(step);
    }
    assert_eq!((status(&ledger), ledger.summary().processing), (IntentStatus::RequiresPaymentMethod, false));
}

#[test]
fn stored_failure_of_the_version_before_counts() {
    // It kept the higher rank, and the time of the failure beside it.
    let mut ledger = app_ledger();
    ledger.apply(&event(5, "payment_intent.processing", intent("pi_1", "processing")));
    let mut stored = serde_json::to_value(&ledger).unwrap();
    stored["intents"][0]["failed_at"] = json!(1_800_000_009);
    let ledger: Ledger = serde_json::from_value(stored).unwrap();
    assert!(!ledger.summary().processing);
}

#[test]
fn debit_of_a_session_is_processing_until_its_own_failure() {
    let declined = event(1, "payment_intent.payment_failed", intent("pi_1", "requires_payment_method"));
    let completed = event(2, "checkout.session.completed", session("cs_1", "complete", "unpaid", Some("pi_1")));
    let ledger = observed([declined, completed.clone()]);
    assert!(ledger.summary().processing, "the card was declined before the debit");
    let failed = event(3, "payment_intent.payment_failed", intent("pi_1", "requires_payment_method"));
    assert!(!observed([failed, completed]).summary().processing, "the debit failed, whatever else is lost");
}

#[test]
fn charge_alone_names_the_payment() {
    let steps = events(&stories()[0].1);
    let without = |mut object: Value| {
        object["payment_intent"] = Value::Null;
        object
    };
    let dispute = event(50, "charge.dispute.created", without(dispute("needs_response", &[-OWED])));
    let refund = event(51, "refund.created", without(refund("re_1", "succeeded", 1_000)));
    let unknown = Some(Refetch::PaymentOfCharge { charge: "ch_1".into() });
    let mut ledger = observed(steps.clone());
    assert_eq!((ledger.apply(&dispute), ledger.apply(&refund)), (unknown.clone(), unknown), "is read, never dropped");
    ledger.apply(&event(40, "charge.succeeded", charge(0)));
    assert_eq!((ledger.apply(&dispute), ledger.apply(&refund)), (None, None));
    let summary = ledger.summary();
    assert_eq!((summary.charged_back, summary.refunded), (OWED, 1_000));
    assert!(ledger.attention().contains(&Attention::DisputeOpen) && ledger.is_frozen("pi_1"));
}

#[test]
fn inquiry_becomes_a_dispute_again() {
    let paid = || events(&stories()[0].1);
    let story = ["warning_needs_response", "warning_under_review", "warning_closed", "needs_response"];
    let steps: Vec<Event> = story
        .iter()
        .zip(70..)
        .map(|(status, number)| event(number, "charge.dispute.updated", dispute(status, &[])))
        .collect();
    let ledger = observed(paid().into_iter().chain(steps.clone()));
    assert!(ledger.is_frozen("pi_1"), "{:?}", ledger.disputes);
    let backwards = observed(paid().into_iter().chain(steps.into_iter().rev()));
    assert_eq!(backwards, ledger);
}

#[test]
fn payment_has_the_date_of_its_event() {
    let paid_at = |ledger: &Ledger| {
        let entries = ledger.entries();
        let entry = entries.iter().find(|entry| entry.kind == EntryKind::Payment).unwrap();
        entry.at.as_datetime().timestamp()
    };
    let reported = event(2, "payment_intent.succeeded", intent("pi_1", "succeeded"));
    let of_session = event(3, "checkout.session.completed", session("cs_1", "complete", "paid", Some("pi_1")));
    let late = event(900_000, "payment_intent.amount_capturable_updated", intent("pi_1", "succeeded"));
    for order in [[&reported, &of_session, &late], [&late, &of_session, &reported], [&of_session, &late, &reported]] {
        assert_eq!(paid_at(&observed(order.map(Event::clone))), 1_800_000_002);
    }
    // Only read, days later: the charge says when.
    let mut read = intent("pi_1", "succeeded");
    read["latest_charge"] = attempt("succeeded", "ch_1");
    assert_eq!(paid_at(&observed([event(900_000, "payment_intent.updated", read)])), 1_800_000_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Whatever the order, the repetitions and the distance in time: the same ledger, with the state of the last
    /// attempt.
    #[test]
    fn attempts_commute(seconds in prop_oneof![Just(0_i64), Just(1), Just(86_400)],
        length in 1_usize..8, order in prop::collection::vec(any::<prop::sample::Index>(), 0..20)) {
        let straight: Vec<Event> = debits(seconds).into_iter().take(length).collect();
        let mut ledger = app_ledger();
        straight.iter().for_each(|event| { ledger.apply(event); });
        let mut shuffled = app_ledger();
        for place in &order {
            shuffled.apply(place.get(&straight));
        }
        straight.iter().rev().for_each(|event| { shuffled.apply(event); });
        prop_assert_eq!(&shuffled, &ledger);
        if seconds > 0 {
            prop_assert_eq!(ledger.summary().processing, matches!(length, 2 | 5 | 7));
        }
    }

    /// What is drawn at random, metadata and all, never moves a paid payment.
    #[test]
    fn paid_stays_paid(at in 0_i64..2_000_000_000, state in prop_oneof![Just("processing"),
        Just("requires_payment_method"), Just("canceled"), Just("requires_source"), Just("of_tomorrow")]) {
        let mut ledger = observed(events(&stories()[0].1));
        let paid = ledger.clone();
        let late = json!({ "id": "pi_1", "status": state, "amount": OWED, "amount_received": 0, "currency": "cad",
            "created": 1_800_000_000, "metadata": metadata() });
        let mut late = event(7, "payment_intent.updated", late);
        late.created = at;
        ledger.apply(&late);
        prop_assert_eq!(ledger.summary(), paid.summary());
        prop_assert_eq!(ledger.entries(), paid.entries());
    }
}
