//! Queues whose messages wait because something that their worker depends on does not answer, as the heartbeats of the
//! worker processes say. Pure.

use chrono::{DateTime, Utc};
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::worker_processes::{ReportedOutage, SeenProcess};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a queue waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueOutage {
    /// What does not answer.
    pub dependency: String,
    /// The only operation of it that does not; messages of others are handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// When the oldest message was sent that a worker has in hand; absent where none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_sent_at: Option<Timestamp>,
}

impl From<&ReportedOutage> for QueueOutage {
    fn from(outage: &ReportedOutage) -> Self {
        let ReportedOutage { class, operation, since } = outage;
        Self { dependency: dependency(class), operation: operation.clone(), since: *since, oldest_sent_at: None }
    }
}

impl QueueOutage {
    /// What is waited for, and since when.
    pub fn words(&self) -> String {
        self.words_of(1)
    }

    fn words_of(&self, queues: usize) -> String {
        let Self { dependency, operation, since, .. } = self;
        match operation {
            None if queues > 1 => format!("wait for {dependency} since {}", clock(*since)),
            None => format!("waits for {dependency} since {}", clock(*since)),
            Some(operation) => format!("{operation} waits for {dependency} since {}", clock(*since)),
        }
    }

    /// For how long the oldest message in hand has waited, in seconds.
    pub fn oldest_seconds(&self, now: DateTime<Utc>) -> Option<u64> {
        let sent_at = self.oldest_sent_at?.as_datetime();
        Some(u64::try_from((now - sent_at).num_seconds()).unwrap_or_default())
    }
}

/// The queues that wait, by full name. Of several outages the one counts that stops all of a queue, then the earliest.
/// What a process said that is gone does not count.
pub fn by_queue(processes: &[SeenProcess]) -> BTreeMap<String, QueueOutage> {
    let mut found: BTreeMap<String, QueueOutage> = BTreeMap::new();
    let workers = processes.iter().filter(|seen| !seen.is_stale()).flat_map(|seen| &seen.process.workers);
    for worker in workers {
        let rank = |outage: &&ReportedOutage| (outage.operation.is_some(), outage.since);
        let Some(reported) = worker.outages.iter().min_by_key(rank) else { continue };
        for queue in &worker.queues {
            let oldest_sent_at = queue.oldest_in_hand.filter(|_| reported.operation.is_none());
            let outage = QueueOutage { oldest_sent_at, ..QueueOutage::from(reported) };
            match found.get_mut(&queue.name) {
                Some(known) => *known = earliest(known.clone(), outage),
                None => drop(found.insert(queue.name.clone(), outage)),
            }
        }
    }
    found
}

fn earliest(one: QueueOutage, other: QueueOutage) -> QueueOutage {
    let oldest_sent_at = [one.oldest_sent_at, other.oldest_sent_at].into_iter().flatten().min();
    let rank = |outage: &QueueOutage| (outage.operation.is_some(), outage.since);
    let first = if rank(&other) < rank(&one) { other } else { one };
    QueueOutage { oldest_sent_at, ..first }
}

/// A dependency, and the operation of it that does not answer.
type WaitedFor<'o> = (&'o str, Option<&'o str>);

