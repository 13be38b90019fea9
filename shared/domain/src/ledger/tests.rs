//! Observations in any order and number yield the same ledger with the right totals.

mod duplicates;
mod refunds;
mod states;
mod totals;

use super::{Attention, EntryKind, Ledger, PaymentChannel, PaymentEventKind, Record, RecordMethod, Refetch, Summary};
use crate::fixtures::now;
use crate::ids::BookingId;
use crate::money::Currency;
use crate::stripe::Event;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

const OWED: i64 = 10_000;

fn booking_id() -> BookingId {
    BookingId::derive(None, "1", "f")
}

/// A ledger with two attempts: the second session replaced the first.
fn ledger() -> Ledger {
    let mut ledger = Ledger::new(booking_id(), "pvt-montreal".into(), Currency::CAD, now());
    for (id, object) in [(1, "cs_1"), (2, "cs_2")] {
        ledger.open(Uuid::from_u128(id), PaymentChannel::Checkout, OWED, now());
        ledger.opened(Uuid::from_u128(id), object);
    }
    ledger
}

fn event(number: i64, kind: &str, object: Value) -> Event {
    Event::read(&json!({ "id": format!("evt_{number}"), "type": kind, "created": 1_800_000_000 + number,
        "data": { "object": object } }))
    .unwrap()
}

fn metadata() -> Value {
    json!({ "booking_id": booking_id().to_string(), "demand": "1" })
}

fn session(id: &str, status: &str, payment_status: &str, intent: Option<&str>) -> Value {
    json!({ "id": id, "status": status, "payment_status": payment_status, "payment_intent": intent,
        "amount_total": OWED, "currency": "cad",
            "created": 1_800_000_000, "expires_at": 1_800_001_800, "metadata": metadata() })
}

fn intent(id: &str, status: &str) -> Value {
    let received = if status == "succeeded" { OWED } else { 0 };
    json!({ "id": id, "status": status, "amount": OWED, "amount_received": received, "currency": "cad",
        "created": 1_800_000_000, "metadata": metadata() })
}

fn refund(id: &str, status: &str, amount: i64) -> Value {
    json!({ "id": id, "status": status, "payment_intent": "pi_1", "charge": "ch_1", "amount": amount, "currency": "cad",
        "created": 1_800_000_100 })
}

fn charge(refunded: i64) -> Value {
    json!({ "id": "ch_1", "payment_intent": "pi_1", "amount": OWED, "amount_refunded": refunded, "currency": "cad" })
}

fn dispute(status: &str, movements: &[i64]) -> Value {
    let movements: Vec<Value> = (0..)
        .zip(movements)
        .map(|(n, amount)| json!({ "id": format!("txn_{n}"), "amount": amount, "fee": 1_500, "currency": "cad" }))
        .collect();
    json!({ "id": "dp_1", "status": status, "payment_intent": "pi_1", "charge": "ch_1", "amount": OWED,
        "currency": "cad", "reason": "fraudulent",
            "created": 1_800_000_200, "balance_transactions": movements })
}

/// Captured, refunded, charged back, whether it is cleared.
type Sums = (i64, i64, i64, bool);
/// A name, Stripe's events in order, and the resulting totals.
type Story = (&'static str, Vec<(&'static str, Value)>, Sums);

