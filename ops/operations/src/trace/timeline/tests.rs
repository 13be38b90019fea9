//! Timelines of stored values.

use super::{Timeline, TimelineEvent};
use pvt_domain::booking::{Booking, Status};
use pvt_domain::ledger::{Ledger, PaymentChannel, Record, RecordMethod};
use pvt_domain::money::Currency;
use pvt_domain::stripe::Event;
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::dead_letters::DeadLetter;
use pvt_stores::mongo::notifications::Notification;
use pvt_stores::mongo::stripe_events::StoredStripeEvent;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

const ID: &str = "11111111-2222-5333-8444-555555555555";
const NOW: &str = "2026-12-01T12:18:00.000Z";

fn at(text: &str) -> Timestamp {
    serde_json::from_value(json!(text)).unwrap()
}

/// One bed for one night, held until half past twelve.
fn held() -> Booking {
    serde_json::from_value(json!({
        "_id": ID, "reference": "PVT-0000000000", "status": "held", "rev": 1, "property_id": "pvt-montreal",
        "rate_plan_id": "prepaid", "source": "direct",
        "stays": [{ "room_type_id": "dorm", "arrival": "2027-01-10", "departure": "2027-01-11", "guests": 1,
        "assigned_beds": ["a-1"] }],
        "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com" },
        "price": { "currency": "CAD", "nights": [[4200]], "taxes": [], "total": 4200 },
        "payment": { "required": 4200, "expires_at": "2026-12-01T12:30:00.000Z" }, "fingerprint": "f",
        "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:00.010Z",
        "history": [{ "rev": 1, "at": "2026-12-01T12:00:00.010Z", "action": "request", "from": "requested",
        "to": "held", "command_id": ID,
                      "event_id": "11111111-2222-5333-8444-555555555557", "actor": "guest" }],
    }))
    .unwrap()
}

fn confirmed() -> Booking {
    let mut booking = held();
    (booking.status, booking.payment.expires_at) = (Status::Confirmed, None);
    booking
}

fn mail(kind: &str, status: &str) -> Notification {
    serde_json::from_value(json!({ "_id": "k", "booking_id": ID, "property_id": "pvt-montreal",
        "kind": kind, "version": 1, "status": status,
        "message_id": "<m>", "attempts": 2, "maybe_duplicate": 0, "sender": ID,
        "created_at": "2026-12-01T12:00:01.000Z", "updated_at": "2026-12-01T12:00:02.000Z" }))
    .unwrap()
}

fn dead_letter(state: &str, replays: Value) -> DeadLetter {
    serde_json::from_value(json!({ "_id": Uuid::from_u128(8), "queue": "emails", "message_id": Uuid::from_u128(9),
        "kind": "booking.held.v1", "booking_id": ID, "state": state, "deaths": 1,
        "first_died_at": "2026-12-01T12:01:00.000Z", "new_since_replay": false, "operation": null,
        "last": { "id": Uuid::from_u128(7), "died_at": "2026-12-01T12:01:00.000Z", "position": 1, "class": "panic",
            "worker": "emails", "error": "ada@example.com", "group": "g", "attempt": 4, "first_failed_at": null,
            "follows": null, "bytes": 2 },
        "replays": replays }))
    .unwrap()
}

/// The timeline of a booking that has its claim, and whose events the mart has.
fn complete(booking: &Booking) -> Timeline<'_> {
    let loads = booking.history.iter().map(|entry| (entry.event_id, None)).collect();
    Timeline { claims: 1, loads: Some(loads), ..Timeline::of(booking) }
}

fn places(events: &[TimelineEvent]) -> Vec<&str> {
    events.iter().map(|event| event.place).collect()
}

fn texts(events: &[TimelineEvent]) -> Vec<&str> {
    events.iter().map(|event| event.what.as_str()).collect()
}

/// What a booking waits for, in words, where no queue is paused.
fn summary(timeline: &Timeline<'_>) -> Vec<String> {
    timeline.summary(at(NOW), Vec::new()).into_iter().map(|wait| wait.text).collect()
}

#[test]
fn status_names_pending_work_and_hides_guest_data() {
    let (booking, mails) = (held(), [mail("payment_link", "failed")]);
    let timeline = Timeline { mails: &mails, ..complete(&booking) };
    assert_eq!(
        summary(&timeline),
        ["held for 42.00 CAD until 2026-12-01T12:30:00.000Z, 12 min left", "the mail payment_link is failed"]
    );
    let events = timeline.events();
    assert_eq!(places(&events), ["api", "booking", "mail", "mail"]);
    let shown = serde_json::to_string(&events).unwrap();
    assert!(!["Ada", "Lovelace", "example.com"].iter().any(|secret| shown.contains(secret)), "{shown}");
}

