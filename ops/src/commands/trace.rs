//! `pvt trace`: everything that happened to one booking, by time and cause.

use crate::output::Output;
use crate::reachability::Dependency::MongoDb;
use crate::settings;
use anyhow::Result;
use chrono::Utc;
use pvt_domain::actor::Actor;
use pvt_domain::booking::Booking;
use pvt_operations::actor_names::{self, ActorNames};
use pvt_operations::trace::{self, TimelineEvent, Trace as BookingTrace, Wait, time_span};
use pvt_operations::{OperationError, broker, terminal};
use pvt_stores::StoreError;
use pvt_stores::mart::Mart;
use pvt_stores::mongo::Mongo;
use secrecy::ExposeSecret;
use serde_json::json;

/// Longest text of an event on the terminal.
const TEXT_CHARS: usize = 200;

/// Shows everything that happened to one booking, by time and cause
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pvt trace PVT-HMY8YMKD1Q
  pvt trace 8d3c8f52-6d0d-5d0a-9c1f-1f5a4a2b7c01 --json
  pvt trace pi_3QxB2e

The last lines name what the booking waits for, if anything.")]
pub(crate) struct Trace {
    /// Its id or reference; the id of a message or of an object or event of Stripe; its guest's address
    booking: String,
    #[command(flatten)]
    output: Output,
}

impl Trace {
    pub(crate) async fn run(self) -> Result<()> {
        let config = settings::ready(&[MongoDb]).await?;
        let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt trace").await?;
        let mart = Mart::connect(config.database_url.expose_secret(), "pvt trace")?;
        let booking = find(&mongo, &self.booking).await?;
        let traced = trace::of_booking(&mongo, &mart, &broker::topology(&config), &booking, Utc::now().into()).await?;
        let BookingTrace { events, summary, claims } = traced;
        let summary: Vec<String> = summary.iter().map(Wait::with_hint).collect();
        let texts = events.iter().map(|event| event.what.as_str()).chain(summary.iter().map(String::as_str));
        let actors: Vec<Actor> = texts.flat_map(actor_names::named_in).collect();
        let names = ActorNames::read(&mongo, &actors).await;
        mongo.shutdown().await;
        mart.close().await;
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
        print(&events, &names);
        terminal::note(format_args!("\n{}", names.within(&summary.join("\n"))));
        Ok(())
    }
}

fn print(events: &[TimelineEvent], names: &ActorNames) {
    let rows = events.iter().map(|event| {
        // Of a clock with whole seconds, no more is known.
        let format = if event.in_seconds { "%Y-%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M:%S%.3f" };
        [
            event.at.as_datetime().format(format).to_string(),
            event.after_ms.map_or_else(String::new, |after| format!("+{}", time_span(after))),
            event.place.to_owned(),
            names.within(&event.what).chars().take(TEXT_CHARS).collect(),
        ]
    });
    terminal::table(["TIME (UTC)", "AFTER", "WHERE", "WHAT"], rows.collect::<Vec<_>>());
}

/// The one booking that this text names.
async fn find(mongo: &Mongo, named: &str) -> Result<Booking> {
    let properties = mongo.inventories().property_ids().await?;
    let found = trace::search(mongo, &properties, named).await;
    let is_limit = |error: &anyhow::Error| error.downcast_ref::<StoreError>().is_some_and(StoreError::is_time_limit);
    // The booking of an id is found at once; what takes too long is the search for a message of this id.
    let (mut found, hint) = match found {
        Err(error) if is_limit(&error) => (Vec::new(), " (the search for a message of this id took too long)"),
        other => (other?, ""),
    };
    let Some(booking) = found.pop() else {
        let advice = "an id or a reference such as PVT-HMY8YMKD1Q names one";
        let text = format!("there is no booking `{named}`{hint}; {advice}");
        return Err(OperationError::NotFound(text).into());
    };
    if found.is_empty() {
        return Ok(booking);
    }
    let references: Vec<&str> = found.iter().chain([&booking]).map(|booking| booking.reference.as_str()).collect();
    let text = format!("`{named}` names {} bookings: {}", references.len(), references.join(", "));
    Err(OperationError::Conflict(text).into())
}
