//! Trace of one booking: everything that happened to it, from its request to its payments, mails and the mart, and what
//! it waits for.
//!
//! It only reads. It shows no personal data of the guest and nothing that a payment could be made with. Reasons are
//! shown as they were written, on one line.

mod paused_queues;
mod search;
mod timeline;
mod wait;

pub use search::{MAX_FOUND, may_scan, search};
pub use timeline::TimelineEvent;
pub use wait::Wait;

use anyhow::Result;
use pvt_domain::booking::Booking;
use pvt_domain::messages::queues;
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::Topology;
use pvt_stores::mart::Mart;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::dead_letters::{DeadLetterFilter, DeadLetterState};
use std::time::Duration;
use timeline::Timeline;
use tokio::time::timeout;

/// For the mart, without which the rest is worth showing.
const MART_LIMIT: Duration = Duration::from_secs(3);

/// Most dead letters of a booking that are shown.
const MAX_DEAD_LETTERS: i64 = 100;

/// The trace of a booking.
#[derive(Debug)]
pub struct Trace {
    /// Everything that happened, by time and cause.
    pub events: Vec<TimelineEvent>,
    /// What the booking waits for, or that it is settled.
    pub summary: Vec<Wait>,
    /// Number of its claims.
    pub claims: u64,
}

/// Reads what the stores hold about a booking.
///
/// # Errors
/// When MongoDB fails.
pub async fn of_booking(
    mongo: &Mongo,
    mart: &Mart,
    topology: &Topology,
    booking: &Booking,
    now: Timestamp,
) -> Result<Trace> {
    let ledger = mongo.ledgers().find(booking.id).await?;
    let source_events = ledger.as_ref().map(timeline::source_events).unwrap_or_default();
    let ids: Vec<&str> = source_events.iter().map(String::as_str).collect();
    let stripe_events = mongo.stripe_events().find_by_ids(&ids).await?;
    let mails = mongo.notifications().of_booking(booking.id).await?;
    let claims = mongo.claims().count_of(booking).await?;
    let pauses = mongo.queue_pauses().list().await?;
    let paused = paused_queues::of_property(topology, &booking.property_id, &pauses);
    let event_ids: Vec<_> = booking.history.iter().map(|entry| entry.event_id).collect();
    let loads = timeout(MART_LIMIT, mart.loads(&event_ids)).await.ok().and_then(Result::ok);
    let about = DeadLetterFilter { booking: Some(booking.id), ..DeadLetterFilter::default() };
    let dead_letters = mongo.dead_letters().list(&about, &DeadLetterState::ALL, 0, MAX_DEAD_LETTERS).await?;
    let timeline = Timeline {
        bookings_queue: format!("{}.{}", queues::BOOKINGS, topology.partition(booking.property_id.as_str())),
        ledger: ledger.as_ref(),
        stripe_events: &stripe_events,
        mails: &mails,
        dead_letters: &dead_letters,
        claims,
        loads,
        ..Timeline::of(booking)
    };
    Ok(Trace { events: timeline.events(), summary: timeline.summary(now, paused), claims })
}

/// A time span in the largest fitting unit.
pub fn time_span(milliseconds: i64) -> String {
    match milliseconds {
        ..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        60_000..3_600_000 => format!("{} min", milliseconds / 60_000),
        _ => format!("{} h", milliseconds / 3_600_000),
    }
}

#[cfg(test)]
mod tests {
    use super::time_span;

    #[test]
    fn time_spans_have_the_largest_fitting_unit() {
        let spans = [(0, "0 ms"), (999, "999 ms"), (1_250, "1.2 s"), (61_000, "1 min"), (7_300_000, "2 h")];
        for (milliseconds, shown) in spans {
            assert_eq!(time_span(milliseconds), shown);
        }
    }
}
