//! Modification forms: accepted fields by caller, and the resulting command.

use super::{Modification, ModificationForm};
use crate::form::RequestForm as _;
use crate::form::json::parse;
use crate::form::reader::{Pointer, Reader};
use chrono::NaiveDate;
use pvt_domain::booking::Booking;
use pvt_domain::demo;
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

fn validate(body: &Value, today: &str, by_staff: bool, whole: bool) -> Result<Modification, Vec<FieldError>> {
    if whole { validate_as::<true>(body, today, by_staff) } else { validate_as::<false>(body, today, by_staff) }
}

fn validate_as<const WHOLE: bool>(body: &Value, today: &str, by_staff: bool) -> Result<Modification, Vec<FieldError>> {
    validate_on::<WHOLE>(&booking(), body, today, by_staff)
}

fn validate_on<const WHOLE: bool>(
    booking: &Booking,
    body: &Value,
    today: &str,
    by_staff: bool,
) -> Result<Modification, Vec<FieldError>> {
    let text = body.to_string();
    let node = parse(text.as_bytes()).unwrap();
    let mut reader = Reader::default();
    let form = ModificationForm::<WHOLE>::read(&node, &Pointer::Root, &mut reader);
    let violations = reader.into_violations();
    let today: NaiveDate = today.parse().unwrap();
    if violations.is_empty() {
        form.unwrap().validate(booking, &demo::inventory(), today, by_staff)
    } else {
        Err(violations)
    }
}

fn violations(body: &Value, by_staff: bool, whole: bool) -> Vec<(String, &'static str)> {
    validate(body, "2026-12-01", by_staff, whole)
        .unwrap_err()
        .into_iter()
        .map(|violation| (violation.pointer, violation.code))
        .collect()
}

