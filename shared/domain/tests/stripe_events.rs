//! Stripe's events in the shapes of its API versions from 2018 to 2026, rebuilt by hand from its documents: each is
//! read and joined, or refused by name.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use pvt_domain::ledger::{Ledger, PaymentChannel};
use pvt_domain::money::Currency;
use pvt_domain::stripe::{Event, EventError, Object};
use pvt_domain::timestamp::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;
use uuid::Uuid;

/// The events of one payment under one API version.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Story {
    about: String,
    /// What the shapes follow.
    documents: Vec<String>,
    booking_id: String,
    events: Vec<Value>,
    expected: Value,
}

fn stories() -> Vec<(String, Story)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stripe_events");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: &std::path::PathBuf| {
        let version = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let story = serde_json::from_str(&std::fs::read_to_string(path).unwrap());
        (version.clone(), story.unwrap_or_else(|error| panic!("{version}: {error}")))
    };
    files.iter().map(read).collect()
}

fn now() -> Timestamp {
    chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap().into()
}

fn ledger(story: &Story) -> Ledger {
    let booking = story.booking_id.parse().unwrap();
    let mut ledger = Ledger::new(booking, "pvt-montreal".into(), Currency::CAD, now());
    ledger.open(Uuid::from_u128(1), PaymentChannel::Checkout, 10_000, now());
    ledger.opened(Uuid::from_u128(1), "cs_live_1");
    ledger
}

fn totals(ledger: &Ledger) -> Value {
    let summary = ledger.summary();
    json!({ "captured": summary.captured, "refunded": summary.refunded, "charged_back": summary.charged_back,
        "processing": summary.processing,
        "attention": ledger.attention().into_iter().map(|one| one.as_str()).collect::<Vec<_>>() })
}

#[test]
fn every_version_is_read_and_joined() {
    let stories = stories();
    assert_eq!(stories.len(), 6);
    for (version, story) in stories {
        assert!(!story.about.is_empty() && story.documents.iter().all(|link| link.starts_with("https://docs.stripe.")));
        let mut ledger = ledger(&story);
        let events: Vec<Event> = story
            .events
            .iter()
            .map(|event| Event::read(event).unwrap_or_else(|error| panic!("{version}: {error}: {event}")))
            .collect();
        for (event, raw) in events.iter().zip(&story.events) {
            assert_eq!(raw["api_version"], version.as_str());
            assert_eq!(event.livemode, Some(true));
            assert_ne!(event.object, Object::Other, "{version}: {}", event.kind);
            let named =
                event.object.booking_id().is_some() || event.object.intent_id().or(event.object.charge_id()).is_some();
            assert!(named, "{version}: {} names no payment", event.kind);
            ledger.apply(event);
        }
        assert_eq!(totals(&ledger), story.expected, "{version}");
        let once = ledger.clone();
        let refetches: Vec<_> = events.iter().filter_map(|event| ledger.apply(event)).collect();
        assert_eq!((ledger, refetches), (once, Vec::new()), "{version}: a second time changes and lacks nothing");
    }
}

#[test]
fn unreadable_events_are_refused_by_name() {
    // A thin event of API v2: it has no object.
    let thin = json!({ "id": "evt_test_1", "object": "v2.core.event", "type": "v1.billing.meter.no_meter_found",
        "created": "2026-09-30T12:00:00.000Z", "livemode": true, "related_object": null });
    assert!(matches!(Event::read(&thin), Err(EventError::Envelope(_))));
    let broken = json!({ "id": "evt_1", "type": "charge.dispute.closed", "created": 1_800_000_000,
        "data": { "object": { "id": "dp_1", "object": "dispute", "charge": "ch_1", "status": "lost" } } });
    let Err(EventError::Object { kind, reason }) = Event::read(&broken) else { panic!("{broken}") };
    assert_eq!(kind, "charge.dispute.closed");
    assert!(reason.contains("amount"), "{reason}");
    // Of other products of Stripe's: stored and counted, without effect.
    for kind in ["source.chargeable", "invoice.paid", "review.opened", "payout.failed", "customer.created"] {
        let other = json!({ "id": "evt_1", "type": kind, "created": 1, "data": { "object": { "id": "x_1" } } });
        assert_eq!(Event::read(&other).unwrap().object, Object::Other, "{kind}");
    }
}