#[test]
fn hops_show_waits_attempts_and_the_mart() {
    let mut booking = held();
    booking.history[0].hop = serde_json::from_value(json!({ "published_at": "2026-12-01T12:00:00.000Z",
        "delivered_at": "2026-12-01T12:00:00.007Z", "redeliveries": 1 }))
    .unwrap();
    let mut mails = [mail("payment_link", "sent")];
    mails[0].hop = serde_json::from_value(json!({ "published_at": "2026-12-01T12:00:00.000Z",
        "delivered_at": "2026-12-01T12:00:01.900Z", "attempt": 2, "first_failed_at": "2026-12-01T12:00:01.500Z",
        "failed_with": "smtp_refused_for_now", "replayed": true }))
    .unwrap();
    let loaded = HashMap::from([(booking.history[0].event_id, Some(at("2026-12-01T12:00:00.050Z")))]);
    let timeline = Timeline {
        bookings_queue: "bookings.2".to_owned(),
        mails: &mails,
        claims: 1,
        loads: Some(loaded),
        ..Timeline::of(&booking)
    };
    let events = timeline.events();
    assert_eq!(
        texts(&events),
        [
            "accepted, from direct",
            "command for rev 1 taken from bookings.2 after 7 ms, delivered once before without an acknowledgement",
            "rev 1  request: requested → held, by guest, claims 1 bed-nights",
            "event of rev 1 loaded",
            "payment_link of revision 1: first attempt",
            "message for payment_link of revision 1: an attempt failed in emails",
            "message for payment_link of revision 1 taken from emails after 900 ms to 1.9 s, attempt 2, the one before \
                failed with smtp_refused_for_now, replayed from the dead letters",
            "payment_link of revision 1: sent, 2 attempts",
        ]
    );
    let after: Vec<Option<i64>> = events.iter().map(|event| event.after_ms).collect();
    assert_eq!(&after[..4], [None, Some(7), Some(3), Some(40)]);
    assert_eq!(events[2].cause.as_deref(), Some("hop rev 1"));
    assert_eq!(events[2].message_id, Some(booking.history[0].event_id), "as in log lines");
}

/// Attempts of a mail: whether its message was taken before the first one, or again after it.
#[test]
fn message_of_a_mail_is_taken_before_the_attempt_that_it_causes() {
    let booking = held();
    let taken = |delivered: &str, failed: Option<&str>| {
        let mut mail = mail("payment_link", "sent");
        mail.hop = serde_json::from_value(json!({ "delivered_at": delivered, "attempt": 2,
            "first_failed_at": failed }))
        .unwrap();
        let mails = [mail];
        let events = Timeline { mails: &mails, ..complete(&booking) }.events();
        let ids = |events: &[TimelineEvent]| events.iter().map(|event| event.id.clone()).collect::<Vec<_>>();
        let causes: Vec<_> = events[2..].iter().filter_map(|event| event.cause.clone()).collect();
        assert_eq!(causes, ids(&events[1..events.len() - 1]), "each is caused by the one before it");
        ids(&events[2..])
    };
    let before = taken("2026-12-01T12:00:00.900Z", None);
    assert_eq!(before, ["hop mail 0", "mail 0 first", "mail 0"], "tried twice with one delivery");
    let again = taken("2026-12-01T12:00:01.900Z", Some("2026-12-01T12:00:01.500Z"));
    assert_eq!(again, ["mail 0 first", "hop mail 0 failed", "hop mail 0", "mail 0"]);
    let failed_before = taken("2026-12-01T12:00:01.900Z", Some("2026-12-01T12:00:00.500Z"));
    assert_eq!(failed_before, ["hop mail 0 failed", "mail 0 first", "hop mail 0", "mail 0"]);
}

