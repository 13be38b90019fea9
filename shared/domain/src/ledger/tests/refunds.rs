//! Refunds, and what prevents them.

use super::{OWED, dispute, event, events, metadata, observed, refund, stories};
use crate::fixtures::now;
use crate::ledger::{Attention, Ledger};
use crate::money::{Currency, Money};
use serde_json::json;
use uuid::Uuid;

#[test]
fn double_payment_is_surplus_and_refunded() {
    let mut ledger = observed(events(&stories()[0].1));
    ledger.apply(&event(
        60,
        "payment_intent.succeeded",
        json!({ "id": "pi_2", "status": "succeeded", "amount": OWED, "amount_received": OWED, "currency": "cad",
        "created": 1_800_000_050, "metadata": metadata() }),
    ));
    let summary = ledger.summary();
    assert_eq!((summary.captured, summary.cleared, summary.surplus), (2 * OWED, OWED, OWED));
    assert_eq!(ledger.instruct_refunds(OWED, now()), 1);
    assert_eq!(
        (ledger.refund_instructions[0].intent.as_str(), ledger.refund_instructions[0].amount),
        ("pi_2", OWED),
        "the newer one"
    );
    assert_eq!(ledger.instruct_refunds(OWED, now()), 0, "once");
    let key = ledger.refund_instructions[0].key.clone();
    let made = json!({ "id": "re_9", "status": "succeeded", "payment_intent": "pi_2", "amount": OWED, "currency": "cad",
        "metadata": { "refund_key": key } });
    ledger.apply(&event(61, "refund.created", made.clone()));
    assert_eq!((ledger.instruct_refunds(OWED, now()), ledger.open_instructions().count()), (0, 0));
    let mut failed = made;
    failed["status"] = json!("failed");
    ledger.apply(&event(62, "refund.failed", failed));
    assert_eq!(ledger.instruct_refunds(OWED, now()), 0, "what came back is for staff");
    assert!(ledger.attention().contains(&Attention::RefundFailed) && ledger.summary().refunded == 0);
}

#[test]
fn dispute_freezes_its_payment() {
    let mut ledger = observed(events(&stories()[9].1[..3]));
    assert_eq!(ledger.instruct_refunds(OWED, now()), 0);
    assert!(ledger.attention().contains(&Attention::DisputeOpen));
    let won = observed(events(&stories()[9].1));
    assert_eq!((won.clone().instruct_refunds(OWED, now()), won.attention().len()), (1, 0));
    let lost = observed(events(&stories()[10].1));
    assert_eq!(
        (lost.clone().instruct_refunds(OWED, now()), lost.attention().contains(&Attention::DisputeLost)),
        (0, true)
    );
}

#[test]
fn rest_of_a_partial_chargeback_is_refundable() {
    let mut part = dispute("lost", &[-4_000]);
    part["amount"] = json!(4_000);
    let mut ledger = observed(events(&stories()[0].1));
    ledger.apply(&event(70, "charge.dispute.closed", part));
    assert_eq!(ledger.instruct_refunds(OWED, now()), 1);
    assert_eq!(ledger.refund_instructions[0].amount, 6_000);
}

#[test]
fn refund_is_possible_after_an_inquiry_closes() {
    let mut ledger = observed(events(&stories()[0].1));
    let paid = ledger.summary();
    assert!(ledger.can_instruct_refunds(OWED));
    ledger.apply(&event(70, "charge.dispute.created", dispute("warning_needs_response", &[])));
    assert!(!ledger.can_instruct_refunds(OWED) && ledger.instruct_refunds(OWED, now()) == 0);
    ledger.apply(&event(71, "charge.dispute.closed", dispute("warning_closed", &[])));
    assert!(ledger.can_instruct_refunds(OWED) && ledger.summary().same_totals_as(&paid), "though it comes to the same");
    ledger.instruct_refunds(OWED, now());
    assert!(!ledger.can_instruct_refunds(OWED), "it is ordered");
}

