//! Figures of the whole system, and the texts by which pages show them. Pure.
//!
//! The same text stands in the page and in the stream, so that a page that loses the stream is merely older.

use super::reading::{Outage, Reading, clock};
use super::replays;
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::management::QueueState;
use pvt_messaging::{QueueRole, Topology};
use pvt_operations::checks::{Finding, in_order_of_harm};
use pvt_operations::queue_pauses;
use pvt_operations::trace::time_span;
use pvt_stores::mongo::dead_letters::ReplayOperation;
use pvt_stores::mongo::queue_pauses::QueuePause;
use std::collections::BTreeMap;

/// Stands for a figure that is not known.
pub(crate) const UNKNOWN: &str = "?";

/// Everything that is read again and again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    /// Queues, as the management API counts them.
    pub(crate) queues: Reading<Vec<QueueState>>,
    /// Pauses, as MongoDB has them.
    pub(crate) pauses: Reading<Vec<QueuePause>>,
    /// Whether MongoDB answers, be it that what it stores cannot be understood.
    pub(crate) mongodb: Reading<()>,
    /// Stored dead letters by queue without the prefix, as MongoDB has them.
    pub(crate) dead_letters: Reading<BTreeMap<String, u64>>,
    /// Replays of dead letters that go on, or ended a short time ago.
    pub(crate) replays: Reading<Vec<ReplayOperation>>,
    /// The checks of `pvt doctor`, and when they were made.
    pub(crate) checks: Reading<(Timestamp, Vec<Finding>)>,
    /// When the queues were read.
    pub(crate) at: Option<Timestamp>,
}

/// A work queue as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueueRow {
    /// Without the broker's prefix.
    pub(crate) name: String,
    pub(crate) ready: String,
    pub(crate) unacknowledged: String,
    pub(crate) consumers: String,
    pub(crate) dead: String,
    pub(crate) oldest: String,
    pub(crate) state: String,
    /// The pause in force, by the name that ends it.
    pub(crate) paused_as: Option<String>,
    /// For sorting: oldest message first, then depth.
    order: (i64, u64),
}

/// Messages that wait elsewhere than in a work queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WaitingRow {
    pub(crate) name: String,
    pub(crate) ready: String,
}

impl Figures {
    /// Since when MongoDB does not answer.
    pub(crate) fn mongodb_outage(&self) -> Option<&Outage> {
        self.mongodb.outage()
    }

    fn queue(&self, name: &str) -> Option<&QueueState> {
        self.queues.value()?.iter().find(|queue| queue.name == name)
    }

    fn ready(&self, name: &str) -> String {
        match (&self.queues, self.queue(name)) {
            (Reading::Up(_), Some(queue)) => queue.messages_ready.to_string(),
            (Reading::Up(_), None) => "missing".to_owned(),
            _ => UNKNOWN.to_owned(),
        }
    }

    /// Dead letters of a work queue: those that are stored, and those in their queue that are not yet.
    fn dead(&self, topology: &Topology, name: &str) -> String {
        let waiting = self.queue(&topology.dead_queue(name)).map(|queue| queue.messages_ready);
        let own_name = name.strip_prefix(topology.prefix()).unwrap_or(name);
        let stored = self.dead_letters.value().map(|counts| counts.get(own_name).copied().unwrap_or_default());
        stored.zip(waiting).map_or_else(|| UNKNOWN.to_owned(), |(stored, waiting)| (stored + waiting).to_string())
    }

    /// All work queues, the one with the oldest message first.
    pub(crate) fn queue_rows(&self, topology: &Topology) -> Vec<QueueRow> {
        let work = topology.queues().into_iter().filter(|queue| matches!(queue.role, QueueRole::Work { .. }));
        let mut rows: Vec<QueueRow> = work.map(|queue| self.queue_row(topology, &queue.name)).collect();
        rows.sort_by(|one, other| other.order.cmp(&one.order).then_with(|| one.name.cmp(&other.name)));
        rows
    }

