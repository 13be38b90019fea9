//! Events: their order, content and listing.

use crate::harness::{Harness, texts};
use pvt_stripe_simulator::PayOutcome;
use serde_json::Value;

const PAID: [&str; 5] = [
    "payment_intent.created",
    "charge.succeeded",
    "payment_intent.succeeded",
    "checkout.session.completed",
    "charge.updated",
];

#[tokio::test]
async fn paid_session_emits_events_in_order() {
    let harness = Harness::start().await;
    let id = harness.session("b-1").await;
    harness.control.pay(&id, PayOutcome::Success).unwrap();
    assert_eq!(harness.event_types().await, PAID);
    harness.idle().await;
    let mut sent = harness.inbox.types();
    sent.sort();
    let mut expected = PAID.map(str::to_owned);
    expected.sort();
    assert_eq!(sent, expected, "each is sent, once");

    let list = harness.get("/v1/events", &[("types[]", "charge.succeeded"), ("types[]", "charge.updated")]).await.ok();
    let (updated, succeeded) = (&list["data"][0], &list["data"][1]);
    // A snapshot of that time, not of the present.
    assert_eq!(succeeded["data"]["object"]["balance_transaction"], Value::Null);
    assert!(updated["data"]["object"]["balance_transaction"].as_str().unwrap().starts_with("txn_"));
    assert_eq!(updated["data"]["previous_attributes"]["balance_transaction"], Value::Null);
    assert_eq!(
        (&updated["object"], &updated["livemode"], &updated["pending_webhooks"]),
        (&"event".into(), &false.into(), &0.into())
    );
    let one = harness.get(&format!("/v1/events/{}", updated["id"].as_str().unwrap()), &[]).await.ok();
    assert_eq!(&one, updated);
}

#[tokio::test]
async fn event_names_its_causing_request() {
    let harness = Harness::start().await;
    let id = harness.session("b-1").await;
    let path = format!("/v1/checkout/sessions/{id}/expire");
    let answer = harness.send("POST", &path, &[], Some("expire:b-1")).await.unwrap();
    let event = harness.get("/v1/events", &[]).await.ok()["data"][0].clone();
    assert_eq!(event["request"]["id"].as_str(), answer.header("request-id"));
    assert_eq!(event["request"]["idempotency_key"], "expire:b-1");
}

#[tokio::test]
async fn pagination_has_no_gap_and_no_duplicate() {
    let harness = Harness::start().await;
    for number in 0..25 {
        let id = harness.session(&format!("b-{number}")).await;
        harness.control.pay(&id, PayOutcome::Success).unwrap();
    }
    let (mut ids, mut after): (Vec<String>, Option<String>) = (Vec::new(), None);
    loop {
        let mut query = vec![("limit", "7"), ("type", "payment_intent.succeeded")];
        query.extend(after.as_deref().map(|id| ("starting_after", id)));
        let page = harness.get("/v1/events", &query).await.ok();
        assert_eq!((&page["object"], &page["url"]), (&"list".into(), &"/v1/events".into()));
        let found = texts(&page, "id");
        after = found.last().cloned();
        ids.extend(found);
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(ids.len(), 25);
    let whole =
        texts(&harness.get("/v1/events", &[("limit", "100"), ("type", "payment_intent.succeeded")]).await.ok(), "id");
    assert_eq!(ids, whole);
    let back = texts(
        &harness
            .get("/v1/events", &[("limit", "7"), ("type", "payment_intent.succeeded"), ("ending_before", &ids[7])])
            .await
            .ok(),
        "id",
    );
    assert_eq!(back, ids[..7]);

    let now = chrono::Utc::now().timestamp();
    let count = async |name: &str, at: i64| {
        harness.get("/v1/events", &[("limit", "100"), (name, &at.to_string())]).await.ok()["data"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(
        [
            count("created[gte]", now + 60).await,
            count("created[lt]", now - 600).await,
            count("created[gte]", now - 600).await
        ],
        [0, 0, 100]
    );
    assert_eq!(harness.get("/v1/events", &[("limit", "101")]).await.status, 400);
    assert_eq!(harness.get("/v1/events", &[("starting_after", "evt_none")]).await.status, 404);
}
