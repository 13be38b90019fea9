//! Tests that every invariant can fail: consistent records are corrupted in one place at a time.

use super::{Expected, leaks, violations};
use crate::mails::Mail;
use crate::records::Records;
use chrono::NaiveDate;
use pvt_domain::block::Block;
use pvt_domain::booking::{Action, Booking, Changes, Rejection, Status};
use pvt_domain::messages::NotificationKind;
use pvt_stores::mongo::commit::StoredClaim;
use pvt_stores::mongo::notifications::{Notification, NotificationStatus};
use serde_json::json;
use uuid::Uuid;

const MESSAGE_ID: &str = "m1@pvt.test";

fn night(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2027, 1, day).unwrap()
}

fn booking() -> Booking {
    serde_json::from_value(json!({
        "_id": "11111111-2222-5333-8444-555555555555", "reference": "PVT-0000000000", "status": "confirmed", "rev": 1,
        "property_id": "p", "rate_plan_id": "standard", "source": "direct",
        "stays": [{ "room_type_id": "dorm", "arrival": night(10), "departure": night(12), "guests": 1,
        "assigned_beds": ["b1"] }],
        "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com" },
        "price": { "currency": "CAD", "nights": [[10, 10]], "taxes": [], "total": 20 },
        "payment_status": "pay_on_arrival", "fingerprint": "f",
        "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:01.000Z",
        "history": [{ "rev": 1, "at": "2026-12-01T12:00:01.000Z", "action": "request", "from": "requested",
        "to": "confirmed",
                      "command_id": Uuid::from_u128(1), "event_id": Uuid::from_u128(2), "actor": "guest" }],
    }))
    .unwrap()
}

fn claim(bed: &str, day: u32) -> StoredClaim {
    StoredClaim { key: format!("p|{bed}|{}", night(day)), booking: booking().id.to_string() }
}

fn block() -> Block {
    serde_json::from_value(json!({
        "_id": "22222222-2222-5333-8444-555555555555", "property_id": "p", "rev": 1, "status": "active",
        "kind": "maintenance", "bed_ids": ["b9"],
        "from": night(10), "until": night(11), "created_at": "2026-12-01T12:00:00.000Z",
        "updated_at": "2026-12-01T12:00:00.000Z",
        "history": [{ "rev": 1, "at": "2026-12-01T12:00:01.000Z", "to": "active", "command_id": Uuid::from_u128(3),
        "event_id": Uuid::from_u128(4), "actor": "staff:1" }],
    }))
    .unwrap()
}

/// Adds an entry of this action to the booking.
fn then(booking: &mut Booking, action: Action, to: Status) {
    let mut entry = booking.history[0].clone();
    let rev = booking.rev + 1;
    (entry.rev, entry.action, entry.from, entry.to) = (rev, action, booking.status, to);
    (entry.command_id, entry.event_id) =
        (Uuid::from_u128(u128::from(rev) + 100), Uuid::from_u128(u128::from(rev) + 200));
    booking.history.push(entry);
    (booking.rev, booking.status) = (rev, to);
}

fn consistent() -> (Records, Vec<Mail>) {
    let booking = booking();
    let row: Notification = serde_json::from_value(json!({
        "_id": "k", "booking_id": booking.id, "property_id": "p", "kind": "booking_confirmed", "version": 1,
        "status": "sent",
        "message_id": format!("<{MESSAGE_ID}>"), "attempts": 1, "maybe_duplicate": 0, "sender": Uuid::nil(),
        "created_at": booking.created_at, "updated_at": booking.created_at,
    }))
    .unwrap();
    let records = Records {
        mart_bookings: vec![crate::MartBooking {
            booking_id: booking.id.as_uuid(),
            rev: 1,
            status: "confirmed".to_owned(),
            room_amount: Some(20),
            tax_amount: Some(0),
            total_amount: Some(20),
        }],
        mart_bed_nights: [10, 11]
            .map(|day| crate::MartBedNight {
                booking_id: booking.id.as_uuid(),
                bed_id: "b1".to_owned(),
                night: night(day),
            })
            .to_vec(),
        mart_events: vec![Uuid::from_u128(2)],
        ledgers: Vec::new(),
        mart_payments: Vec::new(),
        mart_notifications: 1,
        claims: vec![
            claim("b1", 10),
            claim("b1", 11),
            StoredClaim { key: format!("p|b9|{}", night(10)), booking: format!("block:{}", block().id) },
        ],
        blocks: vec![block()],
        notifications: vec![row],
        account_mails: Vec::new(),
        bookings: vec![booking],
        mart_text: String::new(),
    };
    let mail = Mail { message_id: MESSAGE_ID.to_owned(), to: "ada@example.com".to_owned(), ..Mail::default() };
    (records, vec![mail])
}