fn stories() -> Vec<Story> {
    let paid = || {
        vec![
            ("checkout.session.completed", session("cs_1", "complete", "paid", Some("pi_1"))),
            ("payment_intent.succeeded", intent("pi_1", "succeeded")),
        ]
    };
    let with = |more: Vec<(&'static str, Value)>| [paid(), more].concat();
    vec![
        ("success", paid(), (OWED, 0, 0, true)),
        (
            "failure then success",
            [vec![("payment_intent.payment_failed", intent("pi_1", "requires_payment_method"))], paid()].concat(),
            (OWED, 0, 0, true),
        ),
        (
            "async success",
            vec![
                ("checkout.session.completed", session("cs_1", "complete", "unpaid", Some("pi_1"))),
                ("payment_intent.processing", intent("pi_1", "processing")),
                ("checkout.session.async_payment_succeeded", session("cs_1", "complete", "paid", Some("pi_1"))),
                ("payment_intent.succeeded", intent("pi_1", "succeeded")),
            ],
            (OWED, 0, 0, true),
        ),
        (
            "async failure",
            vec![
                ("checkout.session.completed", session("cs_1", "complete", "unpaid", Some("pi_1"))),
                ("payment_intent.processing", intent("pi_1", "processing")),
                ("checkout.session.async_payment_failed", session("cs_1", "complete", "unpaid", Some("pi_1"))),
                ("payment_intent.payment_failed", intent("pi_1", "requires_payment_method")),
            ],
            (0, 0, 0, false),
        ),
        (
            "cancel",
            vec![
                ("payment_intent.created", intent("pi_1", "requires_payment_method")),
                ("payment_intent.canceled", intent("pi_1", "canceled")),
            ],
            (0, 0, 0, false),
        ),
        ("expired", vec![("checkout.session.expired", session("cs_1", "expired", "unpaid", None))], (0, 0, 0, false)),
        (
            "partial refunds",
            with(vec![
                ("refund.created", refund("re_1", "pending", 2_000)),
                ("charge.refunded", charge(2_000)),
                ("refund.updated", refund("re_1", "succeeded", 2_000)),
                ("refund.created", refund("re_2", "succeeded", 3_000)),
                ("charge.refunded", charge(5_000)),
            ]),
            (OWED, 5_000, 0, true),
        ),
        (
            "full refund",
            with(vec![("refund.created", refund("re_1", "succeeded", OWED)), ("charge.refunded", charge(OWED))]),
            (OWED, OWED, 0, true),
        ),
        (
            "a refund that fails",
            with(vec![
                ("refund.created", refund("re_1", "pending", OWED)),
                ("refund.updated", refund("re_1", "succeeded", OWED)),
                ("charge.refunded", charge(OWED)),
                ("refund.failed", refund("re_1", "failed", OWED)),
            ]),
            (OWED, 0, 0, true),
        ),
        (
            "dispute won",
            with(vec![
                ("charge.dispute.created", dispute("needs_response", &[])),
                ("charge.dispute.funds_withdrawn", dispute("needs_response", &[-OWED])),
                ("charge.dispute.updated", dispute("under_review", &[-OWED])),
                ("charge.dispute.closed", dispute("won", &[-OWED])),
                ("charge.dispute.funds_reinstated", dispute("won", &[-OWED, OWED])),
            ]),
            (OWED, 0, 0, true),
        ),
        (
            "dispute lost",
            with(vec![
                ("charge.dispute.created", dispute("needs_response", &[])),
                ("charge.dispute.funds_withdrawn", dispute("needs_response", &[-OWED])),
                ("charge.dispute.closed", dispute("lost", &[-OWED])),
            ]),
            (OWED, 0, OWED, true),
        ),
    ]
}

fn events(story: &[(&str, Value)]) -> Vec<Event> {
    (0..).zip(story).map(|(number, (kind, object))| event(number, kind, object.clone())).collect()
}

fn observed(events: impl IntoIterator<Item = Event>) -> Ledger {
    let mut ledger = ledger();
    for event in events {
        ledger.apply(&event);
    }
    ledger
}

fn sums(summary: &Summary) -> Sums {
    (summary.captured, summary.refunded, summary.charged_back, summary.cleared == OWED)
}

#[test]
fn every_event_sequence_yields_its_totals() {
    for (name, story, expected) in stories() {
        let ledger = observed(events(&story));
        assert_eq!(sums(&ledger.summary()), expected, "{name}");
        assert!(!ledger.summary().processing, "{name}");
        let entries = ledger.entries();
        assert_eq!(entries.last().map_or(0, |entry| entry.balance), ledger.summary().kept(), "{name}: {entries:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// 3,000 permutations of a sequence with repetitions: the same ledger as in order and once.
    #[test]
    fn observations_commute_and_are_idempotent(story in 0..stories().len(),
        order in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..4), 0..24)) {
        let (name, story, _) = &stories()[story];
        let straight = events(story);
        let mut shuffled: Vec<Event> = Vec::new();
        for (place, times) in &order {
            let event = place.get(&straight).clone();
            shuffled.extend(std::iter::repeat_n(event, *times));
        }
        // Events that were not drawn come last, backwards: nothing is lost, only late.
        shuffled.extend(straight.iter().rev().cloned());
        prop_assert_eq!(observed(shuffled), observed(straight), "{}", name);
    }
}

#[test]
fn unknown_refunds_are_refetched() {
    let mut ledger = observed(events(&stories()[0].1));
    assert_eq!(
        ledger.apply(&event(50, "charge.refunded", charge(3_000))),
        Some(Refetch::Refunds { intent: "pi_1".to_owned() })
    );
    ledger.apply(&event(51, "refund.created", refund("re_1", "succeeded", 3_000)));
    assert_eq!(ledger.apply(&event(50, "charge.refunded", charge(3_000))), None);
}

#[test]
fn mismatched_amount_or_currency_needs_attention() {
    let paid = |id: &str, amount: i64, currency: &str| {
        json!({ "id": id, "status": "succeeded", "amount": amount,
        "amount_received": amount, "currency": currency, "metadata": metadata() })
    };
    let less = observed([event(1, "payment_intent.succeeded", paid("pi_1", OWED - 1, "cad"))]);
    assert_eq!((less.summary().captured, less.summary().cleared), (OWED - 1, 0));
    assert_eq!(less.attention().into_iter().collect::<Vec<_>>(), [Attention::AmountMismatch]);
    let foreign = observed([event(1, "payment_intent.succeeded", paid("pi_1", OWED, "usd"))]);
    assert_eq!(
        (foreign.summary().captured, foreign.attention().into_iter().collect::<Vec<_>>()),
        (0, vec![Attention::CurrencyMismatch])
    );
}

#[test]
fn totals_rev_changes_only_with_the_totals() {
    let before = ledger();
    let step = |before: &Ledger, event: &Event| {
        let mut after = before.clone();
        after.apply(event);
        after.advance_rev(before, now());
        after
    };
    let [failed, paid] = [&stories()[1].1[0], &stories()[1].1[2]].map(|(kind, object)| event(1, kind, object.clone()));
    let failed = step(&before, &failed);
    assert_eq!((failed.rev, failed.totals_rev), (1, 0));
    let paid = step(&failed, &paid);
    assert_eq!((paid.rev, paid.totals_rev), (2, 2));
    let given = step(&paid, &event(2, "refund.created", refund("re_1", "succeeded", OWED)));
    let back = step(&given, &event(3, "refund.failed", refund("re_1", "failed", OWED)));
    assert!(back.summary().same_totals_as(&paid.summary()));
    assert_eq!(back.totals_rev, 4, "a booking that knows revision 2 is updated, because revision 3 may arrive later");
    let again = step(&back, &event(4, "payment_intent.succeeded", intent("pi_1", "succeeded")));
    assert_eq!(
        (again.rev, again.summary()),
        (5, back.summary()),
        "equal totals have the same revision, whenever they are observed"
    );
}

#[test]
fn open_session_is_reused_for_the_same_amount_only() {
    let mut ledger = Ledger::new(booking_id(), "pvt-montreal".into(), Currency::CAD, now());
    let mut page = session("cs_1", "open", "unpaid", None);
    page["expires_at"] = json!(now().as_datetime().timestamp() + 1_800);
    ledger.open(Uuid::from_u128(1), PaymentChannel::Checkout, OWED, now());
    ledger.opened(Uuid::from_u128(1), "cs_1");
    ledger.apply(&event(1, "checkout.session.created", page));
    let mut open = |id, channel, amount| ledger.open(Uuid::from_u128(id), channel, amount, now()).unwrap();
    assert_eq!(open(2, PaymentChannel::Checkout, OWED).attempt.id, Uuid::from_u128(1));
    let other = open(3, PaymentChannel::Checkout, OWED + 1);
    assert_eq!((other.attempt.demand, other.superseded), (2, vec!["cs_1".to_owned()]));
    let again = open(3, PaymentChannel::Checkout, 1);
    assert_eq!(again.attempt.amount, OWED + 1, "the same attempt again");
    assert_eq!(again.superseded, ["cs_1"], "the process may have died before it expired the session");
}

#[test]
fn open_intent_is_reused_for_the_same_amount_only() {
    let mut ledger = Ledger::new(booking_id(), "pvt-montreal".into(), Currency::CAD, now());
    ledger.open(Uuid::from_u128(1), PaymentChannel::App, OWED, now()).unwrap();
    ledger.opened(Uuid::from_u128(1), "pi_1");
    ledger.apply(&event(1, "payment_intent.created", intent("pi_1", "requires_payment_method")));
    let open =
        |ledger: &mut Ledger, id, amount| ledger.open(Uuid::from_u128(id), PaymentChannel::App, amount, now()).unwrap();
    assert_eq!(open(&mut ledger, 2, OWED).attempt.object.as_deref(), Some("pi_1"));
    assert_eq!(ledger.attempts.len(), 1);
    assert_eq!(open(&mut ledger, 3, OWED - 1).superseded, ["pi_1"]);
    ledger.apply(&event(2, "payment_intent.processing", intent("pi_1", "processing")));
    assert_eq!(open(&mut ledger, 4, OWED).attempt.object, None, "what is on its way may still fail");
}

#[test]
fn number_of_attempts_is_bounded() {
    let mut ledger = Ledger::new(booking_id(), "pvt-montreal".into(), Currency::CAD, now());
    let opened =
        (1..=1_000).filter(|id| ledger.open(Uuid::from_u128(*id), PaymentChannel::App, OWED, now()).is_some()).count();
    assert_eq!((opened, ledger.attempts.len()), (50, 50));
    assert!(
        ledger.open(Uuid::from_u128(7), PaymentChannel::App, OWED, now()).is_some(),
        "the same attempt is the same still"
    );
    let later = (now().as_datetime() + chrono::TimeDelta::minutes(11)).into();
    assert!(
        ledger.open(Uuid::from_u128(2_000), PaymentChannel::App, OWED, later).is_some(),
        "attempts that Stripe never knew are dropped after a while"
    );
    let mut known = Ledger::new(booking_id(), "pvt-montreal".into(), Currency::CAD, now());
    for id in 1..=60 {
        known.open(Uuid::from_u128(id), PaymentChannel::App, OWED + i64::try_from(id).unwrap(), now());
        known.opened(Uuid::from_u128(id), &format!("pi_{id}"));
    }
    assert_eq!(known.attempts.len(), 50);
    assert!(known.open(Uuid::from_u128(2_000), PaymentChannel::App, OWED, later).is_none());
}

#[test]
fn session_without_attempt_is_payable() {
    let mut ledger = ledger();
    for id in ["cs_1", "cs_2", "cs_3"] {
        ledger.apply(&event(1, "checkout.session.created", session(id, "open", "unpaid", None)));
    }
    assert_eq!(ledger.payable_objects(), ["cs_1", "cs_2", "cs_3"]);
    ledger.apply(&event(2, "checkout.session.expired", session("cs_3", "expired", "unpaid", None)));
    assert_eq!(ledger.payable_objects(), ["cs_1", "cs_2"]);
}

#[test]
fn manual_payment_counts_once() {
    let mut ledger = ledger();
    let cash = Record {
        id: Uuid::from_u128(9),
        method: RecordMethod::Cash,
        amount: OWED,
        actor: "staff:1".into(),
        note: None,
        at: now(),
    };
    assert!(ledger.record(cash.clone()) && !ledger.record(cash.clone()));
    ledger.record(Record { id: Uuid::from_u128(10), amount: -1_000, ..cash });
    let summary = ledger.summary();
    assert_eq!(
        (summary.captured, summary.refunded, summary.cleared),
        (OWED, 1_000, OWED - 1_000),
        "a refund covers nothing"
    );
    assert_eq!(
        ledger.entries().iter().map(|entry| (entry.kind, entry.balance)).collect::<Vec<_>>(),
        [(EntryKind::Payment, OWED), (EntryKind::Refund, OWED - 1_000)]
    );
}

#[test]
fn changes_are_what_differs() {
    let before = ledger();
    let after = observed(events(&stories()[7].1));
    let kinds = |changes: Vec<super::LedgerChange>| {
        changes
            .iter()
            .map(|changes| (changes.kind, changes.entry.as_ref().map(|entry| entry.amount)))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        kinds(after.changes_since(&before)),
        [(PaymentEventKind::Captured, Some(OWED)), (PaymentEventKind::Refunded, Some(-OWED))]
    );
    assert_eq!(after.changes_since(&after), []);
    let failed = observed(events(&stories()[8].1));
    let gone = failed.changes_since(&after);
    assert_eq!(kinds(gone), [(PaymentEventKind::Refunded, Some(0))], "what came back is no entry any more");
    let Event { object, .. } = event(1, "refund.failed", refund("re_1", "failed", OWED));
    assert_eq!(failed.changes_of(&object), failed.changes_since(&after), "the same when observed again");
    for (name, story, _) in stories() {
        let steps: Vec<Event> = events(&story);
        let all: Vec<String> = observed(steps.clone()).changes().into_iter().map(|changes| changes.subject).collect();
        let mut known = ledger();
        for event in steps {
            let mut next = known.clone();
            next.apply(&event);
            known = next;
        }
        let last = known.changes_of(&events(&story).pop().unwrap().object);
        assert!(
            last.iter().all(|changes| all.contains(&changes.subject)),
            "{name}: all changes include those of the last event"
        );
    }
    let declined = observed(events(&stories()[1].1[..1]));
    assert_eq!(kinds(declined.changes_since(&before)), [(PaymentEventKind::Failed, None)]);
}

#[test]
fn ledger_round_trips() {
    for (_, story, _) in stories() {
        let ledger = observed(events(&story));
        assert_eq!(serde_json::from_value::<Ledger>(serde_json::to_value(&ledger).unwrap()).unwrap(), ledger);
    }
}