    fn queue_row(&self, topology: &Topology, name: &str) -> QueueRow {
        let state = self.queue(name);
        let text = |value: fn(&QueueState) -> u64| state.map_or_else(|| UNKNOWN.to_owned(), |it| value(it).to_string());
        let age = state.filter(|state| state.messages_ready > 0).and_then(|state| self.age_seconds(state));
        let oldest = match (state, age) {
            (None, _) => UNKNOWN.to_owned(),
            (Some(_), Some(seconds)) => time_span(seconds * 1_000),
            // Brokers before 4.x do not say.
            (Some(_), None) => "–".to_owned(),
        };
        let pauses = self.pauses.value().map(|pauses| queue_pauses::concerning(topology, pauses, name));
        let pause = pauses.as_ref().and_then(|pauses| pauses.first());
        let consumers = state.map(|state| state.consumers);
        let words = match (pause, &pauses, consumers) {
            (Some(pause), ..) => format!("paused since {} by {}: {}", pause.since, pause.actor, pause.reason),
            (None, _, None) if self.queues.value().is_some() => "missing".to_owned(),
            (None, None, _) | (None, _, None) => UNKNOWN.to_owned(),
            (None, Some(_), Some(0)) => "no consumers".to_owned(),
            (None, Some(_), Some(_)) => "running".to_owned(),
        };
        QueueRow {
            name: name.strip_prefix(topology.prefix()).unwrap_or(name).to_owned(),
            ready: self.ready(name),
            unacknowledged: text(|state| state.messages_unacknowledged),
            consumers: text(|state| state.consumers),
            dead: self.dead(topology, name),
            oldest,
            state: words,
            paused_as: pause.map(|pause| pause.queue.clone()),
            order: (age.unwrap_or(-1), state.map_or(0, |state| state.messages)),
        }
    }

    fn age_seconds(&self, queue: &QueueState) -> Option<i64> {
        let head = queue.head_message_timestamp?;
        Some((self.at?.as_datetime().timestamp() - head).max(0))
    }

    /// Retry queues, and the one of unroutable messages.
    pub(crate) fn waiting_rows(&self, topology: &Topology) -> Vec<WaitingRow> {
        let is_waiting = |role: &QueueRole| matches!(role, QueueRole::Retry(_) | QueueRole::Unroutable);
        let waiting = topology.queues().into_iter().filter(|queue| is_waiting(&queue.role));
        let row = |name: &str| WaitingRow {
            name: name.strip_prefix(topology.prefix()).unwrap_or(name).to_owned(),
            ready: self.ready(name),
        };
        waiting.map(|queue| row(&queue.name)).collect()
    }

    /// What is wrong, from the most harmful; `None` while that is not known.
    pub(crate) fn wrong(&self) -> Option<Vec<&Finding>> {
        self.checks.value().map(|(_, findings)| in_order_of_harm(findings))
    }

    /// When the checks were made, or why they are not.
    pub(crate) fn checks_state(&self) -> String {
        self.checks.value().map_or_else(|| self.checks.state(), |(at, _)| format!("made at {}", clock(*at)))
    }

    /// A text that changes with what is wrong, so that pages know when to show it anew.
    pub(crate) fn wrong_digest(&self) -> String {
        let words = |finding: &&Finding| format!("{}={}", finding.what, finding.trouble.as_deref().unwrap_or_default());
        let wrong = self.wrong().map(|wrong| wrong.iter().map(words).collect::<Vec<_>>().join(";"));
        let outages = [self.queues.outage(), self.mongodb.outage()].into_iter().flatten();
        let outages: String = outages.map(|outage| format!(";down since {}", outage.since)).collect();
        wrong.unwrap_or_else(|| self.checks.state()) + &outages
    }

    /// A text that changes with the pauses in force.
    pub(crate) fn pauses_digest(&self) -> String {
        let words = |pause: &QueuePause| format!("{}@{}", pause.queue, pause.since);
        let pauses = self.pauses.value().map(|pauses| pauses.iter().map(words).collect::<Vec<_>>().join(";"));
        pauses.unwrap_or_else(|| self.pauses.state())
    }

