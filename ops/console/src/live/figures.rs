//! Figures of the whole system, and the texts by which pages show them. Pure.
//!
//! The same text stands in the page and in the stream, so that a page that loses the stream is merely older.

use super::history::History;
use super::processes::process_texts;
use super::reading::{Outage, Reading, clock};
use super::replays;
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::management::QueueState;
use pvt_messaging::{Oldest, QueueFlow, QueueRole, Rates, Topology};
use pvt_operations::checks::{Finding, in_order_of_harm};
use pvt_operations::queue_pauses;
use pvt_operations::trace::time_span;
use pvt_stores::mongo::dead_letters::ReplayOperation;
use pvt_stores::mongo::queue_pauses::QueuePause;
use pvt_stores::mongo::worker_processes::SeenProcess;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::time::Instant;

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
    /// When their reading began.
    pub(crate) replays_begun: Option<Instant>,
    /// The checks of `pvt doctor`, and when they were made.
    pub(crate) checks: Reading<(Timestamp, Vec<Finding>)>,
    /// What follows from the last readings of each work queue, by its full name.
    pub(crate) flows: BTreeMap<String, FlowFigures>,
    /// The last hours, as the scheduler that leads has sampled them.
    pub(crate) history: Reading<Arc<History>>,
    /// Worker processes by their heartbeats.
    pub(crate) processes: Reading<Vec<SeenProcess>>,
    /// Tags of the consumers to which the broker delivers.
    pub(crate) active_consumers: Reading<BTreeSet<String>>,
}

/// What follows from the last readings of a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct FlowFigures {
    oldest: Option<Oldest>,
    rates: Option<Rates>,
}

impl From<&QueueFlow> for FlowFigures {
    fn from(flow: &QueueFlow) -> Self {
        Self { oldest: flow.oldest(), rates: flow.rates() }
    }
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
    /// Messages a second.
    pub(crate) arriving: String,
    pub(crate) handled: String,
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
    /// Takes over a reading of the replays that began at `begun`, unless a later one is known: it may lack what was
    /// done since.
    pub(crate) fn take_replays(&mut self, begun: Instant, read: Result<Vec<ReplayOperation>, String>, now: Timestamp) {
        if self.replays_begun.is_none_or(|known| known <= begun) {
            self.replays = self.replays.next(read, now);
            self.replays_begun = Some(begun);
        }
    }

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
        let flow = state.and_then(|_| self.flows.get(name)).copied().unwrap_or_default();
        let age = flow.oldest.and_then(|oldest| i64::try_from(oldest.seconds).ok());
        let oldest = match (state, flow.oldest) {
            (None, _) => UNKNOWN.to_owned(),
            (Some(_), Some(oldest)) => waited(oldest),
            (Some(_), None) => "–".to_owned(),
        };
        let rate = |of: fn(&Rates) -> f64| {
            flow.rates.as_ref().map_or_else(|| UNKNOWN.to_owned(), |rates| format!("{:.1}", of(rates)))
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
            arriving: rate(|rates| rates.arriving),
            handled: rate(|rates| rates.handled),
            state: words,
            paused_as: pause.map(|pause| pause.queue.clone()),
            order: (age.unwrap_or(-1), state.map_or(0, |state| state.messages)),
        }
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

    /// A text that changes with the pauses in force and with the newest sample of the queues.
    pub(crate) fn queues_digest(&self) -> String {
        let newest = self.history.value().and_then(|history| history.newest());
        let newest = newest.map_or_else(|| self.history.state(), |at| at.to_string());
        format!("{};{newest}", self.pauses_digest())
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
            texts.insert(format!("queue.{name}.arriving"), row.arriving);
            texts.insert(format!("queue.{name}.handled"), row.handled);
            texts.insert(format!("queue.{name}.state"), row.state);
        }
        for row in self.waiting_rows(topology) {
            texts.insert(format!("waiting.{}.ready", row.name), row.ready);
        }
        texts.insert("source.management".to_owned(), self.queues.state());
        texts.insert("source.mongodb".to_owned(), self.mongodb.state());
        texts.insert("source.checks".to_owned(), self.checks_state());
        texts.insert("digest.wrong".to_owned(), self.wrong_digest());
        texts.insert("digest.queues".to_owned(), self.queues_digest());
        texts.extend(replays::texts(&self.dead_letters, &self.replays));
        texts.extend(process_texts(self));
        texts
    }
}

