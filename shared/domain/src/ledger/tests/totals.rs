//! Agreement of amounts shown, promised, allowed and instructed: never more is returned than is kept.

use super::{OWED, booking_id, dispute, event, events, intent, ledger, metadata, observed, refund, stories};
use crate::fixtures::now;
use crate::ledger::{
    Attention, InstructionState, Ledger, Record, RecordMethod, RefundReason, RefundsDue, facts::Observation,
};
use crate::money::{Currency, Money};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

fn paid() -> Ledger {
    observed(events(&stories()[0].1))
}

fn record(ledger: &mut Ledger, number: u128, amount: i64) -> bool {
    let record = Record {
        id: Uuid::from_u128(number),
        method: RecordMethod::Cash,
        amount,
        actor: "staff:1".into(),
        note: None,
        at: now(),
    };
    ledger.record(record)
}

fn in_currency(mut object: Value, currency: &str) -> Value {
    object["currency"] = json!(currency);
    object
}

#[test]
fn lost_dispute_counts_without_balance_transactions_in_the_booking_currency() {
    let mut settled_in_euro = dispute("lost", &[-6_700]);
    settled_in_euro["balance_transactions"][0]["currency"] = json!("eur");
    for lost in [dispute("lost", &[]), settled_in_euro.clone(), in_currency(settled_in_euro, "usd")] {
        let mut ledger = paid();
        ledger.apply(&event(70, "charge.dispute.closed", lost));
        let summary = ledger.summary();
        assert_eq!((summary.charged_back, summary.kept()), (OWED, 0));
        assert_eq!(summary.refunds_due(OWED), RefundsDue::default(), "nothing is promised");
        assert_eq!(ledger.entries().last().map(|entry| entry.balance), Some(0));
        assert_eq!(ledger.instruct_refunds(OWED, now()), 0);
    }
}

#[test]
fn withdrawal_in_another_currency_ends_with_its_reinstatement() {
    let moved = |status, amounts: &[i64]| {
        let mut moved = dispute(status, amounts);
        for movement in moved["balance_transactions"].as_array_mut().unwrap() {
            movement["currency"] = json!("eur");
        }
        moved
    };
    let mut ledger = paid();
    ledger.apply(&event(70, "charge.dispute.funds_withdrawn", moved("needs_response", &[-6_700])));
    assert_eq!(ledger.summary().charged_back, OWED);
    ledger.apply(&event(71, "charge.dispute.funds_reinstated", moved("won", &[-6_700, 6_650])));
    assert_eq!((ledger.summary().charged_back, ledger.summary().kept()), (0, OWED), "whatever the exchange rate");
    let taken_back = ledger.changes().into_iter().filter_map(|change| change.entry).find(|entry| entry.id == "dp_1");
    assert_eq!(taken_back.map(|entry| entry.amount), Some(0), "its entry is withdrawn from the mart");
}

#[test]
fn returned_cash_reduces_what_stripe_may_refund() {
    let mut ledger = paid();
    record(&mut ledger, 1, -9_000);
    let payment = ledger.intents.get("pi_1").unwrap().clone();
    assert_eq!((ledger.refundable(&payment), ledger.returnable()), (1_000, 1_000));
    assert_eq!(ledger.instruct_refunds(OWED, now()), 1);
    assert_eq!((ledger.instructed(), ledger.refundable(&payment), ledger.returnable()), (1_000, 0, 0));
}

#[test]
fn payment_in_another_currency_is_money_and_no_payment() {
    let mut ledger = ledger();
    ledger.apply(&event(1, "payment_intent.succeeded", in_currency(intent("pi_1", "succeeded"), "usd")));
    let usd = Currency::from_code("USD").unwrap();
    let summary = ledger.summary();
    assert_eq!((summary.captured, summary.other_currencies.clone()), (0, vec![Money::new(OWED, usd)]));
    assert!(summary.has_money() && summary.refunds_due(OWED) == RefundsDue::default());
    assert!(ledger.attention().contains(&Attention::CurrencyMismatch));
    // Refunding it instructs nothing of the booking's currency, and ends the attention.
    let payment = ledger.intents.get("pi_1").unwrap().clone();
    assert_eq!(ledger.refundable(&payment), OWED);
    ledger.instruct_requested_refund(Uuid::from_u128(5), "pi_1", OWED, "staff:1", "wrong currency", now());
    assert_eq!((ledger.instructed(), ledger.refundable(&payment)), (0, 0));
    ledger.apply(&event(2, "refund.created", in_currency(refund("re_1", "succeeded", OWED), "usd")));
    assert!(!ledger.summary().has_money() && ledger.attention().is_empty());
}

