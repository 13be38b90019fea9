//! Pages of the console beside much work: how long each takes, and what memory the process needs for them.

use crate::harness::StandaloneConsole;
use anyhow::{Context, Result, ensure};
use chrono::{Days, NaiveDate, Utc};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use pvt_domain::booking::Booking;
use pvt_domain::dead_letters::Fingerprint;
use pvt_domain::demo;
use pvt_domain::inventory::{DormGender, Inventory, Room, RoomKind, RoomType};
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::dead_letters::{Arrival, Death, StoredMessage};
use pvt_testkit::console::sign_in;
use pvt_testkit::{Broker, Namespace, properties};
use reqwest::header::COOKIE;
use serde_json::{Value, json};
use std::io::Write;
use std::time::{Duration, Instant};
use uuid::Uuid;

const BEDS: usize = 400;
const BEDS_OF_A_ROOM: usize = 8;
const NIGHTS: u64 = 92;
const NIGHTS_OF_A_STAY: u64 = 3;
const LONG_HISTORIES: usize = 1_000;
const HISTORY: u32 = 100;
const DEAD_LETTERS: u128 = 10_000;
const GROUPS: u128 = 50;
const MESSAGES: usize = 100_000;
/// Requests of each page.
const REQUESTS: usize = 40;
const PAGE_LIMIT: Duration = Duration::from_millis(200);
const MEMORY_LIMIT_MIB: f64 = 60.0;

#[tokio::test]
#[ignore = "measures for a minute: tests/console-sizes/run"]
async fn pages_stay_fast_and_small_beside_much_work() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let inventory = large_property();
    mongo.inventories().save(&inventory).await?;
    let bookings = fill(&namespace, &inventory).await?;
    bury(&mongo).await?;
    let broker = Broker::connect(&namespace).await?;
    namespace.topology().declare(&broker.channel().await?).await?;
    flood(&namespace, &broker).await?;

    let StandaloneConsole { program: mut console, base, password, folder, .. } =
        StandaloneConsole::of(&namespace).await?;
    console.start(&[])?;
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    console.ready(&http).await?;
    let session = sign_in(&http, &base, "op@example.com", &password).await?.cookie;
    let (booking, property) = (&bookings[0], &inventory.property.id);
    let group = Fingerprint::new("emails", "panic", &error_of(0)?).group;
    let pages = [
        "/".to_owned(),
        "/queues".to_owned(),
        "/dead-letters".to_owned(),
        format!("/dead-letters/groups/{group}"),
        "/bookings?q=ada%40example.com".to_owned(),
        format!("/bookings/{}", booking.id),
        format!("/bookings/{}/actions/check-in", booking.id),
        format!("/bookings/{}/move", booking.id),
        format!("/front-desk?property={property}"),
        format!("/chart?property={property}&nights={NIGHTS}"),
        "/payments".to_owned(),
        "/reconciliations".to_owned(),
        "/workers".to_owned(),
        "/schedules".to_owned(),
        "/audit".to_owned(),
    ];
    let mut slow = Vec::new();
    for page in &pages {
        let mut times = Vec::with_capacity(REQUESTS);
        let mut bytes = 0;
        for _ in 0..REQUESTS {
            let begun = Instant::now();
            let answer = http.get(format!("{base}{page}")).header(COOKIE, &session).send().await?;
            ensure!(answer.status().is_success(), "{page}: {}", answer.status());
            bytes = answer.bytes().await?.len();
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        let (median, p95) = (times[REQUESTS / 2], times[REQUESTS * 95 / 100]);
        report(&format!("{page}: median {median:.1?}, p95 {p95:.1?}, {} KiB", bytes / 1024));
        if p95 >= PAGE_LIMIT {
            slow.push(format!("{page}: {p95:?}"));
        }
    }
    let (resident, peak) = (console.resident_mib()?, console.peak_mib()?);
    report(&format!("memory: {resident:.1} MiB, at most {peak:.1} MiB"));
    console.stop().await?;
    std::fs::remove_dir_all(&folder)?;
    ensure!(slow.is_empty(), "slower than {PAGE_LIMIT:?}: {slow:?}");
    ensure!(resident < MEMORY_LIMIT_MIB, "{resident:.1} MiB");
    Ok(())
}

