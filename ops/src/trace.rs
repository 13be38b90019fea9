//! `pvt trace`: everything that happened to one booking, from its request to its mails, payments and the mart, in the
//! order of time.
//!
//! It only reads, and shows no field of the guest and nothing by which one could pay. Reasons are shown as somebody
//! wrote them, on one line.

mod timeline;

use crate::cli::TraceArgs;
use crate::cli_error::CliError;
use crate::output;
use anyhow::Result;
use chrono::Utc;
use pvt_domain::booking::Booking;
use pvt_domain::ids::BookingId;
use pvt_service::config::Config;
use pvt_stores::mart::Mart;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::bookings::{BookingFilter, Whose};
use secrecy::ExposeSecret;
use serde_json::json;
use timeline::{Timeline, TimelineEvent};

/// Longest text of a line on the terminal.
const TEXT_CHARS: usize = 160;

/// Prints the timeline of a booking and where it stands.
pub(crate) async fn run(config: &Config, args: TraceArgs) -> Result<()> {
    let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt trace").await?;
    let booking = find(&mongo, &args.booking).await?;
    let ledger = mongo.ledgers().find(booking.id).await?;
    let told = ledger.as_ref().map(timeline::source_events).unwrap_or_default();
    let ids: Vec<&str> = told.iter().map(String::as_str).collect();
    let events = mongo.stripe_events().find_by_ids(&ids).await?;
    let mails = mongo.notifications().of_booking(booking.id).await?;
    let claims = mongo.claims().count_of(&booking).await?;
    mongo.shutdown().await;
    let mart = Mart::connect(config.database_url.expose_secret(), "pvt trace")?;
    let event_ids: Vec<_> = booking.history.iter().map(|entry| entry.event_id).collect();
    // The mart may be away; the rest is worth showing all the same.
    let missing = mart.missing_events(&event_ids).await.ok();
    mart.close().await;
    let timeline = Timeline {
        booking: &booking,
        ledger: ledger.as_ref(),
        events: &events,
        mails: &mails,
        claims,
        missing_in_mart: missing.as_ref(),
    };
    let (lines, verdict) = (timeline.lines(), timeline.summary(Utc::now().into()));
    if args.json {
        return output::json(
            &json!({ "booking_id": booking.id, "reference": booking.reference, "status": booking.status,
                "rev": booking.rev,
                                     "claims": claims, "lines": lines, "verdict": verdict }),
        );
    }
    output::note(format_args!(
        "{}  {}  {} at revision {}",
        booking.reference,
        booking.id,
        booking.status.as_str(),
        booking.rev
    ));
    print(&lines);
    output::note(format_args!("\n{}", verdict.join("\n")));
    Ok(())
}

fn print(lines: &[TimelineEvent]) {
    let mut before = None;
    let rows = lines.iter().map(|line| {
        let at = line.at.as_datetime();
        let since = before.replace(at).map_or_else(String::new, |before| since((at - before).num_milliseconds()));
        [
            at.format("%Y-%m-%d %H:%M:%S%.3f").to_string(),
            since,
            line.place.to_owned(),
            line.what.chars().take(TEXT_CHARS).collect(),
        ]
    });
    output::table(["TIME (UTC)", "AFTER", "WHERE", "WHAT"], rows.collect::<Vec<_>>());
}

/// A span of time for people.
fn since(ms: i64) -> String {
    match ms {
        ..1_000 => format!("+{ms} ms"),
        1_000..60_000 => format!("+{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("+{} min", ms / 60_000),
        _ => format!("+{} h", ms / 3_600_000),
    }
}

/// By id or, as people write it, by reference.
async fn find(mongo: &Mongo, named: &str) -> Result<Booking> {
    let none = || {
        CliError::NotFound(format!(
            "there is no booking `{named}`; an id or a reference such as PVT-HMY8YMKD1Q names one"
        ))
    };
    if let Ok(id) = named.trim().parse::<BookingId>() {
        return Ok(mongo.bookings().find(id).await?.ok_or_else(none)?);
    }
    let ids = BookingId::range_of_reference(named).ok_or_else(none)?;
    let properties = mongo.inventories().property_ids().await?;
    let filter = BookingFilter {
        whose: Whose::Of(properties),
        property_id: None,
        status: None,
        arrival_from: None,
        arrival_until: None,
        email: None,
        ids: Some(ids),
    };
    Ok(mongo.bookings().list(&filter, None, 1).await?.pop().ok_or_else(none)?)
}