#[test]
fn payments_are_shown_in_the_words_of_stripe() {
    let booking = held();
    let opened = at("2026-12-01T12:00:02.000Z");
    let mut ledger = Ledger::new(booking.id, booking.property_id.clone(), Currency::CAD, opened);
    let attempt = Uuid::from_u128(1);
    ledger.open(attempt, PaymentChannel::Checkout, 4_200, opened);
    ledger.opened(attempt, "cs_1");
    let metadata = json!({ "booking_id": ID, "demand": "1" });
    for (kind, object) in [
        (
            "checkout.session.completed",
            json!({ "id": "cs_1", "status": "complete", "payment_status": "paid", "payment_intent": "pi_1",
                "amount_total": 4_200, "currency": "cad", "created": 1_800_000_000,
                "expires_at": 1_800_001_800, "metadata": metadata }),
        ),
        (
            "payment_intent.payment_failed",
            json!({ "id": "pi_1", "status": "requires_payment_method", "amount": 4_200, "amount_received": 0,
                "currency": "cad", "created": 1_800_000_000, "metadata": metadata }),
        ),
        (
            "refund.failed",
            json!({ "id": "re_1", "status": "requires_action", "payment_intent": "pi_1", "charge": "ch_1",
                "amount": 100, "currency": "cad", "created": 1_800_000_100 }),
        ),
    ] {
        let event = json!({ "id": format!("evt_{kind}"), "type": kind, "created": 1_800_000_001,
            "data": { "object": object } });
        ledger.apply(&Event::read(&event).unwrap());
    }
    let events = Timeline { ledger: Some(&ledger), ..complete(&booking) }.events();
    let of_stripe: Vec<&TimelineEvent> = events.iter().filter(|event| event.place == "stripe").collect();
    assert_eq!(
        of_stripe.iter().map(|event| event.what.as_str()).collect::<Vec<_>>(),
        ["cs_1 is paid", "pi_1 is succeeded, 42.00 CAD received", "re_1 refunds 1.00 CAD: requires_action"]
    );
    let causes: Vec<&str> = of_stripe.iter().filter_map(|event| event.cause.as_deref()).collect();
    let opening = format!("attempt {attempt}");
    assert_eq!(causes, [opening.as_str(), opening.as_str(), "pi_1"]);
}

#[test]
fn declined_attempt_is_shown_with_its_cause_and_the_way_of_its_event() {
    let booking = held();
    let opened = at("2026-12-01T12:00:02.400Z");
    let mut ledger = Ledger::new(booking.id, booking.property_id.clone(), Currency::CAD, opened);
    let attempt = Uuid::from_u128(1);
    ledger.open(attempt, PaymentChannel::App, 4_200, opened);
    ledger.opened(attempt, "pi_1");
    let event: StoredStripeEvent = serde_json::from_value(json!({
        "_id": "evt_1", "type": "payment_intent.payment_failed",
        "payload": { "id": "evt_1", "created": 1_796_126_402, "data": { "object": { "id": "pi_1",
            "last_payment_error": { "code": "card_declined", "decline_code": "insufficient_funds" } } } },
        "received_at": "2026-12-01T12:00:03.100Z",
        "hop": { "published_at": "2026-12-01T12:00:03.000Z", "delivered_at": "2026-12-01T12:00:03.112Z" },
    }))
    .unwrap();
    let stripe_events = [event];
    let timeline = Timeline { ledger: Some(&ledger), stripe_events: &stripe_events, ..complete(&booking) };
    let events = timeline.events();
    assert_eq!(
        texts(&events)[2..],
        [
            "checkout of 42.00 CAD opened (demand 1): pi_1",
            "payment_intent.payment_failed: insufficient_funds (evt_1)",
            "payment_intent.payment_failed received (evt_1)",
            "payment_intent.payment_failed taken from payments after 12 ms",
        ]
    );
    assert_eq!(events[3].at, at("2026-12-01T12:00:02.000Z"), "of the same second, and after its cause");
    assert_eq!((events[3].after_ms, events[3].in_seconds), (Some(0), true));
}

#[test]
fn recorded_payment_names_its_method_and_note() {
    let booking = confirmed();
    let taken = at("2026-12-01T12:05:00.000Z");
    let mut ledger = Ledger::new(booking.id, booking.property_id.clone(), Currency::CAD, taken);
    let id = Uuid::from_u128(3);
    let note = Some("at the\u{202e} door".to_owned());
    ledger.record(Record { id, method: RecordMethod::Cash, amount: 4_200, actor: "staff:k".into(), note, at: taken });
    ledger.note_hop(id, &serde_json::from_value(json!({ "delivered_at": "2026-12-01T12:05:00.020Z" })).unwrap());
    let events = Timeline { ledger: Some(&ledger), ..complete(&booking) }.events();
    assert_eq!(
        texts(&events)[2..],
        ["42.00 CAD in cash recorded by staff:k (at the  door)", "record taken from records after 20 ms"]
    );
}