/// How long the first message has waited, as far as that is known.
fn waited(Oldest { seconds, is_at_least }: Oldest) -> String {
    let span = time_span(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000));
    if is_at_least { format!("at least {span}") } else { span }
}

#[cfg(test)]
mod tests {
    use super::{Figures, FlowFigures, Reading};
    use chrono::{DateTime, Utc};
    use pvt_domain::timestamp::Timestamp;
    use pvt_messaging::management::QueueState;
    use pvt_messaging::{Oldest, Rates, Topology};
    use pvt_stores::mongo::queue_pauses::QueuePause;

    fn at(seconds: i64) -> Timestamp {
        DateTime::<Utc>::from_timestamp(seconds, 0).unwrap().into()
    }

    fn queue(name: &str, ready: u64) -> QueueState {
        QueueState {
            name: format!("x.{name}"),
            messages: ready,
            messages_ready: ready,
            consumers: 1,
            ..QueueState::default()
        }
    }

    #[test]
    fn older_reading_of_the_replays_does_not_replace_a_newer_one() {
        let begun = |number: u64| tokio::time::Instant::now() + std::time::Duration::from_secs(number);
        let (earlier, later, latest) = (begun(0), begun(1), begun(2));
        let replay = |reason: &str| vec![super::ReplayOperation::new("a", reason.to_owned(), String::new(), 1, at(1))];
        let mut figures = Figures::default();
        figures.take_replays(later, Ok(replay("newer")), at(3));
        figures.take_replays(earlier, Ok(replay("older")), at(4));
        figures.take_replays(earlier, Err("timeout".to_owned()), at(4));
        let shown = |figures: &Figures| figures.replays.value().map(|replays| replays[0].reason.clone());
        assert_eq!(shown(&figures).as_deref(), Some("newer"));
        figures.take_replays(latest, Err("timeout".to_owned()), at(5));
        assert!(figures.replays.outage().is_some(), "a newer failure counts");
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
            queues: Reading::Up(vec![queue("emails", 9), queue("bookings.0", 1), queue("emails.dead", 3)]),
            flows: [waits("emails", 100, false), waits("bookings.0", 1_000, true)].into(),
            pauses: Reading::Up(vec![pause]),
            dead_letters: Reading::Up([("emails".to_owned(), 2)].into()),
            ..Figures::default()
        }
    }

    fn waits(name: &str, seconds: u64, is_at_least: bool) -> (String, FlowFigures) {
        let rates = Some(Rates { arriving: 2.0, handled: 0.25 });
        (format!("x.{name}"), FlowFigures { oldest: Some(Oldest { seconds, is_at_least }), rates })
    }

    #[test]
    fn queue_with_the_oldest_message_is_first() {
        let rows = figures().queue_rows(&Topology::new("x.", 2));
        let shown: Vec<_> =
            rows.iter().take(2).map(|row| (row.name.as_str(), row.oldest.as_str(), row.dead.as_str())).collect();
        assert_eq!(shown, [("bookings.0", "at least 16 min", "?"), ("emails", "1 min", "5")]);
        assert_eq!(rows[0].paused_as.as_deref(), Some("bookings"));
        assert!(rows[0].state.contains("by staff:1: index"));
        assert_eq!(rows[1].state, "running");
        assert_eq!((rows[1].arriving.as_str(), rows[1].handled.as_str()), ("2.0", "0.2"));
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
