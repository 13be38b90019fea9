//! Webhooks: signatures, retries, and reordering on request.

use crate::harness::{Harness, SECRET, within};
use pvt_stripe_simulator::{FaultInjection, PayOutcome, WebhookFaults};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// HMAC-SHA-256 as in RFC 2104, implemented with the hash alone.
fn hmac_hex(key: &str, message: &str) -> String {
    let padded =
        |byte: u8| -> Vec<u8> { (0..64).map(|at| key.as_bytes().get(at).copied().unwrap_or(0) ^ byte).collect() };
    let inner = Sha256::digest([padded(0x36), message.as_bytes().to_vec()].concat());
    let outer = Sha256::digest([padded(0x5c), inner.to_vec()].concat());
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn deliveries_are_signed_with_every_active_secret() {
    let harness = Harness::start().await;
    let id = harness.session("b-1").await;
    harness.control.pay(&id, PayOutcome::Declined).unwrap();
    harness.idle().await;
    harness.control.rotate_secrets(&["whsec_second".to_owned(), SECRET.to_owned()]);
    harness.control.pay(&id, PayOutcome::Success).unwrap();
    harness.idle().await;
    let received = harness.inbox.received();
    for (one, secrets) in
        received.iter().zip(vec![vec![SECRET]; 3].into_iter().chain(std::iter::repeat(vec!["whsec_second", SECRET])))
    {
        let at = one.signature.strip_prefix("t=").unwrap().split(',').next().unwrap();
        assert!((chrono::Utc::now().timestamp() - at.parse::<i64>().unwrap()).abs() < 60);
        let signed = secrets
            .iter()
            .map(|secret| format!(",v1={}", hmac_hex(secret, &format!("{at}.{}", one.body))))
            .collect::<String>();
        assert_eq!(one.signature, format!("t={at}{signed}"));
    }
    assert_eq!(received.len(), 7);
}

#[tokio::test]
async fn failed_deliveries_are_retried() {
    let harness = Harness::start().await;
    harness.inbox.status.store(503, Ordering::SeqCst);
    let id = harness.session("b-1").await;
    harness.post(&format!("/v1/checkout/sessions/{id}/expire"), &[]).await.ok();
    within(async {
        while harness.inbox.received().len() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let event = harness.get("/v1/events", &[("delivery_success", "false")]).await.ok()["data"][0].clone();
    assert_eq!(event["pending_webhooks"], 1);
    harness.inbox.status.store(200, Ordering::SeqCst);
    harness.idle().await;
    let attempts = harness.control.deliveries(event["id"].as_str(), 10);
    assert_eq!((attempts[0].status, attempts[0].again), (Some(200), false));
    assert_eq!((attempts.last().unwrap().status, attempts.last().unwrap().again), (Some(503), true));
    assert!(attempts.iter().rev().zip(1..).all(|(attempt, number)| attempt.attempt == number));
    assert_eq!(
        harness.get(&format!("/v1/events/{}", event["id"].as_str().unwrap()), &[]).await.ok()["pending_webhooks"],
        0
    );
    let bodies: Vec<String> = harness.inbox.received().into_iter().map(|one| one.body).collect();
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "the same event under the same id");
}

#[tokio::test]
async fn duplicates_and_reordering_are_injected_on_request() {
    let harness = Harness::start().await;
    harness.control.set_faults(FaultInjection::of_webhooks(WebhookFaults {
        duplicates: 2,
        shuffle_window_ms: 300,
        delay_max_ms: 20,
        ..WebhookFaults::default()
    }));
    for number in 0..20 {
        let id = harness.session(&format!("b-{number}")).await;
        harness.control.pay(&id, PayOutcome::Success).unwrap();
    }
    harness.idle().await;
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    let order: Vec<String> =
        harness.inbox.received().iter().map(|one| one.event()["id"].as_str().unwrap().to_owned()).collect();
    order.iter().for_each(|id| *times.entry(id.clone()).or_default() += 1);
    assert_eq!((times.len(), times.values().all(|times| *times == 3)), (100, true));
    let mut made: Vec<String> = Vec::new();
    for id in order {
        if !made.contains(&id) {
            made.push(id);
        }
    }
    let mut listed: Vec<String> =
        crate::harness::texts(&harness.get("/v1/events", &[("limit", "100")]).await.ok(), "id");
    listed.reverse();
    assert_ne!(made, listed, "a hundred events in their own order by chance: once in 10^157");
}

#[tokio::test]
async fn dropped_events_are_only_in_the_event_list() {
    let harness = Harness::start().await;
    harness.control.set_faults(FaultInjection::of_webhooks(WebhookFaults {
        drop_next: 1,
        drop_types: vec!["checkout.session.completed".to_owned()],
        ..WebhookFaults::default()
    }));
    let id = harness.session("b-1").await;
    harness.control.pay(&id, PayOutcome::Success).unwrap();
    harness.idle().await;
    let mut sent = harness.inbox.types();
    sent.sort();
    assert_eq!(sent, ["charge.succeeded", "charge.updated", "payment_intent.succeeded"]);
    assert_eq!(harness.event_types().await.len(), 5);
    let lost = harness.get("/v1/events", &[("type", "checkout.session.completed")]).await.ok()["data"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    harness.control.resend(&lost).unwrap();
    harness.idle().await;
    assert_eq!(harness.inbox.types().last().unwrap(), "checkout.session.completed");
}

#[tokio::test]
async fn webhook_outage_delays_deliveries_and_loses_none() {
    let harness = Harness::start().await;
    harness.control.set_faults(FaultInjection::of_webhooks(WebhookFaults { outage: true, ..WebhookFaults::default() }));
    let id = harness.session("b-1").await;
    harness.control.pay(&id, PayOutcome::Success).unwrap();
    assert_eq!((harness.control.outstanding(), harness.inbox.received().len()), (5, 0));
    harness.control.set_faults(FaultInjection::default());
    harness.idle().await;
    assert_eq!(harness.inbox.received().len(), 5);
}
