//! Views of a ledger, case by case.

use super::{payment_of, payments_of};
use crate::auth::policy::{Caller, SignedInUser};
use crate::resources::payments::fixtures::{
    BALANCE, at, dispute, intent, observe, opened, paid, recorded, refund, session,
};
use pvt_domain::accounts::{AccessClaims, Role, UserId};
use pvt_domain::ledger::Ledger;
use pvt_domain::timestamp::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// The expected status; then the session (status, payment status, event) and the payment (status, event).
type Story = (&'static str, Option<[&'static str; 3]>, Option<[&'static str; 2]>);

fn soon() -> Timestamp {
    at("2027-01-15T08:10:00Z")
}

fn money(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "CAD" })
}

fn shown(ledger: &Ledger, now: Timestamp) -> Vec<Value> {
    payments_of(ledger, now).iter().map(|payment| serde_json::to_value(payment).unwrap()).collect()
}

fn only(ledger: &Ledger) -> Value {
    let payments = shown(ledger, soon());
    assert_eq!(payments.len(), 1, "{payments:?}");
    payments[0].clone()
}

#[test]
fn checkout_url_is_shown_until_it_expires() {
    let ledger = opened();
    let open = only(&ledger);
    assert_eq!((&open["status"], &open["checkout_url"]), (&json!("open"), &json!("https://pay.example.com/cs_1")));
    assert_eq!((&open["amount"], &open["expires_at"]), (&money(BALANCE), &json!("2027-01-15T08:30:00.000Z")));
    let late = &shown(&ledger, at("2027-01-15T08:30:00Z"))[0];
    assert_eq!(
        (&late["status"], late.get("checkout_url")),
        (&json!("expired"), None),
        "no guest is sent to an expired page"
    );
    assert!(payments_of(&ledger, soon()).remove(0).without_checkout_url().checkout_url.is_none());
}

#[test]
fn payment_is_found_by_own_and_stripe_id() {
    let mut ledger = paid();
    ledger.fees.insert("pi_1".to_owned(), 320);
    let payment = only(&ledger);
    assert_eq!(
        (&payment["status"], &payment["channel"], &payment["fee"]),
        (&json!("succeeded"), &json!("checkout"), &money(320))
    );
    assert_eq!(payment["stripe"], json!({ "payment_intent": "pi_1", "checkout_session": "cs_1" }));
    assert_eq!(
        (&payment["entries"][0]["kind"], &payment["entries"][0]["balance"]),
        (&json!("payment"), &money(BALANCE))
    );
    assert_eq!(payment["attention"], json!([]));
    let id = Uuid::from_u128(11).to_string();
    assert_eq!(payment_of(&ledger, &id, soon()).unwrap().id, id);
    assert_eq!(payment_of(&ledger, &id.to_uppercase(), soon()).unwrap().id, id);
    assert_eq!(payment_of(&ledger, "pi_1", soon()).unwrap().id, id);
    assert!(payment_of(&ledger, "pi_2", soon()).is_none());
}

#[test]
fn every_attempt_outcome_has_a_status() {
    let stories: [Story; 5] = [
        (
            "processing",
            Some(["complete", "unpaid", "checkout.session.completed"]),
            Some(["processing", "payment_intent.processing"]),
        ),
        (
            "failed",
            Some(["complete", "unpaid", "checkout.session.async_payment_failed"]),
            Some(["requires_payment_method", "payment_intent.payment_failed"]),
        ),
        ("canceled", None, Some(["canceled", "payment_intent.canceled"])),
        ("expired", Some(["expired", "unpaid", "checkout.session.expired"]), None),
        ("open", None, Some(["requires_payment_method", "payment_intent.payment_failed"])),
    ];
    for (status, of_session, of_intent) in stories {
        let mut ledger = opened();
        observe(&mut ledger, 2, "checkout.session.updated", session("open", "unpaid", of_intent.map(|_| "pi_1")));
        if let Some([state, money, kind]) = of_session {
            observe(&mut ledger, 3, kind, session(state, money, of_intent.map(|_| "pi_1")));
        }
        if let Some([state, kind]) = of_intent {
            observe(&mut ledger, 4, kind, intent("pi_1", state, 0, Some("1")));
        }
        assert_eq!(only(&ledger)["status"], status);
    }
}

#[test]
fn refunds_show_actor_and_status() {
    let mut ledger = paid();
    let now = soon();
    let key =
        ledger.instruct_requested_refund(Uuid::from_u128(5), "pi_1", 2_000, "staff:9", "cold shower", now).key.clone();
    let ordered = only(&ledger);
    assert_eq!((&ordered["status"], &ordered["refunds"][0]["status"]), (&json!("succeeded"), &json!("ordered")));
    assert_eq!(
        (&ordered["refunds"][0]["note"], &ordered["refunds"][0]["actor"]),
        (&json!("cold shower"), &json!("staff:9"))
    );
    observe(&mut ledger, 5, "refund.created", refund("re_1", "succeeded", 2_000, Some(&key)));
    let part = only(&ledger);
    assert_eq!(
        (&part["status"], &part["refunded"], &part["refunds"].as_array().unwrap().len()),
        (&json!("partially_refunded"), &money(2_000), &1)
    );
    observe(&mut ledger, 6, "refund.created", refund("re_2", "pending", BALANCE - 2_000, None));
    let all = only(&ledger);
    assert_eq!(
        (&all["status"], &all["refunds"][1]["actor"], all["refunds"][1].get("reason")),
        (&json!("refunded"), &json!("stripe"), None)
    );
    observe(&mut ledger, 7, "refund.failed", refund("re_1", "failed", 2_000, Some(&key)));
    let failed = only(&ledger);
    assert_eq!((&failed["status"], &failed["attention"]), (&json!("partially_refunded"), &json!(["refund_failed"])));
}

