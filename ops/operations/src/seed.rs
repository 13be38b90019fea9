//! Demonstration data: a property, and bookings of today and of the coming weeks that are requested through the queue
//! like any other.

pub mod accounts;
mod today;

use crate::{broker, terminal};
use anyhow::{Context, Result};
use chrono::{Days, NaiveDate, Utc};
use pvt_domain::booking::{Guest, Source, StayRequest};
use pvt_domain::business_day::business_date;
use pvt_domain::demo;
use pvt_domain::ids::BookingId;
use pvt_domain::messages::{BOOKING_REQUEST, RequestBooking};
use pvt_messaging::{Outgoing, Publisher};
use pvt_service::config::{Config, Environment};
use pvt_stores::mongo::Mongo;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use secrecy::ExposeSecret;
use std::time::Duration;

/// Days from today that get bookings by default.
pub const DEFAULT_DAYS: u64 = 90;
/// Fixed, so that every demonstration has the same bookings.
const RANDOM_SEED: u64 = 2_027;
const ARRIVALS_PER_DAY: u64 = 2;
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

const NAMES: [(&str, &str, &str); 6] = [
    ("Grace", "Hopper", "en"),
    ("Marie", "Curie", "fr"),
    ("Alan", "Turing", "en"),
    ("Émilie", "du Châtelet", "fr"),
    ("Katherine", "Johnson", "en"),
    ("Blaise", "Pascal", "fr"),
];
const ROOM_TYPES: [(&str, u32); 5] =
    [("dorm-6-mixed", 2), ("dorm-8-mixed", 3), ("dorm-4-female", 1), ("private-double", 2), ("private-twin", 2)];

/// Creates the property with bookings unless it exists, and in development the demonstration accounts, unless other
/// machines can reach the system: their passwords are published. Returns whether the property was created.
///
/// # Errors
/// When MongoDB or the broker cannot be used.
pub async fn run(config: &Config, days: u64) -> Result<bool> {
    let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt seed").await?;
    let demo = demo::inventory();
    let new = mongo.inventories().find(&demo.property.id).await?.is_none();
    if new {
        mongo.inventories().save(&demo).await?;
        let sent = send_bookings(config, days).await?;
        terminal::note(format_args!("  seeded {} with {sent} bookings over {days} days", demo.property.name));
    }
    if config.environment == Environment::Development && config.is_local() {
        accounts::create(&mongo).await?;
    }
    mongo.shutdown().await;
    Ok(new)
}

async fn send_bookings(config: &Config, days: u64) -> Result<usize> {
    let topology = broker::topology(config);
    let publisher = Publisher::start(config.amqp_url.expose_secret(), topology.clone(), "pvt seed");
    let mut random = SmallRng::seed_from_u64(RANDOM_SEED);
    let today = business_date(&demo::inventory().property, Utc::now().into());
    let turns = (1..=days).flat_map(|day| (0..ARRIVALS_PER_DAY).map(move |turn| (day, turn)));
    let mut requests: Vec<RequestBooking> =
        turns.map(|(day, turn)| drawn(&mut random, today + Days::new(day), &format!("seed-{day}-{turn}"))).collect();
    // Without days there are no bookings at all.
    let visits: Vec<&today::Visit> = today::VISITS.iter().filter(|_| days > 0).collect();
    requests.extend(visits.iter().map(|visit| visit.request(today)));
    let mut booked = Vec::new();
    for request in &requests {
        let key = topology.command_key(BOOKING_REQUEST, request.property_id.as_str());
        let command = Outgoing::command(key, request.booking_id.request_command_id(), request)?;
        booked.push(command.with_correlation_id(request.booking_id.as_uuid()));
    }
    let (mut arrived, mut shortened) = (Vec::new(), Vec::new());
    for visit in visits {
        arrived.extend(visit.arrival(&topology, today)?);
        shortened.extend(visit.departure(&topology, today)?);
    }
    // Messages that are published at once may change places, so that each is in the queue before those that need it.
    for commands in [booked, arrived, shortened] {
        publisher.publish_all(&commands).await.context("the bookings cannot be queued")?;
    }
    publisher.close(CLOSE_LIMIT).await;
    Ok(requests.len())
}

/// A booking of chance.
fn drawn(random: &mut SmallRng, arrival: NaiveDate, key: &str) -> RequestBooking {
    let name = NAMES[random.random_range(0..NAMES.len())];
    let (room_type, most_guests) = ROOM_TYPES[random.random_range(0..ROOM_TYPES.len())];
    let stay = StayRequest::new(
        room_type,
        arrival,
        arrival + Days::new(random.random_range(1..6)),
        random.random_range(1..=most_guests),
    );
    request(key, name, stay, Source::ALL[random.random_range(0..Source::ALL.len())].1)
}

fn request(
    key: &str,
    (first_name, last_name, locale): (&str, &str, &str),
    stay: StayRequest,
    source: Source,
) -> RequestBooking {
    let (arrival, email) = (stay.arrival, format!("{key}@example.com"));
    RequestBooking {
        booking_id: BookingId::derive(None, key, &arrival.to_string()),
        client: None,
        fingerprint: arrival.to_string(),
        fingerprint_as_sent: None,
        property_id: demo::PROPERTY_ID.into(),
        rate_plan_id: "standard".into(),
        source,
        stays: vec![stay],
        guest: Guest {
            first_name: first_name.to_owned(),
            last_name: last_name.to_owned(),
            email,
            phone: None,
            locale: Some(locale.to_owned()),
        },
        requested_at: Utc::now().into(),
        quote: None,
        override_restrictions: false,
    }
}
