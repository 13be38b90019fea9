//! Every message that may wait in a queue: a committed example of each type and version decodes for ever.
//!
//! An example is never edited to make a test pass. A message that must look different is a new version with an example
//! of its own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use pvt_domain::accounts::mail::ACCOUNT_MAIL;
use pvt_domain::events::{self, BookingEvent, InventoryChanged, NotificationEvent, PaymentEvent};
use pvt_domain::messages::{
    self, AnalyticsEvent, BookingCommand, DecodeError, EmailCommand, Inbox, MAX_BODY_BYTES, MessageType,
    PaymentCommand, PaymentReply, ReconcileCommand, Reply, StripeCommand, decode_body,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Decodes a body the way its consumer does and gives back what it kept of it, with the wire name it would be sent
/// under.
type Reader = fn(&[u8]) -> Result<(&'static str, Value), DecodeError>;

/// Every wire name with its reader. A new message needs a line here and an example.
const READERS: [(&str, Reader); 45] = [
    (messages::BOOKING_REQUEST, |body| booking_command(messages::BOOKING_REQUEST, body)),
    (messages::BOOKING_MODIFY, |body| booking_command(messages::BOOKING_MODIFY, body)),
    (messages::BOOKING_CANCEL, |body| booking_command(messages::BOOKING_CANCEL, body)),
    (messages::BOOKING_CONFIRM, |body| booking_command(messages::BOOKING_CONFIRM, body)),
    (messages::BOOKING_CHECK_IN, |body| booking_command(messages::BOOKING_CHECK_IN, body)),
    (messages::BOOKING_CHECK_OUT, |body| booking_command(messages::BOOKING_CHECK_OUT, body)),
    (messages::BOOKING_MARK_NO_SHOW, |body| booking_command(messages::BOOKING_MARK_NO_SHOW, body)),
    (messages::BOOKING_REINSTATE, |body| booking_command(messages::BOOKING_REINSTATE, body)),
    (messages::BOOKING_ASSIGN, |body| booking_command(messages::BOOKING_ASSIGN, body)),
    (messages::BOOKING_EXPIRE_HOLD, |body| booking_command(messages::BOOKING_EXPIRE_HOLD, body)),
    (messages::BOOKING_SETTLE_PAYMENT, |body| booking_command(messages::BOOKING_SETTLE_PAYMENT, body)),
    (messages::INVENTORY_BLOCK, |body| booking_command(messages::INVENTORY_BLOCK, body)),
    (messages::INVENTORY_UNBLOCK, |body| booking_command(messages::INVENTORY_UNBLOCK, body)),
    (messages::STRIPE_EVENT, |body| {
        let PaymentCommand::Event(event) = PaymentCommand::decode(messages::STRIPE_EVENT, body)?;
        Ok(kept(&*event))
    }),
    (messages::PAYMENT_OPEN_CHECKOUT, |body| stripe_command(messages::PAYMENT_OPEN_CHECKOUT, body)),
    (messages::PAYMENT_CREATE_INTENT, |body| stripe_command(messages::PAYMENT_CREATE_INTENT, body)),
    (messages::PAYMENT_EXPIRE_CHECKOUT, |body| stripe_command(messages::PAYMENT_EXPIRE_CHECKOUT, body)),
    (messages::PAYMENT_REFUND, |body| stripe_command(messages::PAYMENT_REFUND, body)),
    (messages::PAYMENT_RECORD, |body| stripe_command(messages::PAYMENT_RECORD, body)),
    (messages::PAYMENT_REFRESH, |body| stripe_command(messages::PAYMENT_REFRESH, body)),
    (messages::RECONCILE_PAYMENTS, |body| stripe_command(messages::RECONCILE_PAYMENTS, body)),
    (messages::PAYMENT_REPLY, |body| decode_body::<PaymentReply>(body).map(|reply| kept(&reply))),
    (messages::NOTIFICATION_SEND, |body| match EmailCommand::decode(messages::NOTIFICATION_SEND, body)? {
        EmailCommand::Send(wish) => Ok(kept(&wish)),
        EmailCommand::Happened(event) => Ok(kept(&*event)),
        EmailCommand::Paid(event) => Ok(kept(&*event)),
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
    (events::BOOKING_HELD, |body| booking_event(events::BOOKING_HELD, body)),
    (events::BOOKING_EXPIRED, |body| booking_event(events::BOOKING_EXPIRED, body)),
    (events::BOOKING_PAYMENT_CHANGED, |body| booking_event(events::BOOKING_PAYMENT_CHANGED, body)),
    (events::PAYMENT_OPENED, |body| payment_event(events::PAYMENT_OPENED, body)),
    (events::PAYMENT_CAPTURED, |body| payment_event(events::PAYMENT_CAPTURED, body)),
    (events::PAYMENT_FAILED, |body| payment_event(events::PAYMENT_FAILED, body)),
    (events::PAYMENT_REFUNDED, |body| payment_event(events::PAYMENT_REFUNDED, body)),
    (events::PAYMENT_DISPUTED, |body| payment_event(events::PAYMENT_DISPUTED, body)),
    (events::BOOKING_CONFIRMED, |body| booking_event(events::BOOKING_CONFIRMED, body)),
    (events::BOOKING_REJECTED, |body| booking_event(events::BOOKING_REJECTED, body)),
    (events::BOOKING_CANCELLED, |body| booking_event(events::BOOKING_CANCELLED, body)),
    (events::BOOKING_MODIFIED, |body| booking_event(events::BOOKING_MODIFIED, body)),
    (events::BOOKING_CHECKED_IN, |body| booking_event(events::BOOKING_CHECKED_IN, body)),
    (events::BOOKING_CHECKED_OUT, |body| booking_event(events::BOOKING_CHECKED_OUT, body)),
    (events::BOOKING_NO_SHOW, |body| booking_event(events::BOOKING_NO_SHOW, body)),
    (events::BOOKING_REINSTATED, |body| booking_event(events::BOOKING_REINSTATED, body)),
    (events::INVENTORY_CHANGED, inventory_changed),
    (events::NOTIFICATION_SENT, |body| notification_event(events::NOTIFICATION_SENT, body)),
    (events::NOTIFICATION_FAILED, |body| notification_event(events::NOTIFICATION_FAILED, body)),
];

fn kept<M: MessageType>(message: &M) -> (&'static str, Value) {
    (message.kind(), serde_json::to_value(message).unwrap())
}

fn booking_command(kind: &str, body: &[u8]) -> Result<(&'static str, Value), DecodeError> {
    let command = BookingCommand::decode(kind, body)?;
    assert_eq!(command.property_id().as_str(), "pvt-montreal");
    assert_eq!(command.booking_id().is_some(), command.block_id().is_none());
    Ok(match command {
        BookingCommand::Request(request) => kept(&*request),
        BookingCommand::Modify(modify) => kept(&*modify),
        BookingCommand::Cancel(cancel) => kept(&cancel),
        BookingCommand::Confirm(confirm) => kept(&confirm),
        BookingCommand::CheckIn(check_in) => kept(&check_in),
        BookingCommand::CheckOut(check_out) => kept(&check_out),
        BookingCommand::NoShow(no_show) => kept(&no_show),
        BookingCommand::Reinstate(reinstate) => kept(&reinstate),
        BookingCommand::Assign(assign) => kept(&assign),
        BookingCommand::ExpireHold(expire) => kept(&expire),
        BookingCommand::SettlePayment(settle) => kept(&settle),
        BookingCommand::Block(block) => kept(&block),
        BookingCommand::Unblock(unblock) => kept(&unblock),
    })
}

fn stripe_command(kind: &str, body: &[u8]) -> Result<(&'static str, Value), DecodeError> {
    Ok(match StripeCommand::decode(kind, body)? {
        StripeCommand::Open(open) => kept(&open),
        StripeCommand::Expire(expire) => kept(&expire),
        StripeCommand::Refund(refund) => kept(&refund),
        StripeCommand::Record(record) => kept(&record),
        StripeCommand::Refresh(refresh) => kept(&refresh),
        StripeCommand::Reconcile(run) => kept(&run),
    })
}

fn payment_event(kind: &str, body: &[u8]) -> Result<(&'static str, Value), DecodeError> {
    let event = PaymentEvent::decode(kind, body)?;
    assert_eq!(AnalyticsEvent::decode(kind, body)?, AnalyticsEvent::Payment(Box::new(event.clone())));
    assert_eq!(EmailCommand::decode(kind, body)?, EmailCommand::Paid(Box::new(event.clone())));
    Ok(kept(&event))
}

fn inventory_changed(body: &[u8]) -> Result<(&'static str, Value), DecodeError> {
    let event = InventoryChanged::decode(events::INVENTORY_CHANGED, body)?;
    assert_eq!(
        AnalyticsEvent::decode(events::INVENTORY_CHANGED, body)?,
        AnalyticsEvent::Inventory(Box::new(event.clone()))
    );
    Ok(kept(&event))
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
fn wire_names_and_examples_match() {
    let examples: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(wire_names(), examples, "left: names in the sources; right: examples in tests/messages");
    let read: BTreeSet<String> = READERS.iter().map(|(kind, _)| (*kind).to_owned()).collect();
    assert_eq!(read, examples, "left: readers in this test; right: examples in tests/messages");
}

#[test]
fn every_example_round_trips() {
    for (kind, read) in READERS {
        let example = example(kind);
        let (sent_as, kept) =
            read(&serde_json::to_vec(&example).unwrap()).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(kept, example, "{kind}");
        assert_eq!(sent_as, kind);
    }
}

#[test]
fn unknown_fields_are_ignored() {
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
        let (_, read) = READERS.iter().find(|(name, _)| *name == kind).unwrap();
        let mut sparse = example(kind);
        for field in optional {
            assert!(sparse.as_object_mut().unwrap().remove(*field).is_some(), "{kind} has no example of `{field}`");
        }
        assert_eq!(read(&serde_json::to_vec(&sparse).unwrap()).unwrap().1, sparse, "{kind}");
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
    let events = serde_json::to_vec(&example(events::BOOKING_REJECTED)).unwrap();
    assert_eq!(
        AnalyticsEvent::decode(events::BOOKING_CONFIRMED, &events).unwrap_err().class(),
        "invalid_body",
        "the type must fit the status"
    );
}

#[test]
fn events_carry_no_personal_data() {
    for (kind, _) in READERS.iter().filter(|(kind, _)| *kind != messages::BOOKING_REQUEST) {
        let text = example(kind).to_string();
        for secret in ["Ada", "Lovelace", "example.com", "+1514"] {
            assert!(!text.contains(secret), "{kind} carries {secret}");
        }
    }
}