#[test]
fn cash_is_returned_by_staff() {
    let mut ledger = paid();
    record(&mut ledger, 1, 5_000);
    assert_eq!(ledger.instruct_refunds(OWED + 5_000, now()), 1, "what was paid through Stripe");
    let due = ledger.refunds_due();
    assert_eq!((due.automatic, due.manual, ledger.instructed()), (OWED, 5_000, OWED));
    assert!(ledger.attention().contains(&Attention::RefundManual));
    record(&mut ledger, 2, -5_000);
    assert!(ledger.refunds_due().manual == 0 && ledger.attention().is_empty(), "it was paid");
    let mut reinstated = paid();
    record(&mut reinstated, 1, 5_000);
    reinstated.instruct_refunds(OWED + 5_000, now());
    reinstated.note_total_to_refund(0);
    assert!(reinstated.attention().is_empty(), "it is owed no more");
}

#[test]
fn attention_for_a_failed_refund_ends_with_its_cause() {
    let failed = |request: bool| {
        let mut ledger = paid();
        if request {
            ledger.instruct_requested_refund(Uuid::from_u128(5), "pi_1", OWED, "staff:1", "goodwill", now());
        } else {
            ledger.instruct_refunds(OWED, now());
        }
        let key = ledger.refund_instructions[0].key.clone();
        ledger.reject_instruction(&key, "insufficient_funds");
        assert_eq!(ledger.attention().into_iter().collect::<Vec<_>>(), [Attention::RefundFailed]);
        ledger
    };
    for request in [false, true] {
        let mut in_cash = failed(request);
        record(&mut in_cash, 1, -OWED);
        assert!(in_cash.attention().is_empty());
        let mut lost = failed(request);
        lost.apply(&event(70, "charge.dispute.closed", dispute("lost", &[])));
        assert_eq!(lost.attention().into_iter().collect::<Vec<_>>(), [Attention::DisputeLost]);
    }
    let mut reinstated = failed(false);
    assert_eq!((reinstated.refunds_due().failed, reinstated.refunds_due().manual), (OWED, OWED));
    reinstated.note_total_to_refund(0);
    assert!(reinstated.attention().is_empty());
}

#[test]
fn earlier_goodwill_does_not_make_a_later_failure_good() {
    let mut ledger = paid();
    ledger.apply(&event(
        60,
        "refund.created",
        json!({ "id": "re_1", "status": "succeeded", "payment_intent": "pi_1",
        "amount": 2_000, "currency": "cad", "created": 1_700_000_000 }),
    ));
    ledger.instruct_refunds(OWED, now());
    let key = ledger.refund_instructions[0].key.clone();
    ledger.reject_instruction(&key, "insufficient_funds");
    assert!(!ledger.can_instruct_refunds(OWED), "it would fail again");
    assert_eq!(ledger.refunds_due().failed, OWED - 2_000);
}

#[test]
fn instruction_needs_attention_after_an_hour() {
    let mut ledger = paid();
    ledger.instruct_refunds(OWED, now());
    let later = |minutes| (now().as_datetime() + chrono::TimeDelta::minutes(minutes)).into();
    ledger.mark_overdue(later(59));
    assert!(ledger.attention().is_empty());
    ledger.mark_overdue(later(61));
    assert_eq!(ledger.attention().into_iter().collect::<Vec<_>>(), [Attention::RefundPending]);
    let mut made = refund("re_1", "succeeded", OWED);
    made["metadata"] = json!({ "refund_key": ledger.refund_instructions[0].key });
    ledger.apply(&event(62, "refund.created", made));
    assert!(ledger.attention().is_empty());
}

