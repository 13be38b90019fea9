//! Compatibility of queued messages: the committed example of every wire name decodes forever.
//!
//! An example is never edited to make a test pass. A message that must look different is a new version with an example
//! of its own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use pvt_domain::events::{self, BookingEvent, InventoryChanged, NotificationEvent, PaymentEvent};
use pvt_domain::messages::catalog::{entries, entry};
use pvt_domain::messages::{
    self, AnalyticsEvent, BookingCommand, Decoded, EmailCommand, Inbox, MAX_BODY_BYTES, MessageClass, PAYMENT_RECORD,
    RecordCommand, StripeCommand, queues,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn example(kind: &str) -> Value {
    serde_json::from_str(entry(kind).unwrap().example).unwrap()
}

fn decode(kind: &str, body: &Value) -> Decoded {
    let body = serde_json::to_vec(body).unwrap();
    entry(kind).unwrap().decode(&body).unwrap_or_else(|error| panic!("{kind}: {error}"))
}

/// Wire names as the sources spell them: string literals that end in a version, outside tests.
fn wire_names() -> Vec<String> {
    let mut names = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let is_test = |file: &Path| {
        file.strip_prefix(&root).unwrap().components().any(|part| {
            let name = part.as_os_str();
            name == "tests" || name == "tests.rs"
        })
    };
    for file in sources(&root).into_iter().filter(|file| !is_test(file)) {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let product = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code = product.lines().filter(|line| !line.trim_start().starts_with("//"));
        let literals = code.flat_map(|line| line.split('"').skip(1).step_by(2));
        names.extend(literals.filter(|literal| is_wire_name(literal)).map(str::to_owned));
    }
    names
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

fn is_wire_name(text: &str) -> bool {
    let Some((stem, version)) = text.rsplit_once(".v") else { return false };
    stem.contains('.') && !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit())
}

#[test]
fn wire_names_and_examples_match() {
    let names = wire_names();
    let distinct: BTreeSet<String> = names.iter().cloned().collect();
    assert_eq!(names.len(), distinct.len(), "each wire name is spelled once");
    let declared: Vec<String> = entries().map(|entry| entry.kind.to_owned()).collect();
    assert_eq!(declared.len(), distinct.len(), "each wire name is in the catalog once");
    assert_eq!(declared.into_iter().collect::<BTreeSet<_>>(), distinct, "left: the catalog; right: the sources");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("messages");
    let examples: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(distinct, examples, "left: the sources; right: the examples in messages/");
}

#[test]
fn every_example_round_trips() {
    for entry in entries() {
        let example = example(entry.kind);
        assert_eq!(decode(entry.kind, &example), Decoded { kind: entry.kind, body: example });
    }
}

#[test]
fn catalog_entries_accept_their_example_only() {
    for entry in entries() {
        assert!(entry.accepts(entry.example.as_bytes()), "{}", entry.kind);
        assert!(!entry.accepts(b"{}"), "{}", entry.kind);
        assert!(entry.description.ends_with('.'), "{}: {:?}", entry.kind, entry.description);
        let queue_count = match entry.class {
            MessageClass::Command => 1..=1,
            MessageClass::Event => 0..=queues::ALL.len(),
            MessageClass::Reply => 0..=0,
        };
        assert!(queue_count.contains(&entry.queues.len()), "{}", entry.kind);
        assert!(entry.queues.iter().all(|queue| queues::ALL.contains(queue)), "{}", entry.kind);
    }
}

#[test]
fn booking_commands_name_their_property_and_subject() {
    for entry in entries().filter(|entry| entry.queues == [queues::BOOKINGS]) {
        let command = BookingCommand::decode(entry.kind, entry.example.as_bytes()).unwrap();
        assert_eq!(command.property_id().as_str(), "pvt-montreal");
        assert_eq!(command.booking_id().is_some(), command.block_id().is_none());
    }
}

#[test]
fn events_are_decoded_by_every_consumer() {
    for entry in entries().filter(|entry| entry.class == MessageClass::Event) {
        let (kind, body) = (entry.kind, entry.example.as_bytes());
        let analytics = AnalyticsEvent::decode(kind, body).unwrap();
        if let Ok(event) = BookingEvent::decode(kind, body) {
            assert_eq!(analytics, AnalyticsEvent::Booking(Box::new(event.clone())));
            assert_eq!(EmailCommand::decode(kind, body).unwrap(), EmailCommand::Happened(Box::new(event)));
        } else if let Ok(event) = PaymentEvent::decode(kind, body) {
            assert_eq!(analytics, AnalyticsEvent::Payment(Box::new(event.clone())));
            assert_eq!(EmailCommand::decode(kind, body).unwrap(), EmailCommand::Paid(Box::new(event)));
        } else if let Ok(event) = InventoryChanged::decode(kind, body) {
            assert_eq!(analytics, AnalyticsEvent::Inventory(Box::new(event)));
        } else {
            let event = NotificationEvent::decode(kind, body).unwrap();
            assert_eq!(analytics, AnalyticsEvent::Notification(event));
        }
        for queue in entry.queues {
            assert_eq!(*queue, queues::EMAILS, "{kind}: the consumer is tested above");
        }
    }
}

#[test]
fn unknown_fields_are_ignored() {
    for entry in entries() {
        let mut newer = example(entry.kind);
        newer.as_object_mut().unwrap().insert("added_later".to_owned(), "x".into());
        assert_eq!(decode(entry.kind, &newer).body, example(entry.kind), "{}", entry.kind);
    }
}

#[test]
fn optional_fields_may_be_absent() {
    for (kind, optional) in [
        (messages::BOOKING_REQUEST, &["client"][..]),
        (messages::BOOKING_CANCEL, &["reason"]),
        (
            messages::BOOKING_MODIFY,
            &[
                "expected_rev",
                "as_admin",
                "reason",
                "stays",
                "rate_plan_id",
                "reprice",
                "quote",
                "override_restrictions",
            ],
        ),
        (messages::BOOKING_CHECK_OUT, &["allow_open_balance", "reprice"]),
        (messages::INVENTORY_BLOCK, &["reason"]),
        (messages::PAYMENT_REFUND, &["wish"]),
        (messages::PAYMENT_REPLY, &["payment_id", "url", "client_secret", "refusal"]),
        (events::BOOKING_HELD, &["payment"]),
        (events::PAYMENT_CAPTURED, &["entry"]),
        (events::BOOKING_CHECKED_IN, &["price", "action"]),
        (events::BOOKING_CONFIRMED, &["price"]),
        (events::BOOKING_REJECTED, &["rejection"]),
    ] {
        let mut sparse = example(kind);
        for field in optional {
            assert!(sparse.as_object_mut().unwrap().remove(*field).is_some(), "{kind} has no example of `{field}`");
        }
        assert_eq!(decode(kind, &sparse).body, sparse, "{kind}");
    }
}

#[test]
fn decode_errors_name_their_class() {
    let request = messages::BOOKING_REQUEST;
    assert_eq!(BookingCommand::decode(request, b"{").unwrap_err().class(), "invalid_body");
    assert_eq!(BookingCommand::decode(request, b"{}").unwrap_err().class(), "invalid_body");
    assert_eq!(BookingCommand::decode("booking.request.v2", b"{}").unwrap_err().class(), "unknown_version");
    assert_eq!(BookingCommand::decode("booking.exchange.v1", b"{}").unwrap_err().class(), "unknown_type");
    assert_eq!(BookingCommand::decode(request, &vec![b' '; MAX_BODY_BYTES + 1]).unwrap_err().class(), "oversize");
    assert_eq!(EmailCommand::decode("booking.held.v2", b"{}").unwrap_err().class(), "unknown_version");
    let rejected = entry(events::BOOKING_REJECTED).unwrap().example;
    assert_eq!(
        AnalyticsEvent::decode(events::BOOKING_CONFIRMED, rejected.as_bytes()).unwrap_err().class(),
        "invalid_body",
        "the type must fit the status"
    );
}

#[test]
fn events_carry_no_personal_data() {
    // Commands that say who the guests are; no event does.
    let named = [messages::BOOKING_REQUEST, messages::BOOKING_NAME_GUESTS];
    for entry in entries().filter(|entry| !named.contains(&entry.kind)) {
        let text = example(entry.kind).to_string();
        for secret in ["Ada", "Lovelace", "example.com", "+1514", "1995-12-10"] {
            assert!(!text.contains(secret), "{} carries {secret}", entry.kind);
        }
    }
}

#[test]
fn mail_of_a_kind_of_a_later_version_is_passed_on() {
    let mut body = example(events::NOTIFICATION_SENT);
    body["kind"] = "room_ready".into();
    assert_eq!(decode(events::NOTIFICATION_SENT, &body).body, body);
    let received = AnalyticsEvent::decode(events::NOTIFICATION_SENT, body.to_string().as_bytes()).unwrap();
    assert!(matches!(received, AnalyticsEvent::Notification(event) if event.kind == "room_ready"));
}

#[test]
fn record_that_an_earlier_version_sent_to_stripe_is_read() {
    let body = entry(PAYMENT_RECORD).unwrap().example.as_bytes();
    let moved = StripeCommand::decode(PAYMENT_RECORD, body).unwrap();
    let RecordCommand::Record(record) = RecordCommand::decode(PAYMENT_RECORD, body).unwrap();
    assert_eq!(moved, StripeCommand::Record(record));
}