#[test]
fn failed_refund_made_good_by_staff_reduces_no_later_refund() {
    let mut ledger = observed(events(&stories()[0].1));
    let give = |ledger: &mut Ledger, number: i64, id: &str, status: &str| {
        let instruction = ledger.refund_instructions.last().unwrap();
        let made = json!({ "id": id, "status": status, "payment_intent": "pi_1", "amount": instruction.amount,
            "currency": "cad", "created": 1_800_000_300,
                           "metadata": { "refund_key": instruction.key } });
        ledger.apply(&event(number, "refund.updated", made));
    };
    assert_eq!(ledger.instruct_refunds(3_000, now()), 1);
    give(&mut ledger, 80, "re_1", "failed");
    assert_eq!(ledger.instruct_refunds(3_000, now()), 0, "staff have to look");
    ledger.instruct_requested_refund(Uuid::from_u128(5), "pi_1", 3_000, "staff:1", "again", now());
    give(&mut ledger, 81, "re_2", "succeeded");
    assert_eq!(ledger.instruct_refunds(OWED, now()), 1);
    assert_eq!(ledger.refund_instructions.last().unwrap().amount, 7_000);
    // A failed goodwill refund is no part of the overpayment.
    let mut gift = observed(events(&stories()[0].1));
    gift.instruct_requested_refund(Uuid::from_u128(6), "pi_1", 1_000, "staff:1", "sorry for the noise", now());
    give(&mut gift, 82, "re_3", "failed");
    gift.instruct_refunds(OWED, now());
    assert_eq!(gift.refund_instructions.last().unwrap().amount, OWED);
}

#[test]
fn frozen_amount_is_refunded_after_the_dispute_despite_a_failed_refund() {
    let mut ledger = observed(events(&stories()[0].1));
    let second = json!({ "id": "pi_2", "status": "succeeded", "amount": 4_000, "amount_received": 4_000,
        "currency": "cad", "created": 1_800_000_050, "metadata": metadata() });
    ledger.apply(&event(60, "payment_intent.succeeded", second));
    ledger.apply(&event(70, "charge.dispute.created", dispute("warning_needs_response", &[])));
    assert_eq!(ledger.instruct_refunds(OWED + 4_000, now()), 1, "of the payment that is not disputed");
    let key = ledger.refund_instructions[0].key.clone();
    ledger.reject_instruction(&key, "insufficient_funds");
    assert!(!ledger.can_instruct_refunds(OWED + 4_000));
    ledger.apply(&event(71, "charge.dispute.closed", dispute("warning_closed", &[])));
    assert_eq!(ledger.instruct_refunds(OWED + 4_000, now()), 1);
    let instruction = ledger.refund_instructions[1].clone();
    assert_eq!((instruction.intent.as_str(), instruction.amount), ("pi_1", OWED), "all but what staff know of");
    let made = json!({ "id": "re_1", "status": "succeeded", "payment_intent": "pi_1", "amount": OWED, "currency": "cad",
        "metadata": { "refund_key": instruction.key } });
    ledger.apply(&event(72, "refund.created", made));
    assert!(!ledger.can_instruct_refunds(OWED + 4_000), "which stays theirs");
}

#[test]
fn open_instruction_of_a_disputed_payment_is_not_issued_twice() {
    let mut ledger = observed(events(&stories()[0].1));
    let older = json!({ "id": "pi_2", "status": "succeeded", "amount": 4_000, "amount_received": 4_000,
        "currency": "cad", "created": 1_700_000_000, "metadata": metadata() });
    ledger.apply(&event(60, "payment_intent.succeeded", older));
    assert_eq!((ledger.instruct_refunds(1_000, now()), ledger.refund_instructions[0].intent.as_str()), (1, "pi_1"));
    ledger.apply(&event(70, "charge.dispute.created", dispute("warning_needs_response", &[])));
    assert!(!ledger.can_instruct_refunds(1_000), "it is carried out as well: Stripe refunds during an inquiry");
    assert_eq!(ledger.instruct_refunds(1_500, now()), 1);
    assert_eq!((ledger.refund_instructions[1].intent.as_str(), ledger.refund_instructions[1].amount), ("pi_2", 500));
}

#[test]
fn each_attention_item_names_its_subject() {
    let mut ledger = observed(events(&stories()[0].1));
    for (number, id) in [(90, "re_1"), (91, "re_2")] {
        ledger.apply(&event(number, "refund.failed", refund(id, "failed", 100)));
    }
    assert_eq!(
        ledger.attention_items().into_iter().map(|item| (item.kind, item.subject, item.amount)).collect::<Vec<_>>(),
        ["re_1", "re_2"].map(|refund| (
            Attention::RefundFailed,
            refund.to_owned(),
            Some(Money::new(100, Currency::CAD))
        ))
    );
    assert_eq!(ledger.attention().len(), 1);
}
