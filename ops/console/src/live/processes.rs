//! Worker processes as they are shown: one row a process. Pure.

use super::figures::{Figures, UNKNOWN};
use super::reading::{Reading, clock};
use pvt_operations::queue_outages::QueueOutage;
use pvt_operations::trace::time_span;
use pvt_stores::mongo::worker_processes::{SeenProcess, WorkerReport};
use std::collections::{BTreeMap, BTreeSet};

/// A worker process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProcessRow {
    pub(crate) id: String,
    /// Host and number.
    pub(crate) place: String,
    pub(crate) version: String,
    pub(crate) since: String,
    /// How long ago its last heartbeat was.
    pub(crate) seen: String,
    pub(crate) is_stale: bool,
    pub(crate) workers: Vec<WorkerRow>,
}

/// A worker of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkerRow {
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) in_flight: u64,
    /// The queues that it consumes; of partitions those that the broker delivers to it, and how many it stands by for.
    pub(crate) queues: String,
    pub(crate) paused: String,
    /// For administrators.
    pub(crate) last_error: Option<String>,
}

/// The processes, stale ones last.
pub(crate) fn process_rows(figures: &Figures, prefix: &str) -> Vec<ProcessRow> {
    let active = figures.active_consumers.value();
    let seen = figures.processes.value().into_iter().flatten();
    let mut rows: Vec<ProcessRow> = seen.map(|seen| row(seen, active, prefix)).collect();
    let key = |row: &ProcessRow| {
        let names: Vec<String> = row.workers.iter().map(|worker| worker.name.clone()).collect();
        (row.is_stale, names, row.place.clone(), row.id.clone())
    };
    rows.sort_by_cached_key(key);
    rows
}

fn row(seen: &SeenProcess, active: Option<&BTreeSet<String>>, prefix: &str) -> ProcessRow {
    let process = &seen.process;
    ProcessRow {
        id: process.id.clone(),
        place: format!("{} ({})", process.host, process.pid),
        version: process.version.clone(),
        since: clock(process.started_at),
        seen: format!("{} ago", time_span(seen.age_ms)),
        is_stale: seen.is_stale(),
        workers: process.workers.iter().map(|worker| worker_row(worker, active, prefix, seen.is_stale())).collect(),
    }
}

fn worker_row(worker: &WorkerReport, active: Option<&BTreeSet<String>>, prefix: &str, is_stale: bool) -> WorkerRow {
    let short = |name: &str| name.strip_prefix(prefix).unwrap_or(name).to_owned();
    WorkerRow {
        name: worker.name.clone(),
        // What a process said that is gone is not its state.
        state: if is_stale { format!("was {}", worker.state) } else { state(worker) },
        in_flight: worker.in_flight,
        queues: if is_stale { "–".to_owned() } else { queues(worker, active, &short) },
        paused: worker.paused.iter().map(|name| short(name)).collect::<Vec<_>>().join(", "),
        last_error: worker.last_error.as_ref().map(|error| format!("{}: {}", clock(error.at), error.text)),
    }
}

/// The state of a worker, and what it waits for in the words of the queues.
fn state(worker: &WorkerReport) -> String {
    let outages = worker.outages.iter().map(|outage| QueueOutage::from(outage).words());
    let outages: Vec<String> = outages.collect();
    if outages.is_empty() { worker.state.clone() } else { format!("{}: {}", worker.state, outages.join("; ")) }
}

fn queues(worker: &WorkerReport, active: Option<&BTreeSet<String>>, short: &impl Fn(&str) -> String) -> String {
    let Some(active) = active else {
        let names = worker.queues.iter().map(|queue| short(&queue.name));
        let names: Vec<String> = names.collect();
        return if names.is_empty() { "–".to_owned() } else { format!("{} (active: {UNKNOWN})", names.join(", ")) };
    };
    let (own, others): (Vec<_>, Vec<_>) = worker.queues.iter().partition(|queue| active.contains(&queue.consumer_tag));
    let mut words: Vec<String> = own.iter().map(|queue| short(&queue.name)).collect();
    if !others.is_empty() {
        let names: Vec<String> = others.iter().map(|queue| short(&queue.name)).collect();
        words.push(format!("standing by for {}", names.join(", ")));
    }
    if words.is_empty() { "–".to_owned() } else { words.join(", ") }
}

/// A text that changes with what the page shows of the processes, apart from the age of their heartbeats and from
/// messages in flight, which have texts of their own.
pub(crate) fn processes_digest(figures: &Figures) -> String {
    let rows = process_rows(figures, "");
    let words = |worker: &WorkerRow| {
        let error = worker.last_error.as_deref().unwrap_or_default();
        let WorkerRow { name, state, queues, paused, .. } = worker;
        format!("{name}={state},{queues},{paused},{}", error.split_once(": ").map_or("", |(at, _)| at))
    };
    let row = |row: &ProcessRow| {
        let workers: Vec<String> = row.workers.iter().map(words).collect();
        format!("{}:{}:{}", row.id, row.is_stale, workers.join(";"))
    };
    let rows: Vec<String> = rows.iter().map(row).collect();
    match &figures.processes {
        Reading::Up(_) => rows.join("|"),
        unknown => unknown.state(),
    }
}