    /// Every text that pages show of these figures, by the name under which a page has it.
    pub(crate) fn texts(&self, topology: &Topology) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        for row in self.queue_rows(topology) {
            let name = row.name;
            texts.insert(format!("queue.{name}.ready"), row.ready);
            texts.insert(format!("queue.{name}.unacknowledged"), row.unacknowledged);
            texts.insert(format!("queue.{name}.consumers"), row.consumers);
            texts.insert(format!("queue.{name}.dead"), row.dead);
            texts.insert(format!("queue.{name}.oldest"), row.oldest);
            texts.insert(format!("queue.{name}.state"), row.state);
        }
        for row in self.waiting_rows(topology) {
            texts.insert(format!("waiting.{}.ready", row.name), row.ready);
        }
        texts.insert("source.management".to_owned(), self.queues.state());
        texts.insert("source.mongodb".to_owned(), self.mongodb.state());
        texts.insert("source.checks".to_owned(), self.checks_state());
        texts.insert("digest.wrong".to_owned(), self.wrong_digest());
        texts.insert("digest.pauses".to_owned(), self.pauses_digest());
        texts.extend(replays::texts(&self.dead_letters, &self.replays));
        texts
    }
}

#[cfg(test)]
mod tests {
    use super::{Figures, Reading};
    use chrono::{DateTime, Utc};
    use pvt_domain::timestamp::Timestamp;
    use pvt_messaging::Topology;
    use pvt_messaging::management::QueueState;
    use pvt_stores::mongo::queue_pauses::QueuePause;

    fn at(seconds: i64) -> Timestamp {
        DateTime::<Utc>::from_timestamp(seconds, 0).unwrap().into()
    }

    fn queue(name: &str, ready: u64, head: Option<i64>) -> QueueState {
        QueueState {
            name: format!("x.{name}"),
            messages: ready,
            messages_ready: ready,
            consumers: 1,
            head_message_timestamp: head,
            ..QueueState::default()
        }
    }

    fn figures() -> Figures {
        let pause = QueuePause {
            queue: "bookings".to_owned(),
            since: at(1_000),
            actor: "staff:1".into(),
            reason: "index".to_owned(),
        };
        Figures {
            mongodb: Reading::Up(()),
            queues: Reading::Up(vec![
                queue("emails", 9, Some(1_900)),
                queue("bookings.0", 1, Some(1_000)),
                queue("emails.dead", 3, None),
            ]),
            pauses: Reading::Up(vec![pause]),
            dead_letters: Reading::Up([("emails".to_owned(), 2)].into()),
            replays: Reading::Pending,
            checks: Reading::Pending,
            at: Some(at(2_000)),
        }
    }

    #[test]
    fn queue_with_the_oldest_message_is_first() {
        let rows = figures().queue_rows(&Topology::new("x.", 2));
        let shown: Vec<_> =
            rows.iter().take(2).map(|row| (row.name.as_str(), row.oldest.as_str(), row.dead.as_str())).collect();
        assert_eq!(shown, [("bookings.0", "16 min", "?"), ("emails", "1 min", "5")]);
        assert_eq!(rows[0].paused_as.as_deref(), Some("bookings"));
        assert!(rows[0].state.contains("by staff:1: index"));
        assert_eq!(rows[1].state, "running");
    }

    #[test]
    fn figures_of_a_source_that_is_down_are_unknown() {
        let topology = Topology::new("x.", 2);
        let up = figures();
        let down = Figures { queues: up.queues.next(Err("refused".to_owned()), at(2_001)), ..up };
        let texts = down.texts(&topology);
        assert!(texts.iter().filter(|(name, _)| name.ends_with(".ready")).all(|(_, text)| text == "?"), "{texts:?}");
        assert!(texts["source.management"].contains("down since 1970-01-01 00:33:21 UTC: refused"));
        assert!(texts["queue.bookings.0.state"].starts_with("paused"), "MongoDB still says so");
    }
}