#[test]
fn dead_letter_is_waited_for_until_it_is_replayed() {
    let (booking, mails) = (confirmed(), [mail("booking_confirmed", "sent")]);
    let dead = [dead_letter("dead", json!([]))];
    let timeline = Timeline { mails: &mails, dead_letters: &dead, ..complete(&booking) };
    let shown = timeline.summary(at(NOW), Vec::new());
    assert_eq!(shown[0].text, "booking.held.v1 is a dead letter of emails (panic)");
    assert_eq!((shown.len(), shown[0].dead_letter), (1, Some(dead[0].id)));
    assert_eq!(shown[0].with_hint(), format!("{}; `pvt dead show {}`", shown[0].text, Uuid::from_u128(9)));
    let replay = json!([{ "operation": Uuid::from_u128(5), "at": "2026-12-01T12:02:00.000Z", "actor": "operator" }]);
    let replayed = [dead_letter("replayed", replay)];
    let timeline = Timeline { mails: &mails, dead_letters: &replayed, ..complete(&booking) };
    assert!(summary(&timeline)[0].starts_with("Settled"));
    let events = timeline.events();
    assert_eq!(
        texts(&events)[4..],
        [
            format!("booking.held.v1 given up by emails at attempt 4: panic ({})", Uuid::from_u128(9)).as_str(),
            "booking.held.v1 returned to emails by operator"
        ]
    );
    assert!(!serde_json::to_string(&events).unwrap().contains("example.com"), "errors may quote a message");
}

#[test]
fn every_edit_of_a_dead_letter_has_its_own_id() {
    let booking = confirmed();
    let mut dead = dead_letter("dead", json!([]));
    let edit = |minute: u32| {
        json!({ "at": format!("2026-12-01T12:0{minute}:00.000Z"), "actor": "operator", "reason": "typo",
            "changed": ["/guest/email"] })
    };
    dead.edits = serde_json::from_value(json!([edit(2), edit(3)])).unwrap();
    let dead = [dead];
    let events = Timeline { dead_letters: &dead, ..complete(&booking) }.events();
    let ids: HashSet<&str> = events.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids.len(), events.len(), "{events:?}");
    assert_eq!(events.iter().filter(|event| event.what.contains("edited by operator")).count(), 2);
}

#[test]
fn control_characters_in_reasons_are_blanked() {
    let mut booking = held();
    booking.history[0].reason = Some("plans\nchanged \u{1b}[2J\u{202e}é".to_owned());
    assert_eq!(
        complete(&booking).events()[1].what,
        "rev 1  request: requested → held, by guest (plans changed  [2J é), claims 1 bed-nights"
    );
}

#[test]
fn missing_mart_events_and_claims_are_reported() {
    let (booking, mails) = (confirmed(), [mail("booking_confirmed", "sent")]);
    let timeline = Timeline { mails: &mails, ..complete(&booking) };
    assert!(summary(&timeline)[0].starts_with("Settled"));
    let lacking = Timeline { claims: 0, loads: Some(HashMap::new()), ..timeline };
    assert_eq!(summary(&lacking), ["the mart lacks 1 of 1 events", "it owns 1 bed-nights and claims 0"]);
    assert!(lacking.events()[1].what.ends_with(", not in the mart"));
    let unread = Timeline { loads: None, claims: 1, ..lacking };
    assert_eq!(summary(&unread), ["the mart could not be read"]);
}

#[test]
fn mail_that_was_never_written_is_missed() {
    let mut booking = confirmed();
    let mails = [mail("payment_link", "sent")];
    let summary = |booking: &Booking| summary(&Timeline { mails: &mails, ..complete(booking) });
    assert!(summary(&booking)[0].starts_with("no mail booking_confirmed was written"), "{:?}", summary(&booking));
    booking.status = Status::CheckedIn;
    assert!(summary(&booking)[0].starts_with("Settled"), "{:?}", summary(&booking));
    booking.status = Status::Confirmed;
    booking.guest.email.clear();
    assert!(summary(&booking)[0].starts_with("Settled"), "there is no address to write to");
}

#[test]
fn booking_is_not_settled_while_a_queue_is_paused() {
    let (booking, mails) = (confirmed(), [mail("booking_confirmed", "sent")]);
    let timeline = Timeline { mails: &mails, ..complete(&booking) };
    assert!(summary(&timeline)[0].starts_with("Settled"));
    let paused = "queue emails is paused".to_owned();
    assert_eq!(timeline.summary(at(NOW), vec![paused.clone()]), [paused.into()]);
}

#[test]
fn booking_that_is_over_is_not_settled_while_something_is_owed() {
    let mut booking = confirmed();
    booking.status = Status::Cancelled;
    booking.guest.email.clear();
    let summary = |booking: &Booking| summary(&Timeline { claims: 0, ..complete(booking) });
    booking.cancellation_fee = Some(1_050);
    assert_eq!(summary(&booking), ["10.50 CAD of the fee is owed, and is not collected by itself"]);
    booking.cancellation_fee = Some(0);
    assert!(summary(&booking)[0].starts_with("Settled"), "{:?}", summary(&booking));
    booking.status = Status::CheckedOut;
    assert!(summary(&booking)[0].starts_with("42.00 CAD of the stay is owed"), "{:?}", summary(&booking));
}
