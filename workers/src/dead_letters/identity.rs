//! Identity of dead letters: which document a message belongs to, which death of it this is, and the way back to its
//! queue.

use chrono::{DateTime, Utc};
use pvt_domain::dead_letters::{Fingerprint, queue_family};
use pvt_domain::ids::BookingId;
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::{Delivery, Envelope, Outgoing, Target};
use pvt_stores::mongo::dead_letters::{Arrival, DeadLetter, Death, StoredMessage};
use pvt_worker_runtime::{HEADER_ERROR_CLASS, HEADER_ERROR_MESSAGE, HEADER_FIRST_FAILED_AT, HEADER_WORKER, begin_anew};
use serde::Deserialize;
use std::collections::HashMap;
use uuid::Uuid;

/// Header of a replayed message: its queue, the id of its dead letter, by which its next death is recognized, and its
/// own id. A message that was made from it under another id is another one.
pub const HEADER_DEAD_LETTER: &str = "dead-letter";
/// Header of a replayed message: the operation that replayed it.
pub const HEADER_REPLAY: &str = pvt_worker_runtime::HEADER_REPLAY;
/// The class of a message that the broker gave up, which leaves no header.
const DELIVERY_LIMIT: &str = "delivery_limit";

/// Makes the documents of the messages of one queue, in their order.
pub(super) struct Arrivals {
    /// Without the broker's prefix.
    queue: String,
    /// Full name.
    dead_queue: String,
    position: i64,
    identical: HashMap<Uuid, u32>,
}

impl Arrivals {
    /// Those after `position`.
    pub(super) fn after(position: i64, queue: &str, dead_queue: &str) -> Self {
        Self { queue: queue.to_owned(), dead_queue: dead_queue.to_owned(), position, identical: HashMap::new() }
    }

    /// The next one.
    pub(super) fn next(&mut self, delivery: &Delivery, now: DateTime<Utc>) -> Arrival {
        let id = self.id_of(delivery);
        self.position += 1;
        let envelope = &*delivery.envelope;
        let header = |name: &str| envelope.header(name).map(str::to_owned);
        let (class, error) = (header(HEADER_ERROR_CLASS), header(HEADER_ERROR_MESSAGE));
        let (class, worker) = (class.unwrap_or_else(|| DELIVERY_LIMIT.to_owned()), header(HEADER_WORKER));
        let source = worker.as_deref().unwrap_or_else(|| queue_family(&self.queue));
        let group = Fingerprint::new(source, &class, error.as_deref().unwrap_or_default()).group;
        let death = Death {
            id: death_id(id, delivery),
            died_at: now.into(),
            position: self.position,
            class,
            worker,
            error,
            group,
            attempt: envelope.attempt,
            first_failed_at: header(HEADER_FIRST_FAILED_AT),
            follows: envelope.header(HEADER_REPLAY).and_then(|id| Uuid::try_parse(id).ok()),
            bytes: u32::try_from(delivery.body.len()).unwrap_or(u32::MAX),
        };
        Arrival {
            id,
            queue: self.queue.clone(),
            message_id: envelope.id,
            kind: envelope.kind.to_string(),
            booking_id: booking_of(delivery),
            death,
            message: stored(delivery),
        }
    }

    /// The id of another document, for a message without an id that is equal to one that was stored before.
    pub(super) fn renamed(&mut self, delivery: &Delivery, mut arrival: Arrival) -> Arrival {
        arrival.id = nameless_id(&self.dead_queue, delivery, &mut self.identical);
        arrival.death.id = death_id(arrival.id, delivery);
        arrival
    }

