//! Forecast of a replay: whether each message can be read now, what was done already, and what would happen.

use anyhow::Result;
use pvt_domain::booking::Booking;
use pvt_domain::dead_letters::check_readable;
use pvt_domain::events::BookingEvent;
use pvt_domain::ids::BookingId;
use pvt_domain::messages::queues;
use pvt_stores::mart::Mart;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::dead_letters::{DeadLetter, DeadLetterFilter, DeadLetterState};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Dead letters that are read together with what they are about.
const CHUNK: usize = 200;

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
    /// The dead letter.
    pub dead_letter: DeadLetter,
    /// Why its worker cannot read it.
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
    for chunk in selected.chunks(CHUNK) {
        let found = mongo.dead_letters().with_messages(chunk.iter().map(|one| one.id)).await?;
        let mut found: HashMap<Uuid, DeadLetter> = found.into_iter().map(|one| (one.id, one)).collect();
        let known = known(mongo, mart, chunk).await?;
        let complete = chunk.iter().filter_map(|one| found.remove(&one.id));
        forecasts.extend(complete.map(|one| known.forecast(one)));
    }
    Ok(forecasts)
}

async fn known(mongo: &Mongo, mart: &Mart, dead_letters: &[DeadLetter]) -> Result<Known> {
    let of = |queue: &'static str| dead_letters.iter().filter(move |one| one.queue_family() == queue);
    let bookings = mongo.bookings().find_by_ids(of(queues::BOOKINGS).filter_map(|one| one.booking_id)).await?;
    let events: Vec<Uuid> = of(queues::ANALYTICS).map(|one| one.message_id).collect();
    let missing = if events.is_empty() { None } else { mart.missing_events(&events).await.ok() };
    Ok(Known { bookings, missing })
}

impl Known {
    fn forecast(&self, dead_letter: DeadLetter) -> Forecast {
        let DeadLetter { kind, message, .. } = &dead_letter;
        let body = message.as_ref().map(|message| message.body.as_slice()).unwrap_or_default();
        let unreadable = check_readable(dead_letter.queue_family(), kind, body).err().map(|error| error.to_string());
        Forecast { done: self.done(&dead_letter), unreadable, dead_letter }
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
