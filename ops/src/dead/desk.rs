//! Takes set-aside messages from their queues to be looked at, and gives back what is not dealt with.

use crate::broker;
use crate::outcome::Problem;
use anyhow::{Context, Result};
use pvt_messaging::{
    Ack, Delivery, FIRST_ATTEMPT, Publisher, QueueRole, Subscriber, Subscription, Target, Topology, count_queues,
};
use pvt_service::config::Config;
use pvt_worker_runtime::{
    HEADER_DEFERRALS, HEADER_ERROR_CLASS, HEADER_ERROR_MESSAGE, HEADER_FIRST_FAILED_AT, HEADER_WORKER,
};
use secrecy::ExposeSecret;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

/// Most messages of one queue that one command looks at.
const LOOK_AT_MOST: u16 = 10_000;
/// More than were counted, for those that arrive meanwhile.
const SPARE: u32 = 100;
/// After this silence of the broker everything that was there has been seen.
const SILENCE: Duration = Duration::from_millis(700);
/// Headers that tell of earlier attempts; a replayed message starts anew. Since when it has been failing is kept: a
/// message that comes back a third time is an old acquaintance.
const OF_THE_LAST_LIFE: [&str; 4] = [HEADER_DEFERRALS, HEADER_ERROR_CLASS, HEADER_ERROR_MESSAGE, HEADER_WORKER];
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// A queue that holds messages nobody consumes.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Its full name.
    pub(super) queue: String,
    /// The work queue that gave up; `None` for what had no route.
    pub(super) home: Option<String>,
}

impl Place {
    /// What people call it.
    pub(super) fn label(&self) -> &str {
        self.home.as_deref().unwrap_or(&self.queue)
    }
}

/// The places that a command is about.
pub(super) fn places(topology: &Topology, only: Option<&str>, unroutable: bool) -> Result<Vec<Place>> {
    if unroutable {
        return Ok(vec![unroutable_place(topology)]);
    }
    let work = topology
        .queues()
        .into_iter()
        .filter(|queue| matches!(queue.role, QueueRole::Work { .. }))
        .map(|queue| queue.name);
    let all: Vec<Place> = work.map(|home| Place { queue: topology.dead_queue(&home), home: Some(home) }).collect();
    let Some(only) = only else { return Ok(all) };
    let wanted = topology.name(only);
    let known = all.iter().map(Place::label).collect::<Vec<_>>().join(", ");
    let found: Vec<Place> = all.into_iter().filter(|place| place.label() == wanted || place.label() == only).collect();
    if found.is_empty() {
        Err(Problem::NotFound(format!("no queue `{only}`; there are {known}")).into())
    } else {
        Ok(found)
    }
}

/// Where messages without a route are.
pub(super) fn unroutable_place(topology: &Topology) -> Place {
    Place { queue: topology.unroutable_queue(), home: None }
}

/// A message with the id that commands know it by.
pub(super) struct Letter {
    /// Its message id; for a message without one, derived from what it is and where.
    pub(super) id: Uuid,
    pub(super) delivery: Delivery,
}

/// What is to become of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Stays,
    GoesHome,
    Vanishes,
}

/// The connections of one command.
pub(super) struct Desk {
    subscriber: Subscriber,
    publisher: Publisher,
    counts: HashMap<String, u32>,
}

impl Desk {
    /// Connects, and counts what there is.
    pub(super) async fn open(config: &Config, places: &[Place]) -> Result<Self> {
        let queues: Vec<String> = places.iter().map(|place| place.queue.clone()).collect();
        let url = config.amqp_url.expose_secret();
        let counted = count_queues(url, "pvt dead", &queues).await?;
        let counts = queues.into_iter().zip(counted).filter_map(|(queue, count)| Some((queue, count?.ready))).collect();
        let topology = broker::topology(config);
        let (publisher, subscriber) =
            (Publisher::start(url, topology.clone(), "pvt dead"), Subscriber::start(url, topology, "pvt dead"));
        Ok(Self { subscriber, publisher, counts })
    }

