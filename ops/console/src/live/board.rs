//! Board of the live figures: the newest ones, and their latest changes by number.
//!
//! A number is of one process: its prefix is random, so that a stream that continues at another console begins anew.

use super::figures::Figures;
use chrono::Utc;
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::Topology;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

/// Changes that are kept for streams that were cut: a few minutes of a busy system.
const KEPT_CHANGES: usize = 300;
/// Oldest round of readings whose figures still count: a few intervals, each with the longest that a round may take.
const LONGEST_ROUND_OF_QUEUES: Duration = Duration::from_secs(15);
const LONGEST_ROUND_OF_PROCESSES: Duration = Duration::from_secs(20);
const LONGEST_ROUND_OF_HISTORY: Duration = Duration::from_secs(45);
const LONGEST_ROUND_OF_CHECKS: Duration = Duration::from_secs(60);

/// An event of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its number, as `Last-Event-ID` returns it.
    pub(crate) id: String,
    /// `snapshot` or `delta`.
    pub(crate) kind: &'static str,
    /// JSON.
    pub(crate) data: String,
}

#[derive(Serialize)]
struct Texts<'a> {
    at: Timestamp,
    texts: &'a BTreeMap<String, String>,
}

/// When the newest round of each watch was complete; before the first one, when the board was made.
#[derive(Clone, Copy)]
struct Rounds {
    queues: Instant,
    processes: Instant,
    history: Instant,
    checks: Instant,
}

impl Rounds {
    fn begin() -> Self {
        let now = Instant::now();
        Self { queues: now, processes: now, history: now, checks: now }
    }

    fn is_fresh(self) -> bool {
        self.queues.elapsed() < LONGEST_ROUND_OF_QUEUES
            && self.processes.elapsed() < LONGEST_ROUND_OF_PROCESSES
            && self.history.elapsed() < LONGEST_ROUND_OF_HISTORY
            && self.checks.elapsed() < LONGEST_ROUND_OF_CHECKS
    }
}

struct State {
    rounds: Rounds,
    figures: Arc<Figures>,
    texts: BTreeMap<String, String>,
    number: u64,
    changes: VecDeque<(u64, String)>,
}