    /// What a replay has noted counts; the message may have been edited since it first died.
    fn id_of(&mut self, delivery: &Delivery) -> Uuid {
        let envelope = &delivery.envelope;
        let of_replay = envelope.header(HEADER_DEAD_LETTER).and_then(|note| {
            let (dead_letter, message) = note.strip_prefix(self.queue.as_str())?.strip_prefix('/')?.split_once('/')?;
            let is_own = Uuid::try_parse(message).ok()? == envelope.id;
            Uuid::try_parse(dead_letter).ok().filter(|_| is_own)
        });
        if let Some(id) = of_replay {
            return id;
        }
        if envelope.id.is_nil() {
            return nameless_id(&self.dead_queue, delivery, &mut self.identical);
        }
        // Two bodies under one id are two messages, whatever their sender meant.
        let about = format!("{}\n{}\n", self.queue, envelope.id);
        Uuid::new_v5(&Uuid::nil(), &[about.as_bytes(), &delivery.body].concat())
    }
}

/// An id for a message of this dead-letter queue (full name) that has none: the same at every reading, and distinct for
/// each of several identical messages.
pub fn nameless_id(dead_queue: &str, delivery: &Delivery, identical: &mut HashMap<Uuid, u32>) -> Uuid {
    let envelope = &delivery.envelope;
    let failed = envelope.header(HEADER_FIRST_FAILED_AT).unwrap_or_default();
    let sent = envelope.timestamp.map(|time| time.timestamp()).unwrap_or_default();
    let about = format!("{dead_queue}\n{}\n{failed}\n{sent}\n", envelope.kind);
    let content = Uuid::new_v5(&Uuid::nil(), &[about.as_bytes(), &delivery.body].concat());
    let earlier = identical.entry(content).or_default();
    *earlier += 1;
    Uuid::new_v5(&content, earlier.to_string().as_bytes())
}

/// Of everything that tells one death of a message from another: the replay before it, errors, times.
fn death_id(dead_letter: Uuid, delivery: &Delivery) -> Uuid {
    let envelope = &delivery.envelope;
    let mut headers: Vec<String> = envelope.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
    headers.sort_unstable();
    let about = format!("{}\n{}\n", envelope.attempt, headers.join("\n"));
    Uuid::new_v5(&dead_letter, &[about.as_bytes(), &delivery.body].concat())
}

fn stored(delivery: &Delivery) -> StoredMessage {
    let Envelope { correlation_id, reply_to, traceparent, actor, timestamp, headers, .. } = &*delivery.envelope;
    StoredMessage {
        correlation_id: *correlation_id,
        reply_to: reply_to.clone(),
        traceparent: traceparent.clone(),
        actor: actor.clone(),
        sent_at: timestamp.map(Timestamp::from),
        headers: headers.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(),
        body: delivery.body.to_vec(),
    }
}

/// The booking that its properties name, or its body.
fn booking_of(delivery: &Delivery) -> Option<BookingId> {
    #[derive(Deserialize)]
    struct About {
        booking_id: BookingId,
    }
    let of_body = || serde_json::from_slice::<About>(&delivery.body).ok().map(|about| about.booking_id);
    delivery.envelope.correlation_id.map(BookingId::from_uuid).or_else(of_body)
}

