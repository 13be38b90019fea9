//! Figures of the whole system, and the texts by which pages show them. Pure.
//!
//! The same text stands in the page and in the stream, so that a page that loses the stream is merely older.

#[cfg(test)]
mod tests;

use super::history::History;
use super::outages::Outages;
use super::processes::process_texts;
use super::reading::{Outage, Reading, clock};
use super::replays;
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::management::QueueState;
use pvt_messaging::{Oldest, QueueFlow, QueueRole, Rates, Topology};
use pvt_operations::actor_names::ActorNames;
use pvt_operations::checks::{Finding, WAITING_QUEUES, in_order_of_harm};
use pvt_operations::queue_pauses;
use pvt_operations::waited;
use pvt_stores::mongo::dead_letters::ReplayOperation;
use pvt_stores::mongo::queue_pauses::QueuePause;
use pvt_stores::mongo::schedule_runs::ScheduleRun;
use pvt_stores::mongo::worker_processes::{DRAINING, SeenProcess};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use tokio::time::Instant;

/// Stands for a figure that is not known.
pub(crate) const UNKNOWN: &str = "?";

/// Pauses by the full name of the queue, the earliest first.
type PausesByQueue<'p> = BTreeMap<String, Vec<&'p QueuePause>>;

/// Everything that is read again and again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    /// Queues, as the management API counts them.
    pub(crate) queues: Reading<Vec<QueueState>>,
    /// Pauses, as MongoDB has them.
    pub(crate) pauses: Reading<Vec<QueuePause>>,
    /// Names of the staff who paused queues.
    pub(crate) names: ActorNames,
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
    /// What queues wait for, by these.
    pub(crate) outages: Reading<Outages>,
    /// The newest runs of schedules that operators have requested.
    pub(crate) requested_runs: Reading<Vec<ScheduleRun>>,
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
        let pauses = self.pauses.value().map(|pauses| queue_pauses::by_queue(topology, pauses));
        let mut rows: Vec<QueueRow> =
            work.map(|queue| self.queue_row(topology, &queue.name, pauses.as_ref())).collect();
        rows.sort_by(|one, other| other.order.cmp(&one.order).then_with(|| one.name.cmp(&other.name)));
        rows
    }

    fn queue_row(&self, topology: &Topology, name: &str, pauses: Option<&PausesByQueue<'_>>) -> QueueRow {
        let state = self.queue(name);
        let text = |value: fn(&QueueState) -> u64| state.map_or_else(|| UNKNOWN.to_owned(), |it| value(it).to_string());
        let flow = state.and_then(|_| self.flows.get(name)).copied().unwrap_or_default();
        let outages = self.outages.value();
        let outage = outages.map(|outages| outages.of(name));
        let in_hand = outages.and_then(|outages| outages.oldest_seconds(name));
        let age = flow.oldest.map(|oldest| oldest.seconds).max(in_hand).and_then(|age| i64::try_from(age).ok());
        let oldest = match (state, flow.oldest, in_hand) {
            (None, ..) => UNKNOWN.to_owned(),
            (Some(_), ready, Some(seconds)) if ready.is_none_or(|oldest| oldest.seconds <= seconds) => {
                format!("{} in hand", waited(Oldest { seconds, is_at_least: false }))
            }
            (Some(_), Some(oldest), _) => waited(oldest),
            (Some(_), None, _) if outages.is_none() => UNKNOWN.to_owned(),
            (Some(_), None, _) => "–".to_owned(),
        };
        let rate = |of: fn(&Rates) -> f64| {
            flow.rates.as_ref().map_or_else(|| UNKNOWN.to_owned(), |rates| format!("{:.1}", of(rates)))
        };
        let pause = pauses.and_then(|pauses| pauses.get(name)?.first());
        let consumers = state.map(|state| state.consumers);
        let words = match (pause, pauses, consumers, outage) {
            (Some(pause), ..) => {
                format!("paused since {} by {}: {}", pause.since, self.names.of(&pause.actor), pause.reason)
            }
            (None, _, None, _) if self.queues.value().is_some() => "missing".to_owned(),
            (None, None, ..) | (None, _, None, _) => UNKNOWN.to_owned(),
            (None, Some(_), Some(_), Some(Some(outage))) => outage.words(),
            (None, Some(_), Some(0), _) if self.is_coming_back(name) => "consumers are coming back".to_owned(),
            (None, Some(_), Some(0), _) => "no consumers".to_owned(),
            (None, Some(_), Some(_), Some(None)) => "running".to_owned(),
            // It has consumers, and whether these wait for something is not known.
            (None, Some(_), Some(_), None) => UNKNOWN.to_owned(),
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

    /// Whether a live process has left this queue alone because it was paused, or has just said that it consumes it:
    /// the broker shows its consumers only seconds later. What was said longer ago says nothing against a crash since.
    fn is_coming_back(&self, name: &str) -> bool {
        let live = self.processes.value().into_iter().flatten().filter(|seen| !seen.is_stale());
        let mut workers = live.flat_map(|seen| seen.process.workers.iter().map(|worker| (seen.is_fresh(), worker)));
        workers.any(|(is_fresh, worker)| {
            let has_it = is_fresh && worker.queues.iter().any(|queue| queue.name == name);
            worker.state != DRAINING && (has_it || worker.paused.iter().any(|it| it == name))
        })
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
        let (_, findings) = self.checks.value()?;
        // Heartbeats are read more often than the checks are made.
        let live = self.outages.value().map(Outages::finding);
        let others = findings.iter().filter(|finding| live.is_none() || finding.what != WAITING_QUEUES);
        Some(in_order_of_harm(others.chain(live)))
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

    /// A text that changes with the runs that operators have requested. Every page gets it, and not every user may
    /// know of each run: it is a hash.
    pub(crate) fn requested_runs_digest(&self) -> String {
        let Some(runs) = self.requested_runs.value() else { return self.requested_runs.state() };
        let mut hash = DefaultHasher::new();
        for ScheduleRun { id, state, messages, attempts, .. } in runs {
            (id, state.as_str(), messages, attempts).hash(&mut hash);
        }
        format!("{:016x}", hash.finish())
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
        texts.insert("digest.requested_runs".to_owned(), self.requested_runs_digest());
        texts
    }
}
