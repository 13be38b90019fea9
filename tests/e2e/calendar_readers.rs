//! Calendar files of mails and downloads, read by three libraries that know nothing of the product. Each value must
//! equal what the API says of the booking and its property.
//!
//! Ignored by default, because it needs the libraries, which `tests/calendar-readers/run` installs.

use crate::harness::{AcceptedBooking, ApiResponse, Expectations, Stack, StackBuilder};
use anyhow::{Context, Result, ensure};
use chrono::{Days, NaiveDate, NaiveTime, SecondsFormat, TimeZone as _};
use pvt_domain::inventory::{Inventory, Property};
use pvt_testkit::{DORM, booking_body, days_from_now, dormitory};
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/calendar-readers");
/// Longest run of one reader.
const RUN_LIMIT: Duration = Duration::from_secs(60);

/// Names and addresses with what the format gives a meaning, several scripts, and more than one line of the file.
/// Without a backslash before an `n`, which `node-ical` takes for a line break, and `^`, which it does not decode.
const PROPERTIES: [(&str, &str, &str, &str); 3] = [
    (
        "punctuated",
        "America/Toronto",
        "Chez \"Ada\", Bob; & Cie: l’auberge = 100 % – une \\ deux",
        "1, rue de la Paix; 2e étage\nMontréal, QC\nCanada",
    ),
    ("right-to-left", "Asia/Tokyo", "אכסניית השלום 👩\u{200d}👩\u{200d}👧 دار الضيافة", "רחוב יפו 97, ירושלים"),
    (
        "long",
        "Pacific/Auckland",
        "青年旅舍青年旅舍青年旅舍青年旅舍青年旅舍青年旅舍青年旅舍青年旅舍青年旅舍青年旅舍🏨",
        "Très longue adresse, ééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé, fin",
    ),
];

fn inventories() -> impl Iterator<Item = Inventory> {
    PROPERTIES.into_iter().map(|(id, zone, name, address)| {
        let mut inventory = dormitory(id, 4);
        let property = &mut inventory.property;
        (property.name, property.address) = (name.to_owned(), address.to_owned());
        property.time_zone = zone.parse().unwrap();
        inventory
    })
}

/// A file, and what it must say.
struct Received {
    place: String,
    content_type: String,
    text: String,
    expected: Value,
}

/// What a file about a booking must say. `dropped` are dates that the booking has no longer.
fn expected(booking: &Value, property: &Value, zone: &Property, dropped: &[(NaiveDate, NaiveDate)]) -> Result<Value> {
    let date = |text: &Value| -> Result<NaiveDate> { Ok(text.as_str().context("a date")?.parse()?) };
    let stays = booking["stays"].as_array().context("stays")?;
    let kept = stays.iter().map(|stay| Ok((date(&stay["arrival"])?, date(&stay["departure"])?)));
    let kept: Vec<_> = kept.collect::<Result<_>>()?;
    let instant = |date: NaiveDate, time: NaiveTime| -> Result<String> {
        let local = zone.time_zone.from_local_datetime(&date.and_time(time)).single().context("an ordinary time")?;
        Ok(local.to_utc().to_rfc3339_opts(SecondsFormat::Secs, true))
    };
    let time = |name: &str| -> Result<NaiveTime> { Ok(property[name].as_str().context("a time")?.parse()?) };
    let (check_in, check_out) = (time("check_in_from")?, time("check_out_until")?);
    let text = |value: &Value| value.as_str().map(str::to_owned).context("a text");
    let (id, reference, name) = (text(&booking["id"])?, text(&booking["reference"])?, text(&property["name"])?);
    let is_cancelled = booking["status"] == "cancelled";
    let mut events = Vec::new();
    for (index, &(arrival, departure)) in kept.iter().chain(dropped).enumerate() {
        let is_kept = index < kept.len() && !is_cancelled;
        let (from, until) = (check_in.format("%H:%M"), check_out.format("%H:%M"));
        let written = |date: NaiveDate| date.format("%A %-d %B %Y");
        events.push(json!({
            "uid": if index == 0 { id.clone() } else { format!("{id}-{index}") },
            "sequence": booking["rev"],
            "status": if is_kept { "CONFIRMED" } else { "CANCELLED" },
            "summary": format!("{name} – {reference}"),
            "description": format!("Booking reference: {reference}\nCheck-in: {}, from {from}\n\
                Check-out: {}, until {until}", written(arrival), written(departure)),
            "location": property["address"],
            "start": instant(arrival, check_in)?,
            "end": instant(departure, check_out)?,
            "organizer": "mailto:bookings@pvt.test",
            "organizer_name": name.replace('"', "'"),
        }));
    }
    let method = if is_cancelled && events.len() == 1 { "CANCEL" } else { "PUBLISH" };
    Ok(json!({ "method": method, "events": events }))
}

/// The files of a booking as it is now: its download and its newest mail.
async fn receive(
    stack: &Stack,
    inventory: &Inventory,
    booked: &AcceptedBooking,
    dropped: &[(NaiveDate, NaiveDate)],
) -> Result<Vec<Received>> {
    let AcceptedBooking { id, token } = booked;
    let booking = stack.client.get(&format!("/api/bookings/{id}?token={token}")).await?;
    let property = stack.client.get(&format!("/api/properties/{}", inventory.property.id)).await?;
    let expected = expected(&booking.body, &property.body, &inventory.property, dropped)?;
    let url = format!("{}/api/bookings/{id}/calendar.ics?token={token}", stack.client.base());
    let file = stack.client.http().get(url).send().await?.error_for_status()?;
    let content_type = file.headers()[header::CONTENT_TYPE].to_str()?.to_owned();
    let place = format!("{} at revision {}", inventory.property.id, booking.body["rev"]);
    let download = Received {
        place: format!("download of {place}"),
        content_type,
        text: file.text().await?,
        expected: expected.clone(),
    };
    stack.wait_until_quiet(&Expectations::clean()).await?;
    let mails = stack.mailbox.all().await?;
    let reference = booking.text("/reference");
    let mail = mails.into_iter().rfind(|mail| mail.subject.contains(reference)).context("a mail")?;
    let place = format!("mail about {place}");
    Ok(vec![download, Received { place, content_type: mail.calendar_type, text: mail.calendar_file, expected }])
}

