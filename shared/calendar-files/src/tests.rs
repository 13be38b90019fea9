//! Files as a calendar reads them, with a reader written from RFC 5545 alone.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::text::{lines, one_line};
use super::{CalendarFile, Organizer};
use chrono::NaiveDate;
use proptest::prelude::*;
use pvt_domain::booking::{Booking, Status};
use pvt_domain::demo;
use pvt_domain::inventory::Property;
use pvt_domain::timestamp::Timestamp;
use serde_json::json;

const ID: &str = "11111111-2222-5333-8444-555555555555";

fn at(text: &str) -> Timestamp {
    chrono::DateTime::parse_from_rfc3339(text).unwrap().to_utc().into()
}

fn property() -> Property {
    Property {
        name: "PVT Montréal".to_owned(),
        address: "1 rue de la Paix, Montréal".to_owned(),
        ..demo::inventory().property
    }
}

/// Two guests in beds of one dormitory, with the same dates.
fn confirmed() -> Booking {
    let stay = json!({ "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-13",
        "guests": 1, "assigned_beds": ["d6a-1"] });
    serde_json::from_value(json!({
        "_id": ID, "reference": "PVT-0000000000", "status": "confirmed", "rev": 1,
        "property_id": "pvt-montreal", "rate_plan_id": "standard", "source": "direct", "stays": [stay, stay],
        "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com", "locale": "en" },
        "payment_status": "pay_on_arrival", "fingerprint": "f",
        "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:01.000Z", "history": [],
    }))
    .unwrap()
}

fn with_status(status: Status) -> Booking {
    Booking { status, ..confirmed() }
}

/// The booking with a third stay in February.
fn with_later_stay() -> Booking {
    let mut booking = confirmed();
    let mut later = booking.stays[0].clone();
    (later.arrival, later.departure) = ("2027-02-01".parse().unwrap(), "2027-02-02".parse().unwrap());
    booking.stays.push(later);
    booking
}

fn file(booking: &Booking, property: &Property) -> CalendarFile {
    let organizer = Organizer::of_mailbox("PVT Booking <bookings@pvt.test>");
    CalendarFile::of(booking, property, &organizer, at("2026-12-02T08:30:00Z"))
}

/// A content line: name, parameters, value.
#[derive(Debug, PartialEq, Eq)]
struct ContentLine {
    name: String,
    parameters: Vec<String>,
    value: String,
}

/// The content lines of a file. Checks what RFC 5545 §3.1 demands of every line.
fn read(text: &str) -> Vec<ContentLine> {
    assert!(text.ends_with("\r\n"), "the last line ends, too");
    for line in text.strip_suffix("\r\n").unwrap().split("\r\n") {
        assert!(line.len() <= 75, "{} octets: {line}", line.len());
        assert!(!line.is_empty() && !line.chars().any(char::is_control), "{line:?}");
    }
    let unfolded = text.replace("\r\n ", "");
    unfolded.strip_suffix("\r\n").unwrap().split("\r\n").map(content_line).collect()
}

fn content_line(line: &str) -> ContentLine {
    let mut is_quoted = false;
    let unquoted = |separator: char| {
        move |c: char| {
            is_quoted ^= c == '"';
            !is_quoted && c == separator
        }
    };
    let value_at = line.find(unquoted(':')).unwrap_or_else(|| panic!("no value: {line}"));
    let mut head = line[..value_at].split(unquoted(';')).map(str::to_owned);
    ContentLine { name: head.next().unwrap(), parameters: head.collect(), value: line[value_at + 1..].to_owned() }
}

fn unescaped(value: &str) -> String {
    let mut text = String::new();
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some('n' | 'N') => text.push('\n'),
                Some(escaped @ ('\\' | ',' | ';')) => text.push(escaped),
                other => panic!("no escape: {other:?} in {value}"),
            },
            ',' | ';' => panic!("unescaped: {value}"),
            c => text.push(c),
        }
    }
    text
}

fn values<'l>(lines: &'l [ContentLine], name: &str) -> Vec<&'l str> {
    lines.iter().filter(|line| line.name == name).map(|line| line.value.as_str()).collect()
}

