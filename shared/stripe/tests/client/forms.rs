//! Requests are sent as Stripe documents them.

use crate::scripted::{KEY, Server, VERSION, intent, refund, says, session};
use axum::http::Method;
use pvt_domain::money::Currency;
use pvt_domain::stripe::ClientSecret;
use pvt_stripe::{EventQuery, NewIntent, NewRefund, NewSession, StripeError, TransactionQuery};
use serde_json::json;
use std::collections::BTreeMap;

fn metadata() -> BTreeMap<String, String> {
    [("booking_id", "b-1"), ("demand", "1")].map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

fn pairs(expected: &[(&str, &str)]) -> BTreeMap<String, String> {
    expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn new_session() -> NewSession {
    NewSession {
        amount: 4_410,
        currency: Currency::CAD,
        title: "2 nights & breakfast".into(),
        email: Some("guest+1@example.com".into()),
        locale: "fr-CH".into(),
        success_url: "https://h.example/paid?s={CHECKOUT_SESSION_ID}".into(),
        cancel_url: "https://h.example/back".into(),
        expires_at: Some(1_800_001_800),
        metadata: metadata(),
    }
}

#[tokio::test]
async fn session_request_is_as_documented() {
    let server = Server::new([says(200, session("open"))]).await;
    let made = server.client.create_session(&new_session(), "session:b-1:1").await.unwrap();
    assert_eq!((made.id.as_str(), made.amount_total), ("cs_1", 4_410));
    let request = server.only();
    assert_eq!((request.method.clone(), request.path.as_str()), (Method::POST, "/v1/checkout/sessions"));
    assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(request.header("stripe-version"), Some(VERSION));
    assert_eq!(request.header("idempotency-key"), Some("session:b-1:1"));
    assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert!(
        request.body.contains("%26+breakfast") && request.body.contains("guest%2B1%40example.com"),
        "{}",
        request.body
    );
    let expected = pairs(&[
        ("mode", "payment"),
        ("line_items[0][quantity]", "1"),
        ("line_items[0][price_data][currency]", "cad"),
        ("line_items[0][price_data][unit_amount]", "4410"),
        ("line_items[0][price_data][product_data][name]", "2 nights & breakfast"),
        ("client_reference_id", "b-1"),
        ("customer_email", "guest+1@example.com"),
        ("locale", "fr"),
        ("success_url", "https://h.example/paid?s={CHECKOUT_SESSION_ID}"),
        ("cancel_url", "https://h.example/back"),
        ("expires_at", "1800001800"),
        ("metadata[booking_id]", "b-1"),
        ("metadata[demand]", "1"),
        ("payment_intent_data[metadata][booking_id]", "b-1"),
        ("payment_intent_data[metadata][demand]", "1"),
    ]);
    assert_eq!(request.form, expected);
}

#[tokio::test]
async fn repeated_request_has_the_same_body() {
    let server = Server::new([says(200, session("open")), says(200, session("open"))]).await;
    // Enough entries that two hash maps hardly ever iterate in the same order.
    let metadata = (0..12).map(|number| (format!("key_{number}"), number.to_string())).collect();
    let request = NewSession { metadata, ..new_session() };
    for _ in 0..2 {
        server.client.create_session(&request, "session:b-1:1").await.unwrap();
    }
    let [first, second] = server.received().try_into().unwrap();
    assert_eq!(first.body, second.body);
}

#[tokio::test]
async fn absent_values_are_not_sent() {
    let server = Server::new([says(200, session("open"))]).await;
    let bare = NewSession { email: None, expires_at: None, metadata: BTreeMap::new(), ..new_session() };
    server.client.create_session(&bare, "k").await.unwrap();
    let form = server.only().form;
    for name in ["customer_email", "expires_at", "client_reference_id"] {
        assert!(!form.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn payment_and_refund_requests_are_as_documented() {
    let server = Server::new([says(200, intent("requires_payment_method")), says(200, refund("re_1"))]).await;
    let payment = NewIntent { amount: 9_000, currency: Currency::JPY, title: "Bed".into(), metadata: metadata() };
    assert_eq!(
        server
            .client
            .create_intent(&payment, "intent:1")
            .await
            .unwrap()
            .client_secret
            .map(ClientSecret::into_text)
            .as_deref(),
        Some("pi_1_secret_x")
    );
    let back = NewRefund {
        payment_intent: "pi_1".into(),
        amount: 500,
        refund_key: "refund:b-1:3".into(),
        metadata: metadata(),
    };
    assert_eq!(server.client.create_refund(&back, "refund:b-1:3").await.unwrap().id, "re_1");
    let [intent, refund] = server.received().try_into().unwrap();
    assert_eq!((intent.path.as_str(), intent.header("idempotency-key")), ("/v1/payment_intents", Some("intent:1")));
    let expected = [
        ("amount", "9000"),
        ("currency", "jpy"),
        ("automatic_payment_methods[enabled]", "true"),
        ("description", "Bed"),
        ("metadata[booking_id]", "b-1"),
        ("metadata[demand]", "1"),
    ];
    assert_eq!(intent.form, pairs(&expected));
    assert_eq!((refund.path.as_str(), refund.header("idempotency-key")), ("/v1/refunds", Some("refund:b-1:3")));
    let expected = [
        ("payment_intent", "pi_1"),
        ("amount", "500"),
        ("metadata[booking_id]", "b-1"),
        ("metadata[demand]", "1"),
        ("metadata[refund_key]", "refund:b-1:3"),
    ];
    assert_eq!(refund.form, pairs(&expected));
}

#[tokio::test]
async fn objects_are_read_by_their_ids() {
    let charge = json!({ "id": "ch_1", "amount": 4_410, "currency": "cad" });
    let server = Server::new([
        says(200, session("open")),
        says(200, intent("succeeded")),
        says(200, refund("re_1")),
        says(200, charge),
    ])
    .await;
    server.client.session("cs_1").await.unwrap();
    server.client.intent("pi_1").await.unwrap();
    server.client.refund("re_1").await.unwrap();
    server.client.charge("../ch_1?x=1").await.unwrap();
    let paths: Vec<_> = server.received().into_iter().map(|request| request.path).collect();
    let expected =
        ["/v1/checkout/sessions/cs_1", "/v1/payment_intents/pi_1", "/v1/refunds/re_1", "/v1/charges/..%2Fch_1%3Fx=1"];
    assert_eq!(paths, expected, "an id is one segment, whatever is in it");
    assert!(server.received().iter().all(|request| request.method == Method::GET
        && request.body.is_empty()
        && request.header("idempotency-key").is_none()));
}

#[tokio::test]
async fn list_requests_carry_time_range_and_cursor() {
    let events = json!({ "object": "list", "has_more": true,
        "data": [{ "id": "evt_2", "type": "invoice.paid" }, { "id": "evt_1" }] });
    let lines = json!({ "object": "list", "has_more": false,
        "data": [{ "id": "txn_1", "amount": 4_410, "fee": 158, "currency": "cad", "source": "ch_1" }] });
    let server = Server::new([says(200, events), says(200, lines)]).await;
    let query =
        EventQuery { created_from: 100, created_until: Some(200), starting_after: Some("evt_3".into()), limit: 1_000 };
    let page = server.client.events(&query).await.unwrap();
    assert_eq!((page.items[0]["type"].as_str(), page.next.as_deref()), (Some("invoice.paid"), Some("evt_1")));
    let page = server
        .client
        .balance_transactions(&TransactionQuery { created_from: 100, created_until: None, starting_after: None })
        .await
        .unwrap();
    assert_eq!((page.items[0].fee, page.next), (158, None));
    let [events, lines] = server.received().try_into().unwrap();
    assert_eq!(events.path, "/v1/events");
    assert_eq!(
        events.query,
        pairs(&[("created[gte]", "100"), ("created[lt]", "200"), ("starting_after", "evt_3"), ("limit", "100")])
    );
    assert_eq!(lines.path, "/v1/balance_transactions");
    assert_eq!(lines.query, pairs(&[("created[gte]", "100"), ("limit", "100")]));
}

#[tokio::test]
async fn a_key_that_stripe_would_not_take_is_not_sent() {
    let server = Server::new([]).await;
    for key in ["", "line\nfeed", &"k".repeat(256)] {
        let refused = server.client.create_session(&new_session(), key).await;
        assert!(matches!(refused, Err(StripeError::Idempotency(_))), "{refused:?}");
    }
    assert!(server.received().is_empty());
}
