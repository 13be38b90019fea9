//! Every message that may wait in a queue: a committed example of each type and version decodes for ever.
//!
//! An example is never edited to make a test pass. A message that must look different is a new version with an example of its own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use pvt_domain::accounts::mail::ACCOUNT_MAIL;
use pvt_domain::events::{self, BookingEvent, NotificationEvent};
use pvt_domain::messages::{
    self, AnalyticsEvent, BookingCommand, DecodeError, EmailCommand, Inbox, MAX_BODY_BYTES, MessageType, PaymentCommand, ReconcileCommand, Reply, decode_body,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Decodes a body the way its consumer does and gives back what it kept of it, with the wire name it would be sent under.
type Reader = fn(&[u8]) -> Result<(&'static str, Value), DecodeError>;

/// Every wire name with its reader. A new message needs a line here and an example.
const READERS: [(&str, Reader); 12] = [
    (messages::BOOKING_REQUEST, |body| match BookingCommand::decode(messages::BOOKING_REQUEST, body)? {
        BookingCommand::Request(request) => Ok(kept(&*request)),
        BookingCommand::Cancel(cancel) => Ok(kept(&cancel)),
    }),
    (messages::BOOKING_CANCEL, |body| match BookingCommand::decode(messages::BOOKING_CANCEL, body)? {
        BookingCommand::Request(request) => Ok(kept(&*request)),
        BookingCommand::Cancel(cancel) => Ok(kept(&cancel)),
    }),
    (messages::STRIPE_EVENT, |body| {
        let PaymentCommand::Event(event) = PaymentCommand::decode(messages::STRIPE_EVENT, body)?;
        Ok(kept(&*event))
    }),
    (messages::NOTIFICATION_SEND, |body| match EmailCommand::decode(messages::NOTIFICATION_SEND, body)? {
        EmailCommand::Send(wish) => Ok(kept(&wish)),
        EmailCommand::Happened(event) => Ok(kept(&*event)),
        EmailCommand::Account(mail) => Ok(kept(&mail)),
    }),
    (ACCOUNT_MAIL, |body| match EmailCommand::decode(ACCOUNT_MAIL, body)? {
        EmailCommand::Account(mail) => Ok(kept(&mail)),
        other => panic!("{other:?}"),
    }),
    (messages::RECONCILE_PROPERTY, |body| {
        let ReconcileCommand::Property(run) = ReconcileCommand::decode(messages::RECONCILE_PROPERTY, body)?;
        Ok(kept(&run))
    }),
    ("booking.reply.v1", |body| decode_body::<Reply>(body).map(|reply| kept(&reply))),
    (events::BOOKING_CONFIRMED, |body| booking_event(events::BOOKING_CONFIRMED, body)),
    (events::BOOKING_REJECTED, |body| booking_event(events::BOOKING_REJECTED, body)),
    (events::BOOKING_CANCELLED, |body| booking_event(events::BOOKING_CANCELLED, body)),
    (events::NOTIFICATION_SENT, |body| notification_event(events::NOTIFICATION_SENT, body)),
    (events::NOTIFICATION_FAILED, |body| notification_event(events::NOTIFICATION_FAILED, body)),
];

fn kept<M: MessageType>(message: &M) -> (&'static str, Value) {
    (message.kind(), serde_json::to_value(message).unwrap())
}

/// A booking's event is read by every consumer of events.
fn booking_event(kind: &str, body: &[u8]) -> Result<(&'static str, Value), DecodeError> {
    let event = BookingEvent::decode(kind, body)?;
    assert_eq!(AnalyticsEvent::decode(kind, body)?, AnalyticsEvent::Booking(Box::new(event.clone())));
    assert_eq!(EmailCommand::decode(kind, body)?, EmailCommand::Happened(Box::new(event.clone())));
    Ok(kept(&event))
}

fn notification_event(kind: &str, body: &[u8]) -> Result<(&'static str, Value), DecodeError> {
    let event = NotificationEvent::decode(kind, body)?;
    assert_eq!(AnalyticsEvent::decode(kind, body)?, AnalyticsEvent::Notification(event.clone()));
    Ok(kept(&event))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/messages")
}

fn example(kind: &str) -> Value {
    let path = folder().join(format!("{kind}.json"));
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap()
}

/// Wire names as the sources spell them: string literals that end in a version, outside tests.
fn wire_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let product = text.split("#[cfg(test)]").next().unwrap_or_default();
        names.extend(product.split('"').skip(1).step_by(2).filter(|literal| is_wire_name(literal)).map(str::to_owned));
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
fn every_wire_name_has_an_example_and_every_example_a_wire_name() {
    let examples: BTreeSet<String> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(wire_names(), examples, "left: names in the sources; right: examples in tests/messages");
    let read: BTreeSet<String> = READERS.iter().map(|(kind, _)| (*kind).to_owned()).collect();
    assert_eq!(read, examples, "left: readers in this test; right: examples in tests/messages");
}

#[test]
fn every_example_decodes_and_nothing_of_it_is_lost() {
    for (kind, read) in READERS {
        let example = example(kind);
        let (sent_as, kept) = read(&serde_json::to_vec(&example).unwrap()).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(kept, example, "{kind}");
        assert_eq!(sent_as, kind);
    }
}

#[test]
fn fields_of_a_newer_sender_are_ignored() {
    for (kind, read) in READERS {
        let mut newer = example(kind);
        newer.as_object_mut().unwrap().insert("added_later".to_owned(), "x".into());
        let (_, kept) = read(&serde_json::to_vec(&newer).unwrap()).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(kept, example(kind), "{kind}");
    }
}

#[test]
fn optional_fields_may_be_absent() {
    for (kind, optional) in [
        (messages::BOOKING_REQUEST, &["client"][..]),
        (messages::BOOKING_CANCEL, &["reason"]),
        (events::BOOKING_CONFIRMED, &["price"]),
        (events::BOOKING_REJECTED, &["rejection"]),
    ] {
        let (_, read) = READERS.iter().find(|(name, _)| *name == kind).unwrap();
        let mut sparse = example(kind);
        for field in optional {
            assert!(sparse.as_object_mut().unwrap().remove(*field).is_some(), "{kind} has no example of `{field}`");
        }
        assert_eq!(read(&serde_json::to_vec(&sparse).unwrap()).unwrap().1, sparse, "{kind}");
    }
}

#[test]
fn what_cannot_be_read_says_why() {
    let request = messages::BOOKING_REQUEST;
    assert_eq!(BookingCommand::decode(request, b"{").unwrap_err().class(), "invalid_body");
    assert_eq!(BookingCommand::decode(request, b"{}").unwrap_err().class(), "invalid_body");
    assert_eq!(BookingCommand::decode("booking.request.v2", b"{}").unwrap_err().class(), "unknown_version");
    assert_eq!(BookingCommand::decode("booking.exchange.v1", b"{}").unwrap_err().class(), "unknown_type");
    assert_eq!(BookingCommand::decode(request, &vec![b' '; MAX_BODY_BYTES + 1]).unwrap_err().class(), "oversize");
    let events = serde_json::to_vec(&example(events::BOOKING_REJECTED)).unwrap();
    assert_eq!(AnalyticsEvent::decode(events::BOOKING_CONFIRMED, &events).unwrap_err().class(), "invalid_body", "the type must fit the status");
}

#[test]
fn events_carry_nothing_of_the_guest() {
    for (kind, _) in READERS.iter().filter(|(kind, _)| *kind != messages::BOOKING_REQUEST) {
        let text = example(kind).to_string();
        for secret in ["Ada", "Lovelace", "example.com", "+1514"] {
            assert!(!text.contains(secret), "{kind} carries {secret}");
        }
    }
}