#[test]
fn confirmed_stays_with_the_same_dates_are_one_event() {
    let file = file(&confirmed(), &property());
    assert_eq!(file.name(), "pvt-0000000000.ics");
    assert_eq!(file.content_type(), "text/calendar; charset=utf-8; method=PUBLISH");
    let text = file.into_text();
    let lines = read(&text);
    let expected = [
        ("VERSION", "2.0"),
        ("METHOD", "PUBLISH"),
        ("BEGIN", "VCALENDAR"),
        ("UID", ID),
        ("DTSTAMP", "20261202T083000Z"),
        ("LAST-MODIFIED", "20261201T120001Z"),
        ("DTSTART", "20270110T200000Z"),
        ("DTEND", "20270113T160000Z"),
        ("SEQUENCE", "1"),
        ("STATUS", "CONFIRMED"),
        ("SUMMARY", "PVT Montréal – PVT-0000000000"),
        ("LOCATION", "1 rue de la Paix\\, Montréal"),
        (
            "DESCRIPTION",
            "Booking reference: PVT-0000000000\\nCheck-in: Sunday 10 January 2027\\, from 15:00\\n\
                Check-out: Wednesday 13 January 2027\\, until 11:00",
        ),
        ("ORGANIZER", "mailto:bookings@pvt.test"),
    ];
    for (name, value) in expected {
        assert_eq!(values(&lines, name).first(), Some(&value), "{name}");
    }
    assert_eq!(values(&lines, "UID").len(), 1);
    assert!(values(&lines, "ATTENDEE").is_empty(), "RFC 5546 forbids it in a PUBLISH");
    assert!(!text.contains("Lovelace") && !text.contains("ada@"), "a file that is passed on names no guest");
}

#[test]
fn status_follows_the_booking() {
    for (status, expected, method) in [
        (Status::Requested, "TENTATIVE", "PUBLISH"),
        (Status::Held, "TENTATIVE", "PUBLISH"),
        (Status::CheckedIn, "CONFIRMED", "PUBLISH"),
        (Status::CheckedOut, "CONFIRMED", "PUBLISH"),
        (Status::NoShow, "CANCELLED", "CANCEL"),
        (Status::Cancelled, "CANCELLED", "CANCEL"),
        (Status::Expired, "CANCELLED", "CANCEL"),
        (Status::Rejected, "CANCELLED", "CANCEL"),
    ] {
        let file = file(&with_status(status), &property());
        assert!(file.content_type().ends_with(&format!("; method={method}")), "{status:?}");
        let lines = read(&file.into_text());
        assert_eq!((values(&lines, "STATUS"), values(&lines, "METHOD")), (vec![expected], vec![method]), "{status:?}");
    }
}

#[test]
fn cancel_has_one_uid_only() {
    let booking = Booking { status: Status::Cancelled, ..with_later_stay() };
    let file = file(&booking, &property());
    assert!(file.content_type().ends_with("; method=PUBLISH"), "events of a CANCEL have one UID");
    let lines = read(&file.into_text());
    assert_eq!(values(&lines, "UID"), [ID.to_owned(), format!("{ID}-1")]);
    assert_eq!(values(&lines, "STATUS"), ["CANCELLED"; 2]);
    assert_eq!(values(&lines, "METHOD"), ["PUBLISH"]);
}

#[test]
fn dropped_stay_is_cancelled_and_the_kept_one_updated() {
    let before = with_later_stay();
    let mut after = confirmed();
    after.stays[0].departure = "2027-01-12".parse().unwrap();
    after.stays.truncate(1);
    after.rev = 2;
    let changes = serde_json::to_value(after.changes_since(&before)).unwrap();
    after.history.push(
        serde_json::from_value(json!({ "rev": 2, "at": "2026-12-01T13:00:00.000Z", "action": "modify",
            "from": "confirmed", "to": "confirmed", "command_id": ID, "event_id": ID, "actor": "guest",
            "changes": changes }))
        .unwrap(),
    );
    let lines = read(&file(&after, &property()).into_text());
    assert_eq!(values(&lines, "UID"), [ID.to_owned(), format!("{ID}-1")]);
    assert_eq!(values(&lines, "STATUS"), ["CONFIRMED", "CANCELLED"]);
    assert_eq!(values(&lines, "SEQUENCE"), ["2", "2"]);
    assert_eq!(values(&lines, "DTEND"), ["20270112T160000Z", "20270202T160000Z"]);
    assert_eq!(values(&lines, "LAST-MODIFIED"), ["20261201T130000Z"; 2]);
    assert!(values(&lines, "DESCRIPTION")[1].contains("1 February 2027"), "each event describes its own stay");
}

#[test]
fn description_is_in_the_language_of_the_guest_and_else_of_the_property() {
    let mut booking = confirmed();
    let description = |booking: &Booking, property: &Property| {
        let lines = read(&file(booking, property).into_text());
        unescaped(values(&lines, "DESCRIPTION")[0])
    };
    let french = "Référence de réservation\u{a0}: PVT-0000000000\n\
        Arrivée\u{a0}: dimanche 10 janvier 2027, à partir de 15\u{a0}h\u{a0}00\n\
        Départ\u{a0}: mercredi 13 janvier 2027, jusqu’à 11\u{a0}h\u{a0}00";
    booking.guest.locale = Some("fr-CA".to_owned());
    assert_eq!(description(&booking, &property()), french);
    booking.guest.locale = None;
    let locales = |tag: &str| Property { locales: vec![tag.to_owned()], ..property() };
    assert_eq!(description(&booking, &locales("fr")), french);
    assert!(description(&booking, &locales("en")).starts_with("Booking reference: "));
}