fn expected() -> Expected {
    Expected { accepted: vec![booking().id.as_uuid()], mails: true, mail_copies: 1, mart: true }
}

#[test]
fn consistent_records_have_no_violation() {
    let (records, mails) = consistent();
    assert_eq!(violations(&records, &mails, &expected()), Vec::<String>::new());
}

/// One corruption of the records, and a word that the violation must contain.
type Corruption = (&'static str, fn(&mut Records, &mut Vec<Mail>));

#[test]
fn every_corruption_is_detected() {
    let corruptions: Vec<Corruption> = vec![
        ("not stored", |records, _| records.bookings.clear()),
        ("not decided", |records, _| records.bookings[0].status = Status::Requested),
        ("double booking", |records, _| {
            let mut other = records.bookings[0].clone();
            other.id = pvt_domain::ids::BookingId::from_uuid(Uuid::from_u128(9));
            records.bookings.push(other);
        }),
        ("beds for", |records, _| records.bookings[0].stays[0].guests = 2),
        ("no bed-night", |records, _| records.bookings[0].stays.clear()),
        ("without a claim", |records, _| drop(records.claims.remove(0))),
        ("claimed by", |records, _| records.claims[0].booking = Uuid::from_u128(9).to_string()),
        ("and not sold", |records, _| records.claims.push(claim("b2", 10))),
        ("cannot be read", |records, _| records.claims[0].key = "p|b1".to_owned()),
        ("at revision", |records, _| records.bookings[0].rev = 2),
        ("entry 1", |records, _| records.bookings[0].history[0].from = Status::Confirmed),
        ("occur twice", |records, _| records.bookings[0].history[0].event_id = Uuid::from_u128(1)),
        ("names guests", |records, _| {
            let guest = json!({ "stay_id": 0, "position": 1, "first_name": "Bo" });
            records.bookings[0].rooming_list = vec![serde_json::from_value(guest).unwrap()];
        }),
        ("rejection", |records, _| records.bookings[0].rejection = Some(Rejection::Closed)),
        ("not in the notification ledger", |records, _| records.notifications.clear()),
        ("another address", |_, mails| mails[0].to = "eve@example.com".to_owned()),
        ("has no revision behind it", |records, _| records.notifications[0].kind = NotificationKind::BookingCancelled),
        ("arrived 2 times", |_, mails| mails.push(mails[0].clone())),
        ("was not notified", |_, mails| mails.clear()),
        ("was not notified", |records, _| records.notifications[0].status = NotificationStatus::Sending),
        ("BookingConfirmed after the cancellation", |records, mails| {
            let mut row = records.notifications[0].clone();
            (row.kind, row.message_id) = (NotificationKind::BookingCancelled, "<m2@pvt.test>".to_owned());
            records.notifications.push(row);
            mails.insert(0, Mail { message_id: "m2@pvt.test".to_owned(), ..mails[0].clone() });
        }),
        ("and not blocked", |records, _| records.blocks.clear()),
        ("is blocked to", |records, _| drop(records.claims.pop())),
        ("and held by", |records, _| records.blocks[0].bed_ids = vec!["b1".into()]),
        ("after [Active]", |records, _| records.blocks[0].rev = 2),
        ("entry 2", |records, _| then(&mut records.bookings[0], Action::Cancel, Status::Confirmed)),
        ("which does not name it", |records, _| then(&mut records.bookings[0], Action::Move, Status::Confirmed)),
        ("is named as reassigned", |records, _| {
            records.bookings[0].history[0].moved = vec![pvt_domain::ids::BookingId::from_uuid(Uuid::from_u128(9))]
        }),
        ("was changed and its guest was not notified", |records, _| {
            then(&mut records.bookings[0], Action::Modify, Status::Confirmed);
            records.bookings[0].history[1].changes = Some(Box::new(Changes { guest: true, ..Changes::default() }));
        }),
        ("after a no-show", |records, mails| {
            let mut row = records.notifications[0].clone();
            (row.kind, row.message_id) = (NotificationKind::BookingNoShow, "<m2@pvt.test>".to_owned());
            records.notifications.push(row);
            then(&mut records.bookings[0], Action::NoShow, Status::NoShow);
            mails.insert(0, Mail { message_id: "m2@pvt.test".to_owned(), ..mails[0].clone() });
        }),
        ("fact_booking lacks", |records, _| records.mart_bookings[0].rev = 0),
        ("fact_booking lacks", |records, _| records.mart_bookings[0].total_amount = None),
        ("fact_booking lacks", |records, _| records.mart_bookings[0].tax_amount = Some(1)),
        ("fact_bed_night lacks", |records, _| drop(records.mart_bed_nights.pop())),
        ("fact_booking_event has", |records, _| records.mart_events.push(Uuid::from_u128(7))),
        ("duplicate rows", |records, _| records.mart_events.push(Uuid::from_u128(2))),
        ("fact_notification", |records, _| records.mart_notifications = 0),
    ];
    for (word, corrupt) in corruptions {
        let (mut records, mut mails) = consistent();
        corrupt(&mut records, &mut mails);
        let found = violations(&records, &mails, &expected());
        assert!(found.iter().any(|violation| violation.contains(word)), "`{word}` is not in {found:?}");
    }
}

/// A confirmed booking whose address was corrected, after all its mails.
fn readdressed() -> (Records, Vec<Mail>) {
    let (mut records, mut mails) = consistent();
    let booking = &mut records.bookings[0];
    then(booking, Action::Modify, Status::Confirmed);
    let changes = Changes { guest: true, links_revoked: true, ..Changes::default() };
    booking.history[1].changes = Some(Box::new(changes));
    booking.guest.email = "new@example.com".to_owned();
    records.mart_bookings[0].rev = 2;
    records.mart_events.push(booking.history[1].event_id);
    for (number, kind, to) in [
        (2, NotificationKind::BookingModified, "new@example.com"),
        (3, NotificationKind::AddressChanged, "ada@example.com"),
    ] {
        let mut row = records.notifications[0].clone();
        (row.kind, row.version, row.message_id) = (kind, 2, format!("<m{number}@pvt.test>"));
        records.notifications.push(row);
        let message_id = format!("m{number}@pvt.test");
        mails.push(Mail { message_id, to: to.to_owned(), ..Mail::default() });
    }
    records.mart_notifications = 3;
    (records, mails)
}

#[test]
fn every_corruption_of_a_notice_is_detected() {
    let (records, mails) = readdressed();
    assert_eq!(violations(&records, &mails, &expected()), Vec::<String>::new());
    let corruptions: Vec<Corruption> = vec![
        ("was not told", |_, mails| drop(mails.pop())),
        ("told twice", |records, mails| {
            let mut row = records.notifications[2].clone();
            row.message_id = "<m4@pvt.test>".to_owned();
            records.notifications.push(row);
            mails.push(Mail { message_id: "m4@pvt.test".to_owned(), ..mails[2].clone() });
        }),
        ("after the address was told", |_, mails| mails.swap(0, 2)),
        ("no mails to miss", |_, mails| mails[2].to = "eve@example.com".to_owned()),
        ("no mails to miss", |_, mails| mails[2].to = "new@example.com".to_owned()),
        ("is not recorded", |records, _| records.notifications[2].status = NotificationStatus::Sending),
        ("no promised address", |records, _| records.notifications[2].version = 1),
        ("says too much", |_, mails| mails[2].text = "see /pay?token=abc".to_owned()),
        ("says too much", |_, mails| mails[2].html = "now to new@example.com".to_owned()),
    ];
    for (word, corrupt) in corruptions {
        let (mut records, mut mails) = readdressed();
        corrupt(&mut records, &mut mails);
        let found = violations(&records, &mails, &expected());
        assert!(found.iter().any(|violation| violation.contains(word)), "`{word}` is not in {found:?}");
    }
    let (mut records, mails) = readdressed();
    records.bookings[0].history[1].changes = None;
    let found = violations(&records, &mails, &expected());
    assert!(found.iter().any(|violation| violation.contains("no promised address")), "{found:?}");
}

#[test]
fn leaks_are_found_and_masked() {
    let secrets = ["ada@example.com".to_owned()];
    assert_eq!(leaks("all is well\nto ada@example.com now", &secrets), ["to ▇ now"]);
}
