//! What may be sent, by whom, and what it comes to upon a booking.

use super::{Draft, Wanted, read};
use crate::json::parse;
use crate::reader::{At, Reader};
use chrono::NaiveDate;
use pvt_domain::booking::Booking;
use pvt_domain::demo::hostel;
use pvt_domain::intake::FieldError;
use serde_json::{Value, json};

fn booking() -> Booking {
    let stay = |arrival: &str, departure: &str| {
        json!({ "room_type_id": "dorm-6-mixed", "arrival": arrival,
        "departure": departure, "guests": 2, "assigned_beds": ["d6a-1", "d6a-2"] })
    };
    serde_json::from_value(json!({
        "_id": "11111111-2222-5333-8444-555555555555", "reference": "PVT-0000000000", "status": "confirmed", "rev": 1,
        "property_id": "pvt-montreal", "rate_plan_id": "standard", "source": "direct",
        "stays": [stay("2027-01-10", "2027-01-13"), stay("2027-01-20", "2027-01-22")],
        "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com", "phone": "+15145550100" },
        "payment_status": "pay_on_arrival", "fingerprint": "f",
        "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:01.000Z", "history": [],
    }))
    .unwrap()
}

fn judge(body: &Value, today: &str, by_staff: bool, whole: bool) -> Result<Wanted, Vec<FieldError>> {
    let text = body.to_string();
    let node = parse(text.as_bytes()).unwrap();
    let mut reader = Reader::default();
    let fields = reader.object(&node, &At::Root, super::BODY).unwrap();
    let draft: Draft = read(fields, &mut reader, whole);
    let faults = reader.into_faults();
    let today: NaiveDate = today.parse().unwrap();
    if faults.is_empty() { draft.judge(&booking(), &hostel(), today, by_staff) } else { Err(faults) }
}

fn faults(body: &Value, by_staff: bool, whole: bool) -> Vec<(String, &'static str)> {
    judge(body, "2026-12-01", by_staff, whole)
        .unwrap_err()
        .into_iter()
        .map(|fault| (fault.pointer, fault.code))
        .collect()
}