/// The message for its queue (full name), under its own id and with its retry schedule before it.
pub(super) fn replay(dead_letter: &DeadLetter, message: &StoredMessage, queue: String, operation: Uuid) -> Outgoing {
    let headers = message.headers.iter().map(|(name, value)| (name.clone().into(), value.clone())).collect();
    let mut envelope = Envelope {
        id: dead_letter.message_id,
        kind: dead_letter.kind.clone().into(),
        correlation_id: message.correlation_id,
        reply_to: message.reply_to.clone(),
        traceparent: message.traceparent.clone(),
        actor: message.actor.clone(),
        timestamp: message.sent_at.map(|sent| sent.as_datetime()),
        headers,
        ..Envelope::default()
    };
    begin_anew(&mut envelope);
    let DeadLetter { id, queue: own_queue, message_id, .. } = dead_letter;
    envelope.set_header(HEADER_DEAD_LETTER, format!("{own_queue}/{id}/{message_id}"));
    envelope.set_header(HEADER_REPLAY, operation.to_string());
    Outgoing { target: Target::Queue, routing_key: queue.into(), envelope, body: message.body.clone().into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pvt_stores::mongo::dead_letters::DeadLetterState;
    use std::sync::Arc;

    fn delivery(id: u128, headers: &[(&str, &str)], body: &'static str) -> Delivery {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned().into(), (*value).to_owned())).collect();
        let envelope = Envelope { id: Uuid::from_u128(id), kind: "a.b.v1".into(), headers, ..Envelope::default() };
        Delivery { envelope: Arc::new(envelope), body: body.into(), ..Delivery::default() }
    }

    fn arrivals() -> Arrivals {
        Arrivals::after(7, "bookings.1", "t.bookings.1.dead")
    }

    fn as_stored(arrival: Arrival) -> DeadLetter {
        DeadLetter {
            id: arrival.id,
            queue: arrival.queue,
            message_id: arrival.message_id,
            kind: arrival.kind,
            booking_id: arrival.booking_id,
            state: DeadLetterState::Replaying,
            deaths: 1,
            first_died_at: arrival.death.died_at,
            new_since_replay: false,
            last: arrival.death,
            operation: None,
            replays: Vec::new(),
            edits: Vec::new(),
            discarded: None,
            message: Some(arrival.message),
            original: None,
        }
    }

    #[test]
    fn death_that_is_read_again_is_the_same_and_one_after_a_replay_is_another() {
        let headers = [("error-class", "panic"), ("first-failed-at", "2027-01-01T00:00:00.000Z"), ("note", "x")];
        let first = delivery(1, &headers, "{}");
        let now = Utc::now();
        let (one, again) = (arrivals().next(&first, now), arrivals().next(&first, now));
        assert_eq!((one.id, one.death.id, one.death.position), (again.id, again.death.id, 8));
        let stored = as_stored(one.clone());
        let message = stored.message.as_ref().unwrap();
        let sent = replay(&stored, message, "t.bookings.1".to_owned(), Uuid::from_u128(5));
        assert_eq!((sent.envelope.header("note"), sent.envelope.header("error-class")), (Some("x"), None));
        let died = Delivery { envelope: Arc::new(sent.envelope), body: "edited".into(), ..Delivery::default() };
        let second = arrivals().next(&died, now);
        assert_eq!((second.id, second.death.follows), (one.id, Some(Uuid::from_u128(5))));
        assert_ne!(second.death.id, one.death.id);
        let moved = Arrivals::after(0, "emails", "t.emails.dead").next(&died, now);
        assert_ne!(moved.id, one.id, "another tool has moved it to another queue");
        let mut copied = died.clone();
        Arc::make_mut(&mut copied.envelope).id = Uuid::from_u128(2);
        assert_ne!(arrivals().next(&copied, now).id, one.id, "another tool has copied it under another id");
    }

    #[test]
    fn messages_that_differ_have_documents_of_their_own() {
        let mut arrivals = arrivals();
        let mut id = |delivery: Delivery| arrivals.next(&delivery, Utc::now()).id;
        let ids = [
            id(delivery(1, &[], "{}")),
            id(delivery(2, &[], "{}")),
            id(delivery(1, &[], "[]")),
            id(delivery(0, &[], "{}")),
            id(delivery(0, &[], "{}")),
        ];
        assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), ids.len());
        let of_another = Arrivals::after(0, "emails", "t.emails.dead").next(&delivery(1, &[], "{}"), Utc::now());
        assert!(!ids.contains(&of_another.id));
    }

    #[test]
    fn booking_is_read_from_properties_and_body() {
        let booking = Uuid::from_u128(9);
        let mut named = delivery(1, &[], "no JSON");
        Arc::make_mut(&mut named.envelope).correlation_id = Some(booking);
        assert_eq!(booking_of(&named), Some(BookingId::from_uuid(booking)));
        let body = r#"{"booking_id":"00000000-0000-0000-0000-000000000009","x":1}"#;
        assert_eq!(booking_of(&delivery(1, &[], body)), Some(BookingId::from_uuid(booking)));
        assert_eq!(booking_of(&delivery(1, &[], "{}")), None);
    }
}
