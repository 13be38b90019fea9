//! Disputes: funds are withdrawn, and reinstated when the dispute is won.

use crate::harness::{Harness, texts};
use pvt_stripe_simulator::PayOutcome;
use serde_json::Value;

async fn disputed(harness: &Harness) -> (String, String) {
    let session = harness.session("b-1").await;
    harness.control.pay(&session, PayOutcome::Success).unwrap();
    let intent = harness.control.object(&session).unwrap()["payment_intent"].as_str().unwrap().to_owned();
    (intent, harness.control.dispute(&session, "product_not_received").unwrap())
}

async fn net(harness: &Harness) -> i64 {
    let lines = harness.get("/v1/balance_transactions", &[("limit", "100")]).await.ok();
    lines["data"].as_array().unwrap().iter().map(|line| line["net"].as_i64().unwrap()).sum()
}

#[tokio::test]
async fn won_dispute_reinstates_funds() {
    let harness = Harness::start().await;
    let (intent, id) = disputed(&harness).await;
    let dispute = harness.get(&format!("/v1/disputes/{id}"), &[]).await.ok();
    assert_eq!(
        (&dispute["status"], &dispute["reason"], &dispute["amount"]),
        (&"needs_response".into(), &"product_not_received".into(), &12_000.into())
    );
    assert_eq!(
        (&dispute["balance_transactions"][0]["net"], &dispute["balance_transactions"][0]["fee"]),
        (&(-13_500).into(), &1_500.into())
    );
    assert_eq!(dispute["evidence_details"]["submission_count"], 0);
    assert_eq!(
        harness.get(&format!("/v1/charges/{}", dispute["charge"].as_str().unwrap()), &[]).await.ok()["disputed"],
        true
    );
    assert_eq!(harness.post("/v1/refunds", &[("payment_intent", &intent)]).await.error(400)["code"], "charge_disputed");
    assert_eq!(net(&harness).await, 12_000 - 378 - 13_500);

    let answered = harness
        .post(
            &format!("/v1/disputes/{id}"),
            &[("evidence[uncategorized_text]", "They slept here."), ("submit", "true")],
        )
        .await
        .ok();
    assert_eq!(
        (&answered["status"], &answered["evidence_details"]["submission_count"]),
        (&"under_review".into(), &1.into())
    );
    harness.control.close_dispute(&id, true).unwrap();
    assert_eq!(harness.control.object(&id).unwrap()["status"], "won");
    assert_eq!(net(&harness).await, 12_000 - 378 - 1_500);
    let names = ["created", "funds_withdrawn", "updated", "closed", "funds_reinstated"]
        .map(|name| format!("charge.dispute.{name}"));
    assert_eq!(harness.event_types().await[5..], names);
    assert!(harness.control.close_dispute(&id, false).is_err());
}

#[tokio::test]
async fn lost_dispute_keeps_funds_withdrawn() {
    let harness = Harness::start().await;
    let (intent, id) = disputed(&harness).await;
    harness.control.close_dispute(&id, false).unwrap();
    assert_eq!(harness.event_types().await.last().unwrap(), "charge.dispute.closed");
    let event: Value = harness.get("/v1/events", &[("type", "charge.dispute.closed")]).await.ok()["data"][0].clone();
    assert_eq!(
        (&event["data"]["object"]["status"], &event["data"]["previous_attributes"]["status"]),
        (&"lost".into(), &"needs_response".into())
    );
    assert_eq!(net(&harness).await, 12_000 - 378 - 13_500);
    assert_eq!(texts(&harness.get("/v1/disputes", &[("payment_intent", &intent)]).await.ok(), "id"), [id]);
    assert!(harness.control.dispute(&intent, "fraudulent").is_err(), "once");
}