fn owned<const N: usize>(expected: [(&str, &'static str); N]) -> Vec<(String, &'static str)> {
    expected.map(|(pointer, code)| (pointer.to_owned(), code)).into()
}

#[test]
fn omitted_fields_are_unchanged() {
    let modification = validate(
        &json!({ "stays": [{ "departure": "2027-01-14" }, {}], "guest": { "email": "a@b.example" } }),
        "2026-12-01",
        false,
        false,
    )
    .unwrap();
    let stays = modification.stays.unwrap();
    assert_eq!(
        (stays[0].continues, stays[0].stay.arrival.to_string(), stays[0].stay.departure.to_string()),
        (Some(0), "2027-01-10".into(), "2027-01-14".into())
    );
    assert_eq!(stays[1].stay, booking().stays[1].as_request());
    let guest = modification.guest.unwrap();
    assert_eq!(
        (guest.email.as_str(), guest.last_name.as_str(), guest.phone.as_deref()),
        ("a@b.example", "Lovelace", Some("+15145550100"))
    );
    assert!(modification.reprice, "a guest pays for what is longer");
    let renamed = validate(&json!({ "guest": { "first_name": "Augusta" } }), "2026-12-01", false, false).unwrap();
    assert!(!renamed.reprice && renamed.stays.is_none());
}

#[test]
fn stays_are_added_removed_and_continued() {
    let dropped =
        validate(&json!({ "stays": [{ "continues": 1 }] }), "2026-12-01", false, false).unwrap().stays.unwrap();
    assert_eq!(
        (dropped.len(), dropped[0].continues, dropped[0].stay.arrival.to_string()),
        (1, Some(1), "2027-01-20".into())
    );
    let more =
        json!({ "room_type_id": "private-twin", "arrival": "2027-02-01", "departure": "2027-02-02", "guests": 1 });
    let added = validate(&json!({ "stays": [{}, {}, more] }), "2026-12-01", false, false).unwrap().stays.unwrap();
    assert_eq!((added.len(), added[2].continues), (3, None));
    let wrong = json!({ "stays": [{ "continues": 1 }, { "continues": 1 }, { "continues": 7, "guests": 1 }] });
    let unknown = [("/stays/1/continues", "unknown_stay"), ("/stays/2/continues", "unknown_stay")];
    assert_eq!(violations(&wrong, false, false)[..2], owned(unknown));
}

#[test]
fn beds_prices_and_restrictions_are_staff_only() {
    let body = json!({ "stays": [{ "beds": ["d6a-3", "d6a-4"] }, {}], "rate_plan_id": "standard", "reprice": false,
        "override_restrictions": true });
    let expected = [
        ("/rate_plan_id", "staff_only"),
        ("/reprice", "staff_only"),
        ("/override_restrictions", "staff_only"),
        ("/stays/0/beds", "staff_only"),
    ];
    assert_eq!(violations(&body, false, false), owned(expected));
    let modification = validate(&body, "2026-12-01", true, false).unwrap();
    assert!(!modification.reprice && modification.override_restrictions);
    assert_eq!(modification.stays.unwrap()[0].beds.as_ref().map(Vec::len), Some(2));
}

#[test]
fn decided_fields_are_refused() {
    for name in ["price", "status", "role", "rev", "payment", "cancellation_fee"] {
        assert_eq!(
            violations(&json!({ "reason": "r", name: 1 }), true, false),
            [(format!("/{name}"), "unknown_field")]
        );
    }
    assert_eq!(
        violations(&json!({ "stays": [{ "locked": true }] }), true, false),
        owned([("/stays/0/locked", "unknown_field")])
    );
    assert_eq!(violations(&json!({}), true, false), owned([("", "nothing_to_do")]));
}

#[test]
fn unchanged_stays_are_not_checked_again() {
    let later = validate(&json!({ "stays": [{ "departure": "2027-01-12" }, {}] }), "2027-01-11", true, false);
    assert!(later.is_ok(), "an arrival that is past and does not change is no fault: {later:?}");
    let moved =
        validate(&json!({ "stays": [{ "arrival": "2027-01-09" }, {}] }), "2027-01-11", true, false).unwrap_err();
    assert_eq!((moved[0].pointer.as_str(), moved[0].code), ("/stays/0/arrival", "arrival_in_past"));
    assert_eq!(
        violations(&json!({ "stays": [{ "guests": 7 }, {}] }), false, false),
        owned([("/stays", "too_many_guests")])
    );
    assert!(validate(&json!({ "stays": [{ "guests": 7 }, {}] }), "2026-12-01", true, false).is_ok(), "staff may");
}

#[test]
fn put_requires_every_field() {
    let expected = [("/stays", "required"), ("/guest", "required")];
    assert_eq!(violations(&json!({}), false, true), owned(expected));
    let part = json!({ "stays": [{ "guests": 1 }], "guest": { "first_name": "Ada" } });
    let expected =
        [("/stays/0/room_type_id", "required"), ("/stays/0/arrival", "required"), ("/stays/0/departure", "required")];
    assert_eq!(violations(&part, false, true), owned(expected));
    let whole = json!({
        "stays": [{ "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-13", "guests": 2 }],
        "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com" },
    });
    let modification = validate(&whole, "2026-12-01", false, true).unwrap();
    assert_eq!((modification.stays.unwrap().len(), modification.guest.unwrap().phone), (1, None));
    assert!(modification.reprice, "a stay was dropped");
}

#[test]
fn guest_keeps_one_name_and_staff_may_leave_out_the_address() {
    let renamed =
        validate(&json!({ "guest": { "last_name": " ", "first_name": "Zoe\u{308} " } }), "2026-12-01", false, false);
    let guest = renamed.unwrap().guest.unwrap();
    assert_eq!(
        (guest.first_name.as_str(), guest.last_name.as_str(), guest.email.as_str()),
        ("Zoë", "", "ada@example.com")
    );
    let nameless = json!({ "guest": { "last_name": "", "first_name": "" } });
    assert_eq!(violations(&nameless, true, false), owned([("/guest/first_name", "required")]));
    let whole = json!({
        "stays": [{ "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-13", "guests": 2 }],
        "guest": { "last_name": "Lovelace", "phone": "001 (514) 555-0100" },
    });
    assert_eq!(violations(&whole, false, true), owned([("/guest/email", "required")]));
    let guest = validate(&whole, "2026-12-01", true, true).unwrap().guest.unwrap();
    assert_eq!((guest.mail_address(), guest.phone.as_deref()), (None, Some("+15145550100")));
}

#[test]
fn null_clears_what_can_be_cleared_and_is_refused_elsewhere() {
    let cleared = json!({
        "stays": [{ "gender": null, "youngest_age": null }, {}],
        "guest": { "first_name": null, "phone": null, "locale": null },
    });
    let modification = validate(&cleared, "2026-12-01", false, false).unwrap();
    let guest = modification.guest.unwrap();
    assert_eq!((guest.full_name().as_str(), guest.phone, guest.locale), ("Lovelace", None, None));
    assert_eq!(modification.stays.unwrap()[0].stay, booking().stays[0].as_request());
    assert_eq!(
        violations(&json!({ "guest": { "email": null } }), false, false),
        owned([("/guest/email", "required")]),
        "a guest's own booking needs an address"
    );
    let by_staff = validate(&json!({ "guest": { "email": null } }), "2026-12-01", true, false).unwrap();
    assert_eq!(by_staff.guest.unwrap().mail_address(), None);
    for name in [
        "stays",
        "guest",
        "rate_plan_id",
        "reprice",
        "override_restrictions",
        "waive_change_fees",
        "quote",
        "reason",
        "dry_run",
    ] {
        let body = json!({ "guest": { "first_name": "Ada" }, "reprice": true, "stays": [{}, {}], name: null });
        assert_eq!(violations(&body, true, false), [(format!("/{name}"), "null_not_allowed")]);
    }
    for name in ["continues", "room_type_id", "arrival", "departure", "guests", "beds"] {
        let body = json!({ "stays": [{ name: null }, {}] });
        assert_eq!(violations(&body, true, false), [(format!("/stays/0/{name}"), "null_not_allowed")]);
    }
}

#[test]
fn put_takes_null_for_none() {
    let stay = json!({ "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-13",
        "guests": 2, "gender": null, "youngest_age": null });
    let whole = json!({ "stays": [stay],
        "guest": { "first_name": "Ada", "last_name": null, "email": "ada@example.com", "phone": null } });
    let guest = validate(&whole, "2026-12-01", false, true).unwrap().guest.unwrap();
    assert_eq!((guest.last_name.as_str(), guest.phone), ("", None));
    let mut unknown = whole;
    unknown["stays"][0]["arrival"] = Value::Null;
    unknown["reprice"] = Value::Null;
    let expected = [("/reprice", "null_not_allowed"), ("/stays/0/arrival", "required")];
    let mut found = violations(&unknown, true, true);
    found.sort();
    assert_eq!(found, owned(expected));
}

#[test]
fn quote_prices_only_changed_stays() {
    let longer = json!([{ "departure": "2027-01-14" }, {}]);
    assert_eq!(
        validate(&json!({ "stays": longer, "quote": "q" }), "2026-12-01", false, false).unwrap().quote.as_deref(),
        Some("q")
    );
    assert_eq!(
        violations(&json!({ "guest": {}, "quote": "q" }), false, false),
        owned([("/quote", "nothing_to_price")]),
        "what was agreed does not fall"
    );
    assert_eq!(
        violations(&json!({ "stays": longer, "quote": "q", "reprice": false }), true, false),
        owned([("/quote", "not_with_reprice")])
    );
}

#[test]
fn ages_and_exemptions_do_not_price_nights_anew() {
    for by_staff in [true, false] {
        let body = json!({ "stays": [{ "guest_ages": [4] }, { "youngest_age": 5 }] });
        let modification = validate(&body, "2026-12-01", by_staff, false).unwrap();
        assert!(!modification.reprice);
        let stays = modification.stays.unwrap();
        assert_eq!((stays[0].stay.guest_ages.as_slice(), stays[0].stay.youngest_age), (&[4][..], None));
        assert_eq!((stays[1].stay.guest_ages.len(), stays[1].stay.youngest_age), (0, Some(5)));
    }
    let body = json!({ "stays": [{ "guest_ages": [4, 5, 6], "youngest_age": 5 },
        { "tax_exemptions": [{ "code": "gst", "reason": "business", "guests": 1 }] }] });
    let expected = owned([
        ("/stays/0/guest_ages", "too_many"),
        ("/stays/0/youngest_age", "not_the_youngest"),
        ("/stays/1/tax_exemptions/0/code", "unknown_tax"),
    ]);
    assert_eq!(violations(&body, true, false), expected);
}

#[test]
fn absent_guests_are_declared_no_longer() {
    let mut booking = booking();
    booking.stays[0].guests = 3;
    booking.stays[0].guest_ages = vec![4, 9];
    let exempt = json!([{ "code": "gone", "reason": "disability", "guests": 2 }]);
    booking.stays[0].tax_exemptions = serde_json::from_value(exempt).unwrap();
    let found = |stay: Value| -> Vec<(String, &'static str)> {
        let result = validate_on::<false>(&booking, &json!({ "stays": [stay, {}] }), "2026-12-01", false);
        let violations = result.err().unwrap_or_default();
        violations.into_iter().map(|violation| (violation.pointer, violation.code)).collect()
    };
    let expected =
        owned([("/stays/0/guest_ages", "too_many"), ("/stays/0/tax_exemptions/0/guests", "too_many_guests")]);
    assert_eq!(found(json!({ "guests": 1 })), expected);
    assert_eq!(found(json!({ "guests": 1, "guest_ages": [9], "tax_exemptions": null })), []);
    assert_eq!(found(json!({ "guests": 2 })), []);
    assert_eq!(found(json!({ "guest_ages": [4] })), [], "what staff declared is no fault of the guest");
    let other = json!({ "tax_exemptions": [{ "code": "gone", "reason": "disability", "guests": 1 }] });
    assert_eq!(found(other), owned([("/stays/0/tax_exemptions/0/code", "unknown_tax")]));
}