/// The texts of the processes, by the name under which a page has them.
pub(crate) fn process_texts(figures: &Figures) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for row in process_rows(figures, "") {
        for worker in row.workers {
            texts.insert(format!("process.{}.{}.in_flight", row.id, worker.name), worker.in_flight.to_string());
        }
        texts.insert(format!("process.{}.seen", row.id), row.seen);
    }
    texts.insert("source.processes".to_owned(), figures.processes.state());
    texts.insert("digest.processes".to_owned(), processes_digest(figures));
    texts
}

#[cfg(test)]
mod tests {
    use super::{process_rows, process_texts, processes_digest};
    use crate::live::figures::Figures;
    use crate::live::reading::Reading;
    use chrono::Utc;
    use pvt_domain::timestamp::Timestamp;
    use pvt_stores::mongo::worker_processes::{
        ConsumedQueue, ReportedOutage, SeenProcess, WorkerProcess, WorkerReport,
    };

    fn seen(id: &str, age_ms: i64, queues: &[(&str, &str)]) -> SeenProcess {
        let queue = |(name, tag): &(&str, &str)| ConsumedQueue {
            name: format!("x.{name}"),
            consumer_tag: (*tag).to_owned(),
            oldest_in_hand: None,
        };
        let worker = WorkerReport {
            name: "confirmations".to_owned(),
            state: "running".to_owned(),
            outages: Vec::new(),
            in_flight: 3,
            queues: queues.iter().map(queue).collect(),
            paused: vec!["x.emails".to_owned()],
            last_error: None,
        };
        let process = WorkerProcess {
            id: id.to_owned(),
            host: "h".to_owned(),
            pid: 7,
            version: "1".to_owned(),
            started_at: Utc::now().into(),
            leads: None,
            workers: vec![worker],
        };
        SeenProcess { age_ms, process }
    }

    fn figures(age_ms: i64) -> Figures {
        let processes = vec![
            seen("gone", 60_000, &[("bookings.0", "c")]),
            seen("here", age_ms, &[("bookings.0", "a"), ("bookings.1", "b")]),
        ];
        let active = Reading::Up(["b".to_owned()].into());
        Figures { processes: Reading::Up(processes), active_consumers: active, ..Figures::default() }
    }

    #[test]
    fn process_consumes_the_partitions_that_the_broker_delivers_to_it_and_stale_ones_none() {
        let rows = process_rows(&figures(100), "x.");
        let shown: Vec<_> =
            rows.iter().map(|row| (row.id.as_str(), row.is_stale, row.workers[0].queues.as_str())).collect();
        assert_eq!(shown, [("here", false, "bookings.1, standing by for bookings.0"), ("gone", true, "–")]);
        assert_eq!((rows[0].workers[0].paused.as_str(), rows[1].workers[0].state.as_str()), ("emails", "was running"));
        let unknown = Figures { active_consumers: Reading::Pending, ..figures(100) };
        assert_eq!(process_rows(&unknown, "x.")[0].workers[0].queues, "bookings.0, bookings.1 (active: ?)");
    }

    #[test]
    fn worker_waits_in_the_words_of_its_queue_until_its_process_is_gone() {
        let since = Timestamp::from(chrono::DateTime::from_timestamp(1_000, 0).unwrap());
        let state = |age_ms| {
            let mut process = seen("here", age_ms, &[]);
            let worker = &mut process.process.workers[0];
            worker.state = "waiting".to_owned();
            worker.outages = vec![ReportedOutage { class: "smtp_unavailable".to_owned(), operation: None, since }];
            let figures = Figures { processes: Reading::Up(vec![process]), ..Figures::default() };
            process_rows(&figures, "x.")[0].workers[0].state.clone()
        };
        assert_eq!(state(100), "waiting: waits for the SMTP server since 1970-01-01 00:16:40 UTC");
        assert_eq!(state(60_000), "was waiting");
    }

    #[test]
    fn messages_in_flight_change_a_text_and_not_the_page() {
        let busy = |in_flight| {
            let mut process = seen("here", 100, &[("bookings.0", "a")]);
            process.process.workers[0].in_flight = in_flight;
            Figures { processes: Reading::Up(vec![process]), ..Figures::default() }
        };
        assert_eq!(processes_digest(&busy(1)), processes_digest(&busy(90)));
        let text = |figures: &Figures| process_texts(figures)["process.here.confirmations.in_flight"].clone();
        assert_eq!((text(&busy(1)).as_str(), text(&busy(90)).as_str()), ("1", "90"));
    }

    #[test]
    fn digest_changes_when_a_process_becomes_stale_and_not_with_each_heartbeat() {
        assert_eq!(processes_digest(&figures(100)), processes_digest(&figures(9_000)));
        assert_ne!(processes_digest(&figures(100)), processes_digest(&figures(16_000)));
    }
}