fn owned<const N: usize>(expected: [(&str, &'static str); N]) -> Vec<(String, &'static str)> {
    expected.map(|(pointer, code)| (pointer.to_owned(), code)).into()
}

#[test]
fn what_is_not_sent_stays_as_it_is() {
    let wanted = judge(
        &json!({ "stays": [{ "departure": "2027-01-14" }, {}], "guest": { "email": "a@b.example" } }),
        "2026-12-01",
        false,
        false,
    )
    .unwrap();
    let stays = wanted.stays.unwrap();
    assert_eq!(
        (stays[0].continues, stays[0].stay.arrival.to_string(), stays[0].stay.departure.to_string()),
        (Some(0), "2027-01-10".into(), "2027-01-14".into())
    );
    assert_eq!(stays[1].stay, booking().stays[1].as_request());
    let guest = wanted.guest.unwrap();
    assert_eq!(
        (guest.email.as_str(), guest.last_name.as_str(), guest.phone.as_deref()),
        ("a@b.example", "Lovelace", Some("+15145550100"))
    );
    assert!(wanted.reprice, "a guest pays for what is longer");
    let renamed = judge(&json!({ "guest": { "first_name": "Augusta" } }), "2026-12-01", false, false).unwrap();
    assert!(!renamed.reprice && renamed.stays.is_none());
}

#[test]
fn stays_may_be_added_dropped_and_named() {
    let dropped = judge(&json!({ "stays": [{ "continues": 1 }] }), "2026-12-01", false, false).unwrap().stays.unwrap();
    assert_eq!(
        (dropped.len(), dropped[0].continues, dropped[0].stay.arrival.to_string()),
        (1, Some(1), "2027-01-20".into())
    );
    let more =
        json!({ "room_type_id": "private-twin", "arrival": "2027-02-01", "departure": "2027-02-02", "guests": 1 });
    let added = judge(&json!({ "stays": [{}, {}, more] }), "2026-12-01", false, false).unwrap().stays.unwrap();
    assert_eq!((added.len(), added[2].continues), (3, None));
    let wrong = json!({ "stays": [{ "continues": 1 }, { "continues": 1 }, { "continues": 7, "guests": 1 }] });
    let unknown = [("/stays/1/continues", "unknown_stay"), ("/stays/2/continues", "unknown_stay")];
    assert_eq!(faults(&wrong, false, false)[..2], owned(unknown));
}

#[test]
fn guests_touch_neither_beds_nor_prices_nor_restrictions() {
    let body = json!({ "stays": [{ "beds": ["d6a-3", "d6a-4"] }, {}], "rate_plan_id": "standard", "reprice": false,
        "override_restrictions": true });
    let expected = [
        ("/rate_plan_id", "staff_only"),
        ("/reprice", "staff_only"),
        ("/override_restrictions", "staff_only"),
        ("/stays/0/beds", "staff_only"),
    ];
    assert_eq!(faults(&body, false, false), owned(expected));
    let wanted = judge(&body, "2026-12-01", true, false).unwrap();
    assert!(!wanted.reprice && wanted.override_restrictions);
    assert_eq!(wanted.stays.unwrap()[0].beds.as_ref().map(Vec::len), Some(2));
}

#[test]
fn nobody_sends_what_is_decided() {
    for name in ["price", "status", "role", "rev", "payment", "cancellation_fee"] {
        assert_eq!(faults(&json!({ "reason": "r", name: 1 }), true, false), [(format!("/{name}"), "unknown_field")]);
    }
    assert_eq!(
        faults(&json!({ "stays": [{ "locked": true }] }), true, false),
        owned([("/stays/0/locked", "unknown_field")])
    );
    assert_eq!(faults(&json!({}), true, false), owned([("", "nothing_to_do")]));
}

#[test]
fn what_was_sold_stays_sold() {
    let later = judge(&json!({ "stays": [{ "departure": "2027-01-12" }, {}] }), "2027-01-11", true, false);
    assert!(later.is_ok(), "an arrival that is past and does not change is no fault: {later:?}");
    let moved = judge(&json!({ "stays": [{ "arrival": "2027-01-09" }, {}] }), "2027-01-11", true, false).unwrap_err();
    assert_eq!((moved[0].pointer.as_str(), moved[0].code), ("/stays/0/arrival", "arrival_in_past"));
    assert_eq!(
        faults(&json!({ "stays": [{ "guests": 7 }, {}] }), false, false),
        owned([("/stays", "too_many_guests")])
    );
    assert!(judge(&json!({ "stays": [{ "guests": 7 }, {}] }), "2026-12-01", true, false).is_ok(), "staff may");
}

#[test]
fn the_whole_is_the_whole() {
    let expected = [("/stays", "required"), ("/guest", "required")];
    assert_eq!(faults(&json!({}), false, true), owned(expected));
    let part = json!({ "stays": [{ "guests": 1 }], "guest": { "first_name": "Ada", "last_name": "Lovelace" } });
    let expected = [
        ("/stays/0/room_type_id", "required"),
        ("/stays/0/arrival", "required"),
        ("/stays/0/departure", "required"),
        ("/guest/email", "required"),
    ];
    assert_eq!(faults(&part, false, true), owned(expected));
    let whole = json!({
        "stays": [{ "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-13", "guests": 2 }],
        "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com" },
    });
    let wanted = judge(&whole, "2026-12-01", false, true).unwrap();
    assert_eq!((wanted.stays.unwrap().len(), wanted.guest.unwrap().phone), (1, None));
    assert!(wanted.reprice, "a stay was dropped");
}

#[test]
fn a_quote_prices_what_is_changed_and_nothing_else() {
    let longer = json!([{ "departure": "2027-01-14" }, {}]);
    assert_eq!(
        judge(&json!({ "stays": longer, "quote": "q" }), "2026-12-01", false, false).unwrap().quote.as_deref(),
        Some("q")
    );
    assert_eq!(
        faults(&json!({ "guest": {}, "quote": "q" }), false, false),
        owned([("/quote", "nothing_to_price")]),
        "what was agreed does not fall"
    );
    assert_eq!(
        faults(&json!({ "stays": longer, "quote": "q", "reprice": false }), true, false),
        owned([("/quote", "not_with_reprice")])
    );
}