fn staff_of(property: &str) -> Caller {
    let (sub, properties) = (UserId::from_uuid(Uuid::nil()), vec![property.into()]);
    let claims = AccessClaims {
        iss: String::new(),
        aud: String::new(),
        sub,
        jti: Uuid::nil(),
        iat: 0,
        exp: 0,
        role: Role::Staff,
        properties,
    };
    Caller::User(Arc::new(SignedInUser::new(claims)))
}

#[test]
fn staff_notes_are_hidden_from_guests() {
    let mut ledger = paid();
    ledger.fees.insert("pi_1".to_owned(), 320);
    let key = ledger
        .instruct_requested_refund(
            Uuid::from_u128(5),
            "pi_1",
            2_000,
            "staff:9",
            "a liar, but cheap to be rid of",
            soon(),
        )
        .key
        .clone();
    observe(&mut ledger, 5, "refund.failed", refund("re_1", "failed", 2_000, Some(&key)));
    observe(&mut ledger, 6, "refund.created", refund("re_2", "succeeded", 1_000, None));
    ledger.instruct_requested_refund(Uuid::from_u128(6), "pi_1", 500, "guest", "plans changed", soon());
    let seen_by =
        |caller: &Caller| serde_json::to_value(payments_of(&ledger, soon()).remove(0).visible_to(caller)).unwrap();
    assert_eq!(seen_by(&staff_of("pvt-montreal")), only(&ledger), "callers who act for the property see all of it");
    for other in [Caller::Anonymous, staff_of("another-property")] {
        let seen = seen_by(&other);
        assert_eq!((seen.get("fee"), seen.get("attention"), seen["entries"][0].get("fee")), (None, None, None));
        let refunds = seen["refunds"].as_array().unwrap();
        let actors: Vec<&str> = refunds.iter().map(|refund| refund["actor"].as_str().unwrap()).collect();
        assert_eq!(actors, ["staff", "stripe", "guest"], "{refunds:?}");
        assert!(refunds.iter().all(|refund| refund.get("note").is_none()), "{refunds:?}");
        assert_eq!(
            (&seen["amount"], &seen["refunds"][0]["status"]),
            (&money(BALANCE), &json!("failed")),
            "the rest is theirs"
        );
    }
}

#[test]
fn note_and_actor_of_a_recorded_payment_are_for_its_staff_alone() {
    let mut ledger = paid();
    recorded(&mut ledger, 7, 2_000, at("2027-01-15T09:00:00Z"));
    ledger.records[0].note = Some("paid by the brother".to_owned());
    let actor = ledger.records[0].actor.to_string();
    let seen_by =
        |caller: &Caller| serde_json::to_value(payments_of(&ledger, soon()).remove(0).visible_to(caller)).unwrap();
    let seen = seen_by(&staff_of("pvt-montreal"));
    assert_eq!((&seen["note"], &seen["actor"]), (&json!("paid by the brother"), &json!(actor)));
    for other in [Caller::Anonymous, staff_of("another-property")] {
        let seen = seen_by(&other);
        assert_eq!((seen.get("note"), seen.get("actor")), (None, None));
        assert_eq!((&seen["channel"], &seen["amount"]), (&json!("cash"), &money(2_000)), "the rest is theirs");
    }
}

#[test]
fn dispute_status_takes_precedence() {
    let mut ledger = paid();
    observe(&mut ledger, 5, "charge.dispute.created", dispute("needs_response"));
    let open = only(&ledger);
    assert_eq!(
        (&open["status"], &open["attention"], &open["fee"]),
        (&json!("disputed"), &json!(["dispute_open"]), &money(1_500))
    );
    observe(&mut ledger, 6, "charge.dispute.closed", dispute("won"));
    assert_eq!(only(&ledger)["status"], "succeeded");
}

#[test]
fn records_and_unrequested_intents_are_payments() {
    let mut ledger = paid();
    recorded(&mut ledger, 7, 2_000, at("2027-01-15T09:00:00Z"));
    recorded(&mut ledger, 8, -500, at("2027-01-15T09:01:00Z"));
    observe(&mut ledger, 9, "payment_intent.succeeded", intent("pi_2", "succeeded", 777, None));
    let payments = shown(&ledger, soon());
    let seen: Vec<(&Value, &Value, &Value)> =
        payments.iter().map(|payment| (&payment["channel"], &payment["status"], &payment["amount"])).collect();
    let expected = [
        (&json!("cash"), &json!("refunded"), &money(-500)),
        (&json!("cash"), &json!("succeeded"), &money(2_000)),
        (&json!("app"), &json!("succeeded"), &money(777)),
        (&json!("checkout"), &json!("succeeded"), &money(BALANCE)),
    ];
    assert_eq!(seen, expected);
    assert_eq!((&payments[2]["id"], &payments[2]["attention"]), (&json!("pi_2"), &json!(["amount_mismatch"])));
    assert!(payments[0].get("stripe").is_none());
}
