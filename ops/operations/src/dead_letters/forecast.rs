//! Forecast of a replay: whether each message can be read now, what was done already, and what would happen.

use anyhow::Result;
use pvt_domain::booking::Booking;
use pvt_domain::dead_letters::{check_readable, masked_error};
use pvt_domain::events::BookingEvent;
use pvt_domain::ids::BookingId;
use pvt_domain::messages::queues;
use pvt_stores::mart::Mart;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::dead_letters::{DeadLetter, DeadLetterFilter, DeadLetterState};
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

/// Most dead letters that are read together with what they are about.
const CHUNK: usize = 100;
/// Most bytes of their bodies.
const CHUNK_BYTES: u64 = 16 * 1024 * 1024;
/// For one question to the mart.
const MART_LIMIT: Duration = Duration::from_secs(1);

/// Whether a message was handled before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// It was, as the store of its worker says.
    Yes(String),
    /// It was not.
    No(String),
    /// Only its worker can tell.
    Unknown,
}

/// What a replay of a dead letter would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// The dead letter, without its message.
    pub dead_letter: DeadLetter,
    /// Why its worker cannot read it, without what that quotes.
    pub unreadable: Option<String>,
    /// Whether it was handled before.
    pub done: Done,
}

impl Forecast {
    /// What would happen, for people.
    pub fn outcome(&self) -> String {
        match (&self.unreadable, &self.done) {
            (Some(why), _) => format!("it would die again: {why}"),
            (None, Done::Yes(what)) => format!("it would be recognized: {what}"),
            (None, Done::No(what)) => format!("it would be handled: {what}"),
            (None, Done::Unknown) => "it would be handled, or recognized if it was handled before".to_owned(),
        }
    }
}

/// What is stored about the bookings and events of some dead letters.
struct Known {
    bookings: HashMap<BookingId, Booking>,
    /// Events of bookings that the mart lacks; `None` while it cannot be read.
    missing: Option<HashSet<Uuid>>,
}

/// What a replay of those that match and are dead would do, in the order in which it would; of the first `limit`, or of
/// all where it is 0. Changes nothing.
///
/// # Errors
/// When MongoDB fails. Without PostgreSQL it is unknown what the mart has.
pub async fn forecast(mongo: &Mongo, mart: &Mart, filter: &DeadLetterFilter, limit: i64) -> Result<Vec<Forecast>> {
    let selected = mongo.dead_letters().list(filter, &[DeadLetterState::Dead], 0, limit).await?;
    let mut forecasts = Vec::with_capacity(selected.len());
    // One that does not answer is not asked again: every question would have to be waited for.
    let mut mart = Some(mart);
    let mut rest = selected.as_slice();
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at(chunk_length(rest.iter().map(|one| one.last.bytes)));
        rest = later;
        let found = mongo.dead_letters().with_messages(chunk.iter().map(|one| one.id)).await?;
        let mut found: HashMap<Uuid, DeadLetter> = found.into_iter().map(|one| (one.id, one)).collect();
        let known = known(mongo, &mut mart, chunk).await?;
        let complete = chunk.iter().filter_map(|one| found.remove(&one.id));
        forecasts.extend(complete.map(|one| known.forecast(one)));
    }
    Ok(forecasts)
}

/// How many of the first are read together: a body may have megabytes.
fn chunk_length(lengths: impl Iterator<Item = u32>) -> usize {
    let mut bytes = 0;
    let fits = lengths.take(CHUNK).take_while(|length| {
        bytes += u64::from(*length);
        bytes <= CHUNK_BYTES
    });
    fits.count().max(1)
}

async fn known(mongo: &Mongo, mart: &mut Option<&Mart>, dead_letters: &[DeadLetter]) -> Result<Known> {
    let of = |queue: &'static str| dead_letters.iter().filter(move |one| one.queue_family() == queue);
    let bookings = mongo.bookings().find_by_ids(of(queues::BOOKINGS).filter_map(|one| one.booking_id)).await?;
    let events: Vec<Uuid> = of(queues::ANALYTICS).map(|one| one.message_id).collect();
    let missing = match mart {
        Some(asked) if !events.is_empty() => {
            let missing = timeout(MART_LIMIT, asked.missing_events(&events)).await.ok().and_then(Result::ok);
            if missing.is_none() {
                *mart = None;
            }
            missing
        }
        _ => None,
    };
    Ok(Known { bookings, missing })
}

impl Known {
    fn forecast(&self, dead_letter: DeadLetter) -> Forecast {
        let DeadLetter { kind, message, .. } = &dead_letter;
        let body = message.as_ref().map(|message| message.body.as_slice()).unwrap_or_default();
        let unreadable = check_readable(dead_letter.queue_family(), kind, body).err();
        let unreadable = unreadable.map(|error| masked_error(&error.to_string()));
        let done = self.done(&dead_letter);
        Forecast { done, unreadable, dead_letter: DeadLetter { message: None, original: None, ..dead_letter } }
    }

    fn done(&self, dead_letter: &DeadLetter) -> Done {
        match (dead_letter.queue_family(), dead_letter.booking_id) {
            (queues::BOOKINGS, Some(id)) => {
                let Some(booking) = self.bookings.get(&id) else {
                    return Done::No("there is no such booking".to_owned());
                };
                let made = booking.history.iter().find(|entry| entry.command_id == dead_letter.message_id);
                match made {
                    Some(entry) => Done::Yes(format!("revision {} of the booking is its", entry.rev)),
                    None => Done::No(format!("the booking is {} and does not know it", booking.status.as_str())),
                }
            }
            (queues::ANALYTICS, _) if BookingEvent::KINDS.contains(&dead_letter.kind.as_str()) => match &self.missing {
                None => Done::Unknown,
                Some(missing) if missing.contains(&dead_letter.message_id) => Done::No("the mart lacks it".to_owned()),
                Some(_) => Done::Yes("the mart has it".to_owned()),
            },
            _ => Done::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::chunk_length;

    #[test]
    fn few_large_bodies_are_read_together_and_always_one() {
        assert_eq!(chunk_length([1_000; 500].into_iter()), 100);
        assert_eq!(chunk_length([6 * 1024 * 1024; 500].into_iter()), 2);
        assert_eq!(chunk_length([u32::MAX, 1].into_iter()), 1);
    }
}