    /// Looks at every message of these places and does with each what `judge` says. All of a place are looked at before
    /// the first goes home: one that fails again at once must not be met a second time.
    pub(super) async fn visit(&self, places: &[Place], mut judge: impl FnMut(&Place, &Letter) -> Fate) -> Result<()> {
        for place in places.iter().filter(|place| self.counts.get(&place.queue).is_some_and(|ready| *ready > 0)) {
            let ready = self.counts.get(&place.queue).copied().unwrap_or_default();
            let prefetch = u16::try_from(ready.saturating_add(SPARE)).unwrap_or(LOOK_AT_MOST).min(LOOK_AT_MOST);
            let mut subscription = self.subscriber.subscribe(&place.queue, prefetch).await?;
            let done = self.visit_place(&mut subscription, place, usize::from(prefetch), &mut judge).await;
            // Closing the channel returns what was only looked at.
            let closed = subscription.close().await;
            done.with_context(|| place.queue.clone())?;
            closed?;
        }
        Ok(())
    }

    async fn visit_place(
        &self,
        subscription: &mut Subscription,
        place: &Place,
        limit: usize,
        judge: &mut impl FnMut(&Place, &Letter) -> Fate,
    ) -> Result<()> {
        for letter in read(subscription, place, limit).await? {
            match (judge(place, &letter), &place.home) {
                (Fate::Stays, _) => continue,
                (Fate::GoesHome, Some(home)) => {
                    let mut copy = letter.delivery.republish(Target::Queue, home);
                    copy.attempt = FIRST_ATTEMPT;
                    copy.headers.retain(|(name, _)| !OF_THE_LAST_LIFE.contains(&name.as_ref()));
                    self.publisher.publish(copy).await?;
                }
                (Fate::GoesHome, None) => continue,
                (Fate::Vanishes, _) => {}
            }
            subscription.acks().send(&[Ack { tag: letter.delivery.tag, multiple: false }]).await?;
        }
        Ok(())
    }

    /// Says goodbye to the broker, also after a failure.
    pub(super) async fn close(self) {
        self.subscriber.close(CLOSE_LIMIT).await;
        self.publisher.close(CLOSE_LIMIT).await;
    }
}

async fn read(subscription: &mut Subscription, place: &Place, limit: usize) -> Result<Vec<Letter>> {
    let mut letters: Vec<Letter> = Vec::new();
    let mut alike: HashMap<Uuid, u32> = HashMap::new();
    while letters.len() < limit {
        let Ok(delivery) = timeout(SILENCE, subscription.next()).await else { break };
        let delivery = delivery?;
        let id =
            if delivery.envelope.id.is_nil() { handle(place, &delivery, &mut alike) } else { delivery.envelope.id };
        letters.push(Letter { id, delivery });
    }
    Ok(letters)
}

/// A name for a message without an id: the same at every look, and another one for each of several that are alike.
fn handle(place: &Place, delivery: &Delivery, alike: &mut HashMap<Uuid, u32>) -> Uuid {
    let envelope = &delivery.envelope;
    let failed = envelope.header(HEADER_FIRST_FAILED_AT).unwrap_or_default();
    let sent = envelope.timestamp.map(|time| time.timestamp()).unwrap_or_default();
    let about = format!("{}\n{}\n{failed}\n{sent}\n", place.queue, envelope.kind);
    let content = Uuid::new_v5(&Uuid::nil(), &[about.as_bytes(), &delivery.body].concat());
    let earlier = alike.entry(content).or_default();
    *earlier += 1;
    Uuid::new_v5(&content, earlier.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pvt_messaging::Envelope;
    use std::sync::Arc;

    fn nameless(body: &'static str) -> Delivery {
        Delivery {
            tag: 1,
            redelivered: false,
            delivery_count: 0,
            envelope: Arc::new(Envelope::default()),
            body: body.into(),
        }
    }

    #[test]
    fn messages_without_an_id_are_told_apart_and_recognised() {
        let place = Place { queue: "emails.dead".to_owned(), home: Some("emails".to_owned()) };
        let look = || {
            let mut alike = HashMap::new();
            ["{}", "{}", "[]"].map(|body| handle(&place, &nameless(body), &mut alike))
        };
        let [first, second, third] = look();
        assert!(first != second && second != third && first != third);
        assert_eq!(look(), [first, second, third]);
    }

    #[test]
    fn places_are_found_by_either_name() {
        let topology = Topology::new("t.", 2);
        let queue = |only| places(&topology, Some(only), false).unwrap()[0].queue.clone();
        assert_eq!(
            (queue("emails"), queue("t.bookings.1")),
            ("t.emails.dead".to_owned(), "t.bookings.1.dead".to_owned())
        );
        assert!(places(&topology, Some("nosuch"), false).is_err());
        assert_eq!(places(&topology, None, true).unwrap().len(), 1);
    }
}