/// What happens to a ledger.
#[derive(Debug, Clone)]
enum Step {
    Charge {
        payment: u8,
        amount: i64,
        ours: bool,
    },
    Cash(i64),
    /// The booking decides on a total to refund; executed by Stripe with this outcome.
    Refund {
        to_refund: i64,
        fails: bool,
    },
    /// Staff request a refund of a payment.
    Request {
        payment: u8,
        amount: i64,
        fails: bool,
    },
    /// Stripe refuses or makes what is instructed.
    Execute {
        fails: bool,
    },
    ReturnLater(u8),
    Dispute {
        payment: u8,
        status: &'static str,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let amount = || (1_i64..=12).prop_map(|thousands| thousands * 1_000);
    let status =
        prop::sample::select(vec!["needs_response", "warning_needs_response", "won", "lost", "warning_closed"]);
    let step = prop_oneof![
        3 => (0_u8..3, amount(), prop::bool::weighted(0.8))
            .prop_map(|(payment, amount, ours)| Step::Charge { payment, amount, ours }),
        2 => (amount(), any::<bool>()).prop_map(|(amount, back)| Step::Cash(if back { -amount } else { amount })),
        3 => (0_i64..30_000, any::<bool>()).prop_map(|(to_refund, fails)| Step::Refund { to_refund, fails }),
        2 => (0_u8..3, amount(), any::<bool>())
            .prop_map(|(payment, amount, fails)| Step::Request { payment, amount, fails }),
        2 => any::<bool>().prop_map(|fails| Step::Execute { fails }),
        1 => (0_u8..8).prop_map(Step::ReturnLater),
        2 => (0_u8..3, status).prop_map(|(payment, status)| Step::Dispute { payment, status }),
    ];
    prop::collection::vec(step, 1..24)
}

/// The money of a booking counted from what happened, without the ledger's own functions.
#[derive(Debug, Default, Clone)]
struct Counted {
    captured: i64,
    refunded: i64,
    charged_back: i64,
}

fn counted(ledger: &Ledger) -> Counted {
    let mut counted = Counted::default();
    for payment in ledger.intents.iter().filter(|payment| payment.currency == "cad") {
        counted.captured += payment.received;
        let made = ledger.refunds.iter().filter(|refund| refund.intent == payment.id && refund.status.is_effective());
        counted.refunded += made.map(|refund| refund.amount).sum::<i64>();
        let lost = ledger.disputes.iter().filter(|dispute| dispute.intent == payment.id && dispute.status == "lost");
        counted.charged_back += lost.map(|dispute| dispute.amount).sum::<i64>();
    }
    for record in &ledger.records {
        counted.captured += record.amount.max(0);
        counted.refunded += (-record.amount).max(0);
    }
    counted
}

/// Stripe makes or refuses every open instruction; it refuses disputed payments.
fn execute(ledger: &mut Ledger, number: &mut i64, fails: bool) {
    let open: Vec<_> = ledger.open_instructions().cloned().collect();
    for instruction in open {
        *number += 1;
        if fails || ledger.is_frozen(&instruction.intent) {
            ledger.reject_instruction(&instruction.key, "refused");
            continue;
        }
        let currency = ledger.intents.get(&instruction.intent).unwrap().currency.clone();
        let made = json!({ "id": format!("re_{number}"), "status": "succeeded", "payment_intent": instruction.intent,
            "amount": instruction.amount, "currency": currency, "created": 1_800_000_000 + *number,
            "metadata": { "refund_key": instruction.key } });
        ledger.apply(&event(*number, "refund.created", made));
    }
}

fn take(ledger: &mut Ledger, number: &mut i64, step: &Step) {
    *number += 1;
    match step {
        Step::Charge { payment, amount, ours } => {
            let id = format!("pi_{payment}");
            if ledger.intents.get(&id).is_none() {
                let charge = json!({ "id": id, "status": "succeeded", "amount": amount, "amount_received": amount,
                    "currency": if *ours { "cad" } else { "usd" }, "created": 1_800_000_000 + *number,
                    "metadata": metadata() });
                ledger.apply(&event(*number, "payment_intent.succeeded", charge));
            }
        }
        // As staff may record: never more than is left.
        Step::Cash(amount) if ledger.returnable() + amount < 0 => {}
        Step::Cash(amount) => {
            let record = Record {
                id: Uuid::from_u128(u128::try_from(*number).unwrap()),
                method: RecordMethod::Cash,
                amount: *amount,
                actor: "staff:1".into(),
                note: None,
                at: chrono::DateTime::from_timestamp(1_800_000_000 + *number, 0).unwrap().into(),
            };
            ledger.record(record);
        }
        Step::Refund { to_refund, fails } => {
            ledger.instruct_refunds(*to_refund, now());
            if *fails {
                execute(ledger, number, true);
            }
        }
        Step::Request { payment, amount, fails } => {
            let Some(payment) = ledger.intents.get(&format!("pi_{payment}")).cloned() else { return };
            if *amount <= ledger.refundable(&payment) {
                let request = Uuid::from_u128(u128::try_from(*number).unwrap());
                ledger.instruct_requested_refund(request, &payment.id, *amount, "staff:1", "goodwill", now());
                if *fails {
                    execute(ledger, number, true);
                }
            }
        }
        Step::Execute { fails } => execute(ledger, number, *fails),
        Step::ReturnLater(which) => {
            let made = ledger.refunds.iter().nth(usize::from(*which)).cloned();
            if let Some(mut made) = made {
                made.status = crate::stripe::RefundStatus::Failed;
                made.observation = Observation { at: 1_800_000_000 + *number, by: format!("evt_{number}") };
                ledger.refunds.observe(made);
            }
        }
        Step::Dispute { payment, status } => {
            let id = format!("pi_{payment}");
            let Some(payment) = ledger.intents.get(&id) else { return };
            let mut disputed = in_currency(dispute(status, &[]), &payment.currency.clone());
            // Stripe disputes at most what was not refunded.
            disputed["amount"] = json!(ledger.unreturned(payment));
            (disputed["id"], disputed["payment_intent"]) = (json!(format!("dp_{id}")), json!(id));
            if ledger.disputes.get(&format!("dp_{id}")).is_none_or(|known| known.freezes()) {
                if let Some(known) = ledger.disputes.get(&format!("dp_{id}")) {
                    disputed["amount"] = json!(known.amount);
                }
                ledger.apply(&event(*number, "charge.dispute.updated", disputed));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn shown_promised_allowed_and_instructed_agree(steps in steps(), to_refund in 0_i64..30_000) {
        let mut ledger = Ledger::new(booking_id(), "pvt-montreal".into(), Currency::CAD, now());
        let mut number = 0;
        for step in &steps {
            let before = ledger.clone();
            take(&mut ledger, &mut number, step);
            let (summary, counted) = (ledger.summary(), counted(&ledger));
            prop_assert_eq!((summary.captured, summary.refunded, summary.charged_back),
                (counted.captured, counted.refunded, counted.charged_back), "shown");
            let entries = ledger.entries();
            prop_assert_eq!(entries.last().map_or(0, |entry| entry.balance), summary.kept(), "entries");

            let kept = counted.captured - counted.refunded - counted.charged_back;
            let due = summary.refunds_due(to_refund);
            prop_assert_eq!(due.total(), (to_refund - counted.refunded).max(0).min(kept.max(0)), "promised");
            prop_assert!(due.automatic >= 0 && due.disputed >= 0 && due.failed >= 0 && due.manual >= due.failed);

            // Allowed: what is asked of Stripe is never more than is kept, whichever way it is asked.
            for payment in ledger.intents.iter().filter(|payment| payment.currency == "cad") {
                prop_assert!(ledger.refundable(payment) <= (kept - ledger.instructed()).max(0), "allowed");
            }
            if !matches!(step, Step::Dispute { .. } | Step::ReturnLater(_)) && before.returnable() >= 0 {
                prop_assert!(ledger.returnable() >= 0, "more is returned than kept: {:?}", step);
            }

            // Instructed: exactly what is promised, and each payment at most once.
            let mut instructed = ledger.clone();
            instructed.instruct_refunds(to_refund, now());
            let movable: i64 = instructed.refund_instructions.iter()
                .filter(|instruction| instructed.instruction_state(instruction) == InstructionState::Open)
                .filter(|instruction| !instructed.is_frozen(&instruction.intent))
                .filter(|instruction| instructed.intents.get(&instruction.intent).unwrap().currency == "cad")
                .map(|instruction| instruction.amount).sum();
            let before_it: i64 = ledger.open_instructions()
                .filter(|instruction| !ledger.is_frozen(&instruction.intent))
                .filter(|instruction| ledger.intents.get(&instruction.intent).unwrap().currency == "cad")
                .map(|instruction| instruction.amount).sum();
            prop_assert!(movable <= due.automatic.max(before_it), "instructed more than promised");
            if ledger.open_instructions().next().is_none() {
                prop_assert_eq!(movable, due.automatic, "instructed what is promised");
            }
            let mut again = instructed.clone();
            prop_assert_eq!(again.instruct_refunds(to_refund, now()), 0, "once");

            // Attention: whatever staff must return is shown to them, and nothing else.
            let shown = instructed.attention();
            prop_assert_eq!(shown.contains(&Attention::RefundManual), due.manual > due.failed);
            let goodwill = |ledger: &Ledger| ledger.refund_instructions.iter().any(|instruction| {
                instruction.reason == RefundReason::Staff
                    && ledger.instruction_state(instruction) == InstructionState::Failed
            });
            if due.failed > 0 {
                prop_assert!(shown.contains(&Attention::RefundFailed));
            } else if !goodwill(&instructed) && instructed.refunds.iter().all(|refund| refund.key.is_some()) {
                prop_assert!(!shown.contains(&Attention::RefundFailed));
            }
        }
    }
}
