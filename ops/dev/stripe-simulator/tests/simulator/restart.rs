//! Persistence across a restart.

use crate::harness::{Harness, session_form};
use pvt_stripe_simulator::{PayOutcome, SimulatorOptions};
use std::sync::atomic::Ordering;

#[tokio::test]
async fn restart_keeps_sessions_keys_counters_and_pending_deliveries() {
    let folder = std::env::temp_dir().join(format!("pvt-stripe-{}", uuid::Uuid::new_v4()));
    let options = SimulatorOptions { store: Some(folder.clone()), ..SimulatorOptions::default() };
    let harness = Harness::start_with(options.clone()).await;
    harness.inbox.status.store(500, Ordering::SeqCst);
    let first = harness.send("POST", "/v1/checkout/sessions", &session_form("b-1"), Some("k")).await.unwrap();
    let id = first.ok()["id"].as_str().unwrap().to_owned();
    harness.control.pay(&id, PayOutcome::Success).unwrap();
    let (object, effects) = (harness.control.object(&id).unwrap(), harness.control.effects());
    harness.stop().await;

    let harness = Harness::start_with(options).await;
    assert_eq!((harness.control.object(&id).unwrap(), harness.control.effects()), (object, effects));
    let again = harness.send("POST", "/v1/checkout/sessions", &session_form("b-1"), Some("k")).await.unwrap();
    assert_eq!((again.header("idempotent-replayed"), &again.text), (Some("true"), &first.text));
    harness.idle().await;
    assert_eq!(harness.inbox.received().len(), 5, "undelivered events are sent after the restart");
    let other = harness.session("b-2").await;
    harness.control.pay(&other, PayOutcome::Success).unwrap();
    harness.stop().await;
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn only_loopback_addresses_are_accepted() {
    let addr = "0.0.0.0:0".parse().unwrap();
    let error = pvt_stripe_simulator::Simulator::bind(SimulatorOptions { addr, ..SimulatorOptions::default() })
        .await
        .unwrap_err();
    assert!(error.to_string().contains("loopback only"), "{error}");
}