fn report(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

fn large_property() -> Inventory {
    let mut inventory = demo::inventory();
    inventory.room_types = vec![RoomType::new("dorm", "dorm", RoomKind::Dorm, DormGender::Mixed)];
    let room = |number: usize| {
        let beds = (0..BEDS_OF_A_ROOM).map(|bed| format!("r{number}-{bed}").as_str().into()).collect();
        Room::new(format!("r{number}").as_str(), "dorm", beds)
    };
    inventory.rooms = (0..BEDS / BEDS_OF_A_ROOM).map(room).collect();
    inventory.rate_plans.truncate(1);
    inventory.rate_plans[0].nightly = [("dorm".into(), 4_000)].into();
    inventory
}

/// A booking of one bed, with as many revisions as `entries`, one a day, which moved it to another bed.
fn booking(inventory: &Inventory, bed: &str, arrival: NaiveDate, entries: u32) -> Result<Booking> {
    let id = Uuid::new_v4();
    let made = Utc::now() - Days::new(u64::from(entries.max(30)));
    let stay = |bed: &str| {
        json!({ "room_type_id": "dorm", "arrival": arrival, "departure": arrival + Days::new(NIGHTS_OF_A_STAY),
            "guests": 1, "assigned_beds": [bed] })
    };
    let entry = |rev: u32| {
        let (action, from) = if rev == 1 { ("request", "requested") } else { ("assign", "confirmed") };
        let changes = json!({ "stays": [{ "index": 0, "before": stay("r0-0"), "after": stay(bed) }] });
        let at = Timestamp::from(made + Days::new(u64::from(rev)));
        json!({ "rev": rev, "at": at, "action": action, "from": from, "to": "confirmed",
            "command_id": Uuid::new_v4(), "event_id": Uuid::new_v4(), "actor": "guest",
            "changes": (rev > 1).then_some(changes) })
    };
    let history: Vec<Value> = (1..=entries).map(entry).collect();
    Ok(serde_json::from_value(json!({
        "_id": id, "reference": pvt_domain::ids::BookingId::from_uuid(id).reference(), "status": "confirmed",
        "rev": entries, "property_id": inventory.property.id, "rate_plan_id": inventory.rate_plans[0].id,
        "source": "direct",
        "stays": [stay(bed)],
        "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com" },
        "price": { "currency": "CAD", "nights": [[4200, 4200, 4200]], "taxes": [], "total": 12600 },
        "fingerprint": "f", "created_at": Timestamp::from(made),
        "updated_at": Timestamp::from(made + Days::new(u64::from(entries))), "history": history,
    }))?)
}

/// Stores a stay in every bed on every night; the first ones have long histories.
async fn fill(namespace: &Namespace, inventory: &Inventory) -> Result<Vec<Booking>> {
    let client = mongodb::Client::with_uri_str(namespace.mongodb_uri()).await?;
    let stored = client.default_database().context("the URI names a database")?.collection::<Booking>("bookings");
    let today = Utc::now().date_naive();
    let beds: Vec<&str> = inventory.rooms.iter().flat_map(|room| &room.beds).map(|bed| bed.as_str()).collect();
    let mut bookings = Vec::with_capacity(beds.len() * 30);
    for arrival in (0..NIGHTS).step_by(usize::try_from(NIGHTS_OF_A_STAY)?) {
        for bed in &beds {
            let entries = if bookings.len() < LONG_HISTORIES { HISTORY } else { 1 };
            bookings.push(booking(inventory, bed, today + Days::new(arrival), entries)?);
        }
    }
    for some in bookings.chunks(1_000) {
        stored.insert_many(some).await?;
    }
    Ok(bookings)
}

/// The error of a dead letter; those of a group differ in a number alone.
fn error_of(number: u128) -> Result<String> {
    let letter = |index: u128| u8::try_from(index % 26).map(|index| char::from(b'a' + index));
    let group = number % GROUPS;
    Ok(format!("{}{} failed for {number}", letter(group)?, letter(group / 26)?))
}

/// Stores dead letters of many groups.
async fn bury(mongo: &Mongo) -> Result<()> {
    let letter = |number: u128| -> Result<Arrival> {
        let error = error_of(number)?;
        Ok(Arrival {
            id: Uuid::from_u128(number),
            queue: "emails".to_owned(),
            message_id: Uuid::from_u128(number + 1_000_000),
            kind: "notification.send.v1".to_owned(),
            booking_id: None,
            death: Death {
                id: Uuid::from_u128(number + 2_000_000),
                died_at: Utc::now().into(),
                position: i64::try_from(number)?,
                class: "panic".to_owned(),
                worker: Some("emails".to_owned()),
                group: Fingerprint::new("emails", "panic", &error).group,
                error: Some(error),
                attempt: 3,
                first_failed_at: None,
                follows: None,
                bytes: 1_000,
            },
            message: StoredMessage {
                correlation_id: None,
                reply_to: None,
                traceparent: None,
                actor: None,
                sent_at: None,
                headers: Vec::new(),
                body: vec![b' '; 1_000],
            },
        })
    };
    let letters: Vec<Arrival> = (0..DEAD_LETTERS).map(letter).collect::<Result<_>>()?;
    for some in letters.chunks(1_000) {
        mongo.dead_letters().store(some).await?;
    }
    Ok(())
}

/// Publishes messages that nothing consumes.
async fn flood(namespace: &Namespace, broker: &Broker) -> Result<()> {
    let channel = broker.channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let queue = namespace.topology().name("emails");
    for _ in 0..MESSAGES / 1_000 {
        let mut confirms = Vec::with_capacity(1_000);
        for _ in 0..1_000 {
            let (_, sent) = properties("notification.send.v1");
            let options = BasicPublishOptions::default();
            confirms.push(channel.basic_publish("".into(), queue.as_str().into(), options, b"{}", sent).await?);
        }
        for confirm in confirms {
            confirm.await?;
        }
    }
    Ok(())
}
