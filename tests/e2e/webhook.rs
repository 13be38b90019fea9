//! Stripe's webhook: signed events are stored once, everything else is refused.

use crate::harness::{ApiResponse, Expectations, SHORT_TIMEOUT, Stack, StackBuilder, WEBHOOK_SECRET};
use anyhow::{Result, ensure};
use chrono::Utc;
use pvt_stores::mongo::stripe_events::StoredStripeEvent;
use pvt_testkit::{eventually, stripe_signature};
use reqwest::{Method, StatusCode};
use serde_json::Value;

async fn push(stack: &Stack, signature: &str, body: &str) -> Result<ApiResponse> {
    let headers = [("content-type", "application/json"), ("stripe-signature", signature)];
    stack.client.send(Method::POST, "/api/payments/webhook", &headers, Some(body.as_bytes().to_vec())).await
}

/// Pushes an event, signed as Stripe signs it.
pub(crate) async fn push_event(stack: &Stack, event: Value) -> Result<()> {
    let body = event.to_string();
    let answer = push(stack, &stripe_signature(WEBHOOK_SECRET, Utc::now().timestamp(), body.as_bytes()), &body).await?;
    ensure!(answer.status == StatusCode::OK, "{answer:?}");
    Ok(())
}

fn event(id: &str) -> String {
    // The signature covers these exact bytes, including whitespace and the order of members.
    format!(
        "{{\n  \"type\": \"charge.succeeded\",\n  \"id\": \"{id}\", \"object\": \"event\", \"created\": \
            1800000000,\n  \"data\": {{ \"object\": {{ \"id\": \"ch_1\", \"amount\": 15000 }} }}\n}}"
    )
}

async fn stored_events(stack: &Stack) -> Result<Vec<StoredStripeEvent>> {
    stack.stores.all("stripe_events").await
}

#[tokio::test]
async fn signed_events_are_stored_once() -> Result<()> {
    let secrets = format!("whsec_the_newest,{WEBHOOK_SECRET}");
    // Stripe is asked for the charge, which it does not know.
    let stack = StackBuilder::new()
        .paid_online()
        .workers(&[("payments", &["payments"])])
        .with("STRIPE_WEBHOOK_SECRETS", &secrets)
        .start()
        .await?;
    for id in ["evt_1", "evt_2", "evt_1", "evt_1"] {
        // During a rotation either secret is valid.
        let secret = if id == "evt_2" { "whsec_the_newest" } else { WEBHOOK_SECRET };
        let answer =
            push(&stack, &stripe_signature(secret, Utc::now().timestamp(), event(id).as_bytes()), &event(id)).await?;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }
    let expectations = Expectations::clean().without_mails().without_mart();
    eventually("both events are stored", SHORT_TIMEOUT, || async {
        Ok((stored_events(&stack).await?.len() == 2).then_some(()))
    })
    .await?;
    stack.wait_until_quiet(&expectations).await?;
    let events = stored_events(&stack).await?;
    assert_eq!(events.len(), 2, "repetitions are the same event");
    let first = events.iter().find(|event| event.id == "evt_1").unwrap();
    assert_eq!(first.event_type, "charge.succeeded");
    stack.end(expectations).await
}

#[tokio::test]
async fn unsigned_events_are_refused() -> Result<()> {
    let stack = StackBuilder::new().workers(&[]).start().await?;
    let (body, now) = (event("evt_1"), Utc::now().timestamp());
    let sign = |secret, time, body: &str| stripe_signature(secret, time, body.as_bytes());
    let good = sign(WEBHOOK_SECRET, now, &body);
    for (what, signature, body) in [
        ("another secret", sign("whsec_of_another_account", now, &body), body.clone()),
        ("another body", good.clone(), body.replace("15000", "1")),
        ("the same JSON in other bytes", good.clone(), body.replace('\n', "")),
        ("six minutes old", sign(WEBHOOK_SECRET, now - 360, &body), body.clone()),
        ("from the future", sign(WEBHOOK_SECRET, now + 360, &body), body.clone()),
        ("no signature", format!("t={now}"), body.clone()),
        ("an older scheme", good.replace("v1=", "v0="), body.clone()),
        ("nothing", String::new(), body.clone()),
    ] {
        let answer = push(&stack, &signature, &body).await?;
        assert_eq!((answer.status, answer.problem()?), (StatusCode::BAD_REQUEST, "invalid_signature"), "{what}");
    }
    let nonsense = "not JSON";
    let answer = push(&stack, &sign(WEBHOOK_SECRET, now, nonsense), nonsense).await?;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
    assert!(stack.broker.pending().await?.is_empty(), "something was queued");
    stack.end(Expectations::clean().without_mails().without_mart()).await
}