#[test]
fn check_in_that_clocks_skip_begins_after_the_gap() {
    let check_in = NaiveDate::from_ymd_opt(2027, 3, 14).unwrap();
    let mut booking = confirmed();
    booking.stays.truncate(1);
    (booking.stays[0].arrival, booking.stays[0].departure) = (check_in, check_in.succ_opt().unwrap());
    let property = Property { check_in_from: "02:30:00".parse().unwrap(), ..property() };
    let lines = read(&file(&booking, &property).into_text());
    // Clocks in Montréal jump from 2:00 to 3:00 EDT.
    assert_eq!(values(&lines, "DTSTART"), ["20270314T070000Z"]);
    assert_eq!(values(&lines, "DTEND"), ["20270315T150000Z"]);
}

#[test]
fn organizer_is_an_address_in_a_uri() {
    for (mailbox, uri) in [
        ("bookings@pvt.test", "mailto:bookings@pvt.test"),
        ("PVT <Paris> <desk+paris@pvt.test>", "mailto:desk+paris@pvt.test"),
        ("a?b&c%d@pvt.test", "mailto:a%3Fb%26c%25d@pvt.test"),
    ] {
        let file =
            CalendarFile::of(&confirmed(), &property(), &Organizer::of_mailbox(mailbox), at("2026-12-02T08:30:00Z"));
        assert_eq!(values(&read(&file.into_text()), "ORGANIZER"), [uri], "{mailbox}");
    }
}

#[test]
fn hostile_name_adds_no_line() {
    let property = Property {
        name: "A\"B\r\nATTENDEE:mailto:eve@example.com".to_owned(),
        address: "x\nBEGIN:VALARM\r\u{2028}END:VALARM".to_owned(),
        ..property()
    };
    let lines = read(&file(&confirmed(), &property).into_text());
    assert!(values(&lines, "ATTENDEE").is_empty() && !values(&lines, "BEGIN").contains(&"VALARM"), "{lines:?}");
    assert_eq!(values(&lines, "LOCATION"), ["x\\nBEGIN:VALARM\\nEND:VALARM"]);
    let organizer = lines.iter().find(|line| line.name == "ORGANIZER").unwrap();
    assert_eq!(organizer.parameters, ["CN=\"A'B ATTENDEE:mailto:eve@example.com\""]);
}

/// Text with what the format gives a meaning, and characters of one to four octets.
fn typed() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        "\\",
        ",",
        ";",
        ":",
        "\"",
        "^",
        "^n",
        "\\n",
        "\r\n",
        "\n",
        "\r",
        "\t",
        "\u{85}",
        "\u{2028}",
        "=",
        "é",
        "客",
        "👩\u{200d}👩\u{200d}👧",
        "שלום",
        "\u{202e}",
        "\u{0}",
        "\u{7f}",
        " ",
        "  ",
    ]);
    let piece = prop_oneof![special.prop_map(str::to_owned), any::<char>().prop_map(String::from), "[a-z]{1,20}"];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_reads_back_as_written(name in typed(), address in typed()) {
        let property = Property { name, address, ..property() };
        let lines_of_file = read(&file(&confirmed(), &property).into_text());
        let summary = format!("{} – PVT-0000000000", one_line(&property.name));
        prop_assert_eq!(values(&lines_of_file, "SUMMARY").into_iter().map(unescaped).collect::<Vec<_>>(), [summary]);
        let location = lines(&property.address);
        prop_assert_eq!(values(&lines_of_file, "LOCATION").into_iter().map(unescaped).collect::<Vec<_>>(), [location]);
        let organizer = lines_of_file.iter().find(|line| line.name == "ORGANIZER").unwrap();
        prop_assert_eq!(organizer.parameters.len(), 1);
        let common_name = organizer.parameters[0].strip_prefix("CN=").unwrap();
        let common_name = common_name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap();
        prop_assert!(!common_name.contains('"'));
        prop_assert_eq!(common_name.replace("^^", "^"), one_line(&property.name).replace('"', "'"));
        // Begin and end of calendar and event, four lines of the calendar, eleven of the event.
        prop_assert_eq!(lines_of_file.len(), 4 + 4 + 11);
    }

    #[test]
    fn text_keeps_its_words(text in typed()) {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        prop_assert_eq!(words(&lines(&text)), words(&one_line(&text)));
        prop_assert_eq!(lines(&lines(&text)), lines(&text));
    }
}