/// All of them in words, queues that wait for the same together; `None` when none does. It says when messages were sent
/// and not how long ago, so that it changes only with the facts.
pub fn summary(outages: &BTreeMap<String, QueueOutage>) -> Option<String> {
    let mut together: BTreeMap<WaitedFor<'_>, (Vec<&str>, QueueOutage)> = BTreeMap::new();
    for (queue, outage) in outages {
        let key = (outage.dependency.as_str(), outage.operation.as_deref());
        let (queues, first) = together.entry(key).or_insert_with(|| (Vec::new(), outage.clone()));
        queues.push(queue);
        *first = earliest(first.clone(), outage.clone());
    }
    let line = |(queues, outage): (Vec<&str>, QueueOutage)| {
        let sent = outage.oldest_sent_at.map(|at| format!(", the oldest message in hand was sent at {}", clock(at)));
        format!("{} {}{}", queues.join(", "), outage.words_of(queues.len()), sent.unwrap_or_default())
    };
    let lines: Vec<String> = together.into_values().map(line).collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

/// What a failure class is about.
fn dependency(class: &str) -> String {
    let known = [("smtp", "the SMTP server"), ("mongodb", "MongoDB"), ("postgres", "PostgreSQL"), ("stripe", "Stripe")];
    let named = known.into_iter().find(|(prefix, _)| class.starts_with(prefix));
    named.map_or_else(|| class.to_owned(), |(_, name)| name.to_owned())
}

fn clock(at: Timestamp) -> String {
    at.as_datetime().format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::{by_queue, summary};
    use chrono::DateTime;
    use pvt_domain::timestamp::Timestamp;
    use pvt_stores::mongo::worker_processes::{
        ConsumedQueue, ReportedOutage, SeenProcess, WorkerProcess, WorkerReport,
    };

    fn at(seconds: i64) -> Timestamp {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap().into()
    }

    fn outage(class: &str, operation: Option<&str>, since: i64) -> ReportedOutage {
        ReportedOutage { class: class.to_owned(), operation: operation.map(str::to_owned), since: at(since) }
    }

    /// A process with one worker of these queues, each with the time at which its oldest message in hand was sent.
    fn process(age_ms: i64, queues: &[(&str, Option<i64>)], outages: Vec<ReportedOutage>) -> SeenProcess {
        let queue = |(name, sent): &(&str, Option<i64>)| ConsumedQueue {
            name: (*name).to_owned(),
            consumer_tag: "tag".to_owned(),
            oldest_in_hand: sent.map(at),
        };
        let worker = WorkerReport {
            name: "worker".to_owned(),
            state: "waiting".to_owned(),
            outages,
            in_flight: 1,
            queues: queues.iter().map(queue).collect(),
            paused: Vec::new(),
            last_error: None,
        };
        let process = WorkerProcess {
            id: "one".to_owned(),
            host: "here".to_owned(),
            pid: 7,
            version: "1".to_owned(),
            started_at: at(0),
            leads: None,
            workers: vec![worker],
        };
        SeenProcess { age_ms, process }
    }

    #[test]
    fn queue_waits_since_the_earliest_outage_that_a_live_process_reports() {
        let smtp = |since| vec![outage("smtp_unavailable", None, since)];
        let processes = [
            process(100, &[("emails", Some(20))], smtp(30)),
            process(100, &[("emails", Some(10))], smtp(40)),
            process(60_000, &[("emails", Some(1)), ("payments", Some(1))], smtp(2)),
            process(100, &[("analytics", Some(5))], Vec::new()),
        ];
        let found = by_queue(&processes);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["emails"], "stale processes and those that work say nothing");
        let emails = &found["emails"];
        assert_eq!((emails.dependency.as_str(), emails.since), ("the SMTP server", at(30)));
        assert_eq!(emails.oldest_seconds(at(100).as_datetime()), Some(90), "the older one of the other process");
        assert!(emails.words().starts_with("waits for the SMTP server since 2027-01-15 08:00:30 UTC"));
    }

    #[test]
    fn outage_of_everything_counts_before_that_of_one_operation() {
        let both = vec![outage("stripe_unavailable", Some("refund"), 1), outage("mongodb_unavailable", None, 9)];
        let found = by_queue(&[process(100, &[("stripe", Some(3))], both)]);
        assert_eq!(found["stripe"].words(), "waits for MongoDB since 2027-01-15 08:00:09 UTC");
        let one =
            by_queue(&[process(100, &[("stripe", Some(3))], vec![outage("stripe_unavailable", Some("refund"), 1)])]);
        assert_eq!(one["stripe"].words(), "refund waits for Stripe since 2027-01-15 08:00:01 UTC");
        assert_eq!(one["stripe"].oldest_sent_at, None, "what is in hand does not wait for it");
    }

    #[test]
    fn queues_that_wait_for_the_same_are_one_line() {
        assert_eq!(summary(&by_queue(&[])), None);
        let mongodb = vec![outage("mongodb_unavailable", None, 9)];
        let bookings = process(100, &[("bookings.0", Some(7)), ("bookings.1", Some(4))], mongodb);
        let mails = process(100, &[("emails", None)], vec![outage("smtp_unavailable", None, 3)]);
        let expected = "bookings.0, bookings.1 wait for MongoDB since 2027-01-15 08:00:09 UTC, the oldest message in \
            hand was sent at 2027-01-15 08:00:04 UTC; emails waits for the SMTP server since 2027-01-15 08:00:03 UTC";
        assert_eq!(summary(&by_queue(&[bookings, mails])).as_deref(), Some(expected));
    }
}