/// The newest figures and their changes.
pub(crate) struct Board {
    topology: Topology,
    process: String,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

impl Board {
    pub(crate) fn new(topology: Topology) -> Self {
        let figures = Arc::new(Figures::default());
        let texts = figures.texts(&topology);
        let state = State { rounds: Rounds::begin(), figures, texts, number: 0, changes: VecDeque::new() };
        let process = Uuid::new_v4().simple().to_string().chars().take(8).collect();
        Self { topology, process, state: Mutex::new(state), changed: watch::Sender::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest figures.
    pub(crate) fn figures(&self) -> Arc<Figures> {
        self.state().figures.clone()
    }

    /// Takes over what a complete round of reading the queues makes of the figures.
    pub(crate) fn queues_read(&self, change: impl FnOnce(&mut Figures)) {
        self.state().rounds.queues = Instant::now();
        self.update(change);
    }

    /// Takes over what a complete round of reading the processes makes of the figures.
    pub(crate) fn processes_read(&self, change: impl FnOnce(&mut Figures)) {
        self.state().rounds.processes = Instant::now();
        self.update(change);
    }

    /// Takes over what a complete round of reading the history makes of the figures.
    pub(crate) fn history_read(&self, change: impl FnOnce(&mut Figures)) {
        self.state().rounds.history = Instant::now();
        self.update(change);
    }

    /// Takes over what a complete round of checks makes of the figures.
    pub(crate) fn checks_made(&self, change: impl FnOnce(&mut Figures)) {
        self.state().rounds.checks = Instant::now();
        self.update(change);
    }

    /// Whether every watch has completed a round of late. Figures of one that hangs may be wrong whatever they say.
    pub(crate) fn is_fresh(&self) -> bool {
        self.state().rounds.is_fresh()
    }

    /// Makes unknown what no watch has read for too long.
    pub(crate) fn expire(&self) {
        let rounds = self.state().rounds;
        let now = Utc::now().into();
        let reason = |limit: Duration| format!("the console has not read it for {} s", limit.as_secs());
        if rounds.queues.elapsed() >= LONGEST_ROUND_OF_QUEUES {
            let reason = reason(LONGEST_ROUND_OF_QUEUES);
            self.update(|figures| {
                figures.queues = figures.queues.next(Err(reason.clone()), now);
                figures.pauses = figures.pauses.next(Err(reason.clone()), now);
                figures.mongodb = figures.mongodb.next(Err(reason.clone()), now);
                figures.dead_letters = figures.dead_letters.next(Err(reason.clone()), now);
                figures.replays = figures.replays.next(Err(reason), now);
            });
        }
        if rounds.processes.elapsed() >= LONGEST_ROUND_OF_PROCESSES {
            let reason = reason(LONGEST_ROUND_OF_PROCESSES);
            self.update(|figures| {
                figures.processes = figures.processes.next(Err(reason.clone()), now);
                figures.outages = figures.outages.next(Err(reason.clone()), now);
                figures.requested_runs = figures.requested_runs.next(Err(reason.clone()), now);
                figures.active_consumers = figures.active_consumers.next(Err(reason), now);
            });
        }
        if rounds.history.elapsed() >= LONGEST_ROUND_OF_HISTORY {
            let reason = reason(LONGEST_ROUND_OF_HISTORY);
            self.update(|figures| figures.history = figures.history.next(Err(reason), now));
        }
        if rounds.checks.elapsed() >= LONGEST_ROUND_OF_CHECKS {
            let reason = reason(LONGEST_ROUND_OF_CHECKS);
            self.update(|figures| figures.checks = figures.checks.next(Err(reason), now));
        }
    }

    /// Replaces the figures by what `change` makes of them, and numbers what that changes.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Figures)) {
        let mut state = self.state();
        let mut figures = Figures::clone(&state.figures);
        change(&mut figures);
        let texts = figures.texts(&self.topology);
        let is_new = |(name, text): &(&String, &String)| state.texts.get(*name) != Some(*text);
        let changed: BTreeMap<String, String> =
            texts.iter().filter(is_new).map(|(name, text)| (name.clone(), text.clone())).collect();
        state.figures = Arc::new(figures);
        state.texts = texts;
        if changed.is_empty() {
            return;
        }
        state.number += 1;
        let number = state.number;
        state.changes.push_back((number, data(&changed)));
        if state.changes.len() > KEPT_CHANGES {
            state.changes.pop_front();
        }
        drop(state);
        self.changed.send_replace(number);
    }

    /// Follows the changes.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// What a stream must send that has sent everything up to the event of this id, and the id it has reached then: the
    /// changes since, or a snapshot where these are not known.
    pub(crate) fn since(&self, last: Option<&str>) -> Vec<Event> {
        let state = self.state();
        let number = last.and_then(|last| self.number_of(last)).filter(|number| *number <= state.number);
        let oldest = state.number - u64::try_from(state.changes.len()).unwrap_or(state.number);
        match number.filter(|number| *number >= oldest) {
            Some(number) => {
                let missed = state.changes.iter().filter(|(one, _)| *one > number);
                missed.map(|(one, data)| self.event(*one, "delta", data.clone())).collect()
            }
            None => vec![self.event(state.number, "snapshot", data(&state.texts))],
        }
    }

    fn event(&self, number: u64, kind: &'static str, data: String) -> Event {
        Event { id: format!("{}-{number}", self.process), kind, data }
    }

    fn number_of(&self, id: &str) -> Option<u64> {
        id.strip_prefix(&self.process)?.strip_prefix('-')?.parse().ok()
    }
}

fn data(texts: &BTreeMap<String, String>) -> String {
    // Texts by name are always JSON.
    serde_json::to_string(&Texts { at: Utc::now().into(), texts }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Board, KEPT_CHANGES, LONGEST_ROUND_OF_CHECKS, LONGEST_ROUND_OF_PROCESSES, LONGEST_ROUND_OF_QUEUES};
    use crate::live::reading::Reading;
    use chrono::Utc;
    use pvt_messaging::Topology;
    use pvt_messaging::management::QueueState;
    use std::collections::BTreeSet;
    use std::sync::Arc;

    fn count(board: &Board, ready: u64) {
        let queue = QueueState { name: "emails".to_owned(), messages_ready: ready, ..QueueState::default() };
        board.update(|figures| figures.queues = Reading::Up(vec![queue]));
    }

    #[test]
    fn cut_stream_continues_with_what_it_missed() {
        let board = Board::new(Topology::new("", 1));
        let first = board.since(None).pop().unwrap();
        assert_eq!(first.kind, "snapshot");
        count(&board, 1);
        count(&board, 2);
        let missed = board.since(Some(&first.id));
        assert_eq!(missed.iter().map(|event| event.kind).collect::<Vec<_>>(), ["delta", "delta"]);
        assert!(missed[1].data.contains(r#""queue.emails.ready":"2""#) && !missed[1].data.contains("consumers"));
        assert!(board.since(Some(&missed[1].id)).is_empty());
        count(&board, 2);
        assert!(board.since(Some(&missed[1].id)).is_empty(), "nothing has changed");
    }

    #[tokio::test(start_paused = true)]
    async fn figures_of_a_watch_that_hangs_expire() {
        let board = Board::new(Topology::new("", 1));
        let checked = || board.checks_made(|figures| figures.checks = Reading::Up((Utc::now().into(), Vec::new())));
        let processes_read = || {
            board.processes_read(|figures| {
                figures.processes = Reading::Up(Vec::new());
                figures.active_consumers = Reading::Up(BTreeSet::new());
            });
        };
        let history_read = || board.history_read(|figures| figures.history = Reading::Up(Arc::default()));
        checked();
        processes_read();
        history_read();
        board.queues_read(|figures| figures.queues = Reading::Up(Vec::new()));
        tokio::time::advance(LONGEST_ROUND_OF_QUEUES / 2).await;
        board.expire();
        assert!(board.is_fresh() && board.figures().queues.value().is_some());
        tokio::time::advance(LONGEST_ROUND_OF_QUEUES / 2).await;
        board.expire();
        assert!(!board.is_fresh() && board.figures().queues.outage().is_some(), "the queues are not read any more");
        assert!(board.figures().checks.value().is_some(), "the checks are made still");
        assert!(board.figures().processes.value().is_some(), "the processes are read still");
        tokio::time::advance(LONGEST_ROUND_OF_PROCESSES - LONGEST_ROUND_OF_QUEUES).await;
        board.queues_read(|figures| figures.queues = Reading::Up(Vec::new()));
        board.expire();
        let figures = board.figures();
        assert!(!board.is_fresh() && figures.processes.outage().is_some(), "the processes are not read any more");
        assert!(figures.active_consumers.outage().is_some() && figures.history.value().is_some());
        processes_read();
        assert!(board.is_fresh());
        tokio::time::advance(LONGEST_ROUND_OF_CHECKS).await;
        board.queues_read(|figures| figures.queues = Reading::Up(Vec::new()));
        processes_read();
        board.expire();
        assert!(!board.is_fresh() && board.figures().checks.outage().is_some(), "the checks are not made any more");
        assert!(board.figures().history.outage().is_some(), "nor is the history read");
        checked();
        assert!(!board.is_fresh());
        history_read();
        assert!(board.is_fresh());
    }

    #[test]
    fn stream_without_a_known_number_begins_with_a_snapshot() {
        let board = Board::new(Topology::new("", 1));
        let first = board.since(None).pop().unwrap();
        for ready in 0..=u64::try_from(KEPT_CHANGES).unwrap() + 1 {
            count(&board, ready);
        }
        for unknown in [first.id.as_str(), "", "00000000-1", "nonsense", &format!("{}99999", first.id)] {
            let events = board.since(Some(unknown));
            assert_eq!((events.len(), events[0].kind), (1, "snapshot"), "{unknown}");
        }
    }
}
