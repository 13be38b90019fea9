//! A restart forgets nothing.

use crate::harness::{Rig, session_form};
use pvt_stripe_simulator::{PayOutcome, SimulatorOptions};
use std::sync::atomic::Ordering;

#[tokio::test]
async fn a_restart_keeps_sessions_keys_counters_and_undelivered_events() {
    let folder = std::env::temp_dir().join(format!("pvt-stripe-{}", uuid::Uuid::new_v4()));
    let options = SimulatorOptions { store: Some(folder.clone()), ..SimulatorOptions::default() };
    let rig = Rig::start_with(options.clone()).await;
    rig.inbox.status.store(500, Ordering::SeqCst);
    let first = rig.send("POST", "/v1/checkout/sessions", &session_form("b-1"), Some("k")).await.unwrap();
    let id = first.ok()["id"].as_str().unwrap().to_owned();
    rig.control.pay(&id, PayOutcome::Success).unwrap();
    let (object, effects) = (rig.control.object(&id).unwrap(), rig.control.effects());
    rig.stop().await;

    let rig = Rig::start_with(options).await;
    assert_eq!((rig.control.object(&id).unwrap(), rig.control.effects()), (object, effects));
    let again = rig.send("POST", "/v1/checkout/sessions", &session_form("b-1"), Some("k")).await.unwrap();
    assert_eq!((again.header("idempotent-replayed"), &again.text), (Some("true"), &first.text));
    rig.quiet().await;
    assert_eq!(rig.inbox.got().len(), 5, "events that nobody took are sent after the restart");
    let other = rig.session("b-2").await;
    rig.control.pay(&other, PayOutcome::Success).unwrap();
    rig.stop().await;
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn it_listens_on_loopback_only() {
    let addr = "0.0.0.0:0".parse().unwrap();
    let error = pvt_stripe_simulator::Simulator::bind(SimulatorOptions { addr, ..SimulatorOptions::default() })
        .await
        .unwrap_err();
    assert!(error.to_string().contains("loopback only"), "{error}");
}