async fn succeeded(answer: ApiResponse) -> Result<()> {
    ensure!(answer.status == StatusCode::OK, "{answer:?}");
    Ok(())
}

/// Two stays, one of which is dropped, and another booking that is cancelled.
async fn journey(stack: &Stack, inventory: &Inventory) -> Result<Vec<Received>> {
    let property = inventory.property.id.as_str();
    let arrival = days_from_now(40);
    let dates = |from: u64, nights: u64| (arrival + Days::new(from), arrival + Days::new(from + nights));
    let stay = |(arrival, departure): (NaiveDate, NaiveDate)| {
        json!({ "room_type_id": DORM, "arrival": arrival, "departure": departure,
            "guests": 1 })
    };
    let mut body = booking_body(DORM, arrival, 3, 1);
    body["property_id"] = json!(property);
    body["guest"]["email"] = json!(format!("{property}@example.com"));
    body["stays"] = json!([stay(dates(0, 3)), stay(dates(10, 2))]);
    let changed = stack.book(&format!("{property} 1"), &body).await?;
    stack.client.wait_for_decision(&changed).await?;
    let mut received = receive(stack, inventory, &changed, &[]).await?;

    let path = format!("/api/bookings/{}?token={}", changed.id, changed.token);
    let headers = [("content-type", "application/json"), ("if-match", "\"1\""), ("prefer", "wait=30")];
    let change = json!({ "stays": [stay(dates(0, 5))] }).to_string().into_bytes();
    succeeded(stack.client.send(Method::PATCH, &path, &headers, Some(change)).await?).await?;
    received.extend(receive(stack, inventory, &changed, &[dates(10, 2)]).await?);

    body["stays"] = json!([stay(dates(20, 1))]);
    let cancelled = stack.book(&format!("{property} 2"), &body).await?;
    stack.client.wait_for_decision(&cancelled).await?;
    // A cancellation is mailed to guests who heard of the booking.
    received.extend(receive(stack, inventory, &cancelled, &[]).await?);
    succeeded(stack.client.cancel(&cancelled).await?).await?;
    received.extend(receive(stack, inventory, &cancelled, &[]).await?);
    Ok(received)
}

/// What a reader makes of the texts.
async fn read(program: &OsStr, arguments: &[&OsStr], texts: &[u8]) -> Result<Vec<Value>> {
    let mut reader = Command::new(program)
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut input = reader.stdin.take().context("standard input")?;
    input.write_all(texts).await?;
    drop(input);
    let ended =
        tokio::time::timeout(RUN_LIMIT, reader.wait_with_output()).await.context("the reader took too long")??;
    ensure!(ended.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
    Ok(serde_json::from_slice(&ended.stdout)?)
}

#[tokio::test]
#[ignore = "needs icalendar, ical.js and node-ical: tests/calendar-readers/run"]
async fn three_readers_read_what_the_api_says() -> Result<()> {
    let tools = std::env::var_os("PVT_CALENDAR_READERS").context("run tests/calendar-readers/run")?;
    let stack = StackBuilder::new().selling(inventories()).start().await?;
    let mut received = Vec::new();
    for inventory in inventories() {
        received.extend(journey(&stack, &inventory).await?);
    }
    assert_eq!(received.len(), PROPERTIES.len() * 8);
    let methods: Vec<_> = received.iter().map(|file| file.expected["method"].as_str()).collect();
    assert_eq!(methods.iter().filter(|method| **method == Some("CANCEL")).count(), PROPERTIES.len() * 2);
    let texts = serde_json::to_vec(&received.iter().map(|file| file.text.as_str()).collect::<Vec<_>>())?;

    let tools = Path::new(&tools);
    let (python, packages) = (tools.join("python/bin/python"), tools.join("node"));
    let script = |name: &str| -> OsString { Path::new(SCRIPTS).join(name).into() };
    let (read_py, read_js) = (script("read.py"), script("read.js"));
    let of_node = |library: &'static str| [read_js.as_os_str(), packages.as_os_str(), OsStr::new(library)];
    let readers = [
        ("icalendar", read(python.as_os_str(), &[read_py.as_os_str()], &texts).await?),
        ("ical.js", read(OsStr::new("node"), &of_node("ical.js"), &texts).await?),
        ("node-ical", read(OsStr::new("node"), &of_node("node-ical"), &texts).await?),
    ];
    for file in &received {
        let method = file.expected["method"].as_str().context("a method")?;
        assert_eq!(file.content_type, format!("text/calendar; charset=utf-8; method={method}"), "{}", file.place);
    }
    for (reader, calendars) in readers {
        assert_eq!(calendars.len(), received.len(), "{reader}");
        for (file, calendar) in received.iter().zip(calendars) {
            let mut expected = file.expected.clone();
            for event in expected["events"].as_array_mut().into_iter().flatten().filter(|_| reader == "node-ical") {
                // It splits parameters at semicolons within quotes.
                event.as_object_mut().context("an event")?.remove("organizer_name");
            }
            assert_eq!(calendar, expected, "{reader} read {}\n{}", file.place, file.text);
        }
    }
    stack.end(Expectations::clean()).await
}
