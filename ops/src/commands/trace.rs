//! `pvt trace`: everything that happened to one booking, from its request to its payments, mails and the mart, in
//! chronological order.
//!
//! It only reads. It shows no personal data of the guest and nothing that a payment could be made with. Reasons are
//! shown as they were written, on one line.

mod paused_queues;
mod timeline;

use crate::output::Output;
use crate::reachability::Dependency::MongoDb;
use crate::settings;
use anyhow::Result;
use chrono::Utc;
use pvt_domain::booking::Booking;
use pvt_domain::ids::BookingId;
use pvt_operations::{OperationError, broker, terminal};
use pvt_stores::mart::Mart;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::bookings::{BookingFilter, BookingScope};
use secrecy::ExposeSecret;
use serde_json::json;
use timeline::{Timeline, TimelineEvent};

/// Longest text of an event on the terminal.
const TEXT_CHARS: usize = 160;

/// Shows everything that happened to one booking, in chronological order
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pvt trace PVT-HMY8YMKD1Q
  pvt trace 8d3c8f52-6d0d-5d0a-9c1f-1f5a4a2b7c01 --json

The last lines name what the booking waits for, if anything.")]
pub(crate) struct Trace {
    /// Its id, or its reference
    booking: String,
    #[command(flatten)]
    output: Output,
}

impl Trace {
    pub(crate) async fn run(self) -> Result<()> {
        let config = settings::ready(&[MongoDb]).await?;
        let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt trace").await?;
        let booking = find(&mongo, &self.booking).await?;
        let ledger = mongo.ledgers().find(booking.id).await?;
        let source_events = ledger.as_ref().map(timeline::source_events).unwrap_or_default();
        let ids: Vec<&str> = source_events.iter().map(String::as_str).collect();
        let stripe_events = mongo.stripe_events().find_by_ids(&ids).await?;
        let mails = mongo.notifications().of_booking(booking.id).await?;
        let claims = mongo.claims().count_of(&booking).await?;
        let pauses = mongo.queue_pauses().list().await?;
        mongo.shutdown().await;
        let mart = Mart::connect(config.database_url.expose_secret(), "pvt trace")?;
        let event_ids: Vec<_> = booking.history.iter().map(|entry| entry.event_id).collect();
        // The mart may be unreachable; the rest is worth showing without it.
        let missing = mart.missing_events(&event_ids).await.ok();
        mart.close().await;
        let timeline = Timeline {
            booking: &booking,
            ledger: ledger.as_ref(),
            stripe_events: &stripe_events,
            mails: &mails,
            claims,
            missing_in_mart: missing.as_ref(),
        };
        let paused = paused_queues::of_property(&broker::topology(&config), &booking.property_id, &pauses);
        let summary = timeline.summary(Utc::now().into(), paused);
        let events = timeline.events();
        if self.output.json {
            return terminal::json(&json!({ "booking_id": booking.id, "reference": booking.reference,
            "status": booking.status, "rev": booking.rev, "claims": claims, "lines": events, "verdict": summary }));
        }
        terminal::note(format_args!(
            "{}  {}  {} at revision {}",
            booking.reference,
            booking.id,
            booking.status.as_str(),
            booking.rev
        ));
        print(&events);
        terminal::note(format_args!("\n{}", summary.join("\n")));
        Ok(())
    }
}

fn print(events: &[TimelineEvent]) {
    let mut before = None;
    let rows = events.iter().map(|event| {
        let at = event.at.as_datetime();
        let since = before.replace(at).map_or_else(String::new, |before| since((at - before).num_milliseconds()));
        [
            at.format("%Y-%m-%d %H:%M:%S%.3f").to_string(),
            since,
            event.place.to_owned(),
            event.what.chars().take(TEXT_CHARS).collect(),
        ]
    });
    terminal::table(["TIME (UTC)", "AFTER", "WHERE", "WHAT"], rows.collect::<Vec<_>>());
}

/// A time span in the largest fitting unit.
fn since(ms: i64) -> String {
    match ms {
        ..1_000 => format!("+{ms} ms"),
        1_000..60_000 => format!("+{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("+{} min", ms / 60_000),
        _ => format!("+{} h", ms / 3_600_000),
    }
}

/// The booking with this id or reference.
async fn find(mongo: &Mongo, named: &str) -> Result<Booking> {
    let none = || {
        OperationError::NotFound(format!(
            "there is no booking `{named}`; an id or a reference such as PVT-HMY8YMKD1Q names one"
        ))
    };
    if let Ok(id) = named.trim().parse::<BookingId>() {
        return Ok(mongo.bookings().find(id).await?.ok_or_else(none)?);
    }
    let ids = BookingId::range_of_reference(named).ok_or_else(none)?;
    let properties = mongo.inventories().property_ids().await?;
    let filter = BookingFilter {
        scope: BookingScope::Properties(properties),
        property_id: None,
        status: None,
        arrival_from: None,
        arrival_until: None,
        email: None,
        ids: Some(ids),
    };
    Ok(mongo.bookings().list(&filter, None, 1).await?.pop().ok_or_else(none)?)
}
