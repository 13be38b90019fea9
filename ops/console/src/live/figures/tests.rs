//! Figures and the texts of them, by value.

use super::{Figures, FlowFigures, Outages, Reading};
use chrono::{DateTime, Utc};
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::management::QueueState;
use pvt_messaging::{Oldest, Rates, Topology};
use pvt_operations::checks::{Finding, WAITING_QUEUES};
use pvt_stores::mongo::queue_pauses::QueuePause;
use pvt_stores::mongo::schedule_runs::{RunRequest, ScheduleRun};
use pvt_stores::mongo::worker_processes::{ConsumedQueue, ReportedOutage, SeenProcess, WorkerProcess, WorkerReport};
use uuid::Uuid;

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
        outages: Reading::Up(Outages::of_processes(&[], at(2_000).as_datetime())),
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

fn process(outages: Vec<ReportedOutage>, paused: &[&str], in_hand: Option<i64>) -> SeenProcess {
    let queue =
        ConsumedQueue { name: "x.emails".to_owned(), consumer_tag: "tag".to_owned(), oldest_in_hand: in_hand.map(at) };
    let worker = WorkerReport {
        name: "emails".to_owned(),
        state: "running".to_owned(),
        outages,
        in_flight: 1,
        queues: vec![queue].into_iter().filter(|_| paused.is_empty()).collect(),
        paused: paused.iter().map(|name| (*name).to_owned()).collect(),
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
    SeenProcess { age_ms: 100, process }
}

/// Figures of a queue without a ready message, with this process.
fn with(process: SeenProcess, consumers: u64, ready: u64) -> Figures {
    let queue = QueueState { consumers, ..queue("emails", ready) };
    let processes = vec![process];
    Figures {
        queues: Reading::Up(vec![queue]),
        pauses: Reading::Up(Vec::new()),
        outages: Reading::Up(Outages::of_processes(&processes, at(2_000).as_datetime())),
        processes: Reading::Up(processes),
        flows: if ready > 0 { [waits("emails", 100, false)].into() } else { [].into() },
        ..Figures::default()
    }
}

fn emails(figures: &Figures) -> (String, String) {
    let rows = figures.queue_rows(&Topology::new("x.", 2));
    let row = rows.iter().find(|row| row.name == "emails").unwrap();
    (row.oldest.clone(), row.state.clone())
}

#[test]
fn waiting_queue_is_not_running_and_its_oldest_message_is_in_hand() {
    let outage = ReportedOutage { class: "smtp_unavailable".to_owned(), operation: None, since: at(1_000) };
    let waiting = with(process(vec![outage.clone()], &[], Some(1_400)), 1, 0);
    let words = "waits for the SMTP server since 1970-01-01 00:16:40 UTC".to_owned();
    assert_eq!(emails(&waiting), ("10 min in hand".to_owned(), words.clone()));
    let behind = with(process(vec![outage], &[], Some(1_990)), 1, 3);
    assert_eq!(emails(&behind), ("1 min".to_owned(), words), "one that is ready has waited for longer");
    let down = waiting.outages.next(Err("no answer".to_owned()), at(2_001));
    let unknown = Figures { outages: down, ..waiting };
    assert_eq!(emails(&unknown), ("?".to_owned(), "?".to_owned()), "what it waits for is not known");
    assert_eq!(emails(&with(process(Vec::new(), &[], Some(1_400)), 1, 0)).0, "–", "it is being handled");
}

#[test]
fn consumers_of_a_queue_that_was_resumed_are_coming_back() {
    let state = |paused: &[&str], consumers| emails(&with(process(Vec::new(), paused, None), consumers, 0)).1;
    assert_eq!(state(&["x.emails"], 0), "consumers are coming back", "its process has not noticed yet");
    assert_eq!(state(&[], 0), "consumers are coming back", "the broker has not counted them yet");
    assert_eq!((state(&["x.payments"], 0).as_str(), state(&[], 1).as_str()), ("no consumers", "running"));
    let missed_one = SeenProcess { age_ms: 6_000, ..process(Vec::new(), &[], None) };
    assert_eq!(emails(&with(missed_one, 0, 0)).1, "no consumers", "it may have crashed");
    for paused in [&[] as &[&str], &["x.emails"]] {
        let mut draining = process(Vec::new(), paused, None);
        draining.process.workers[0].state = "draining".to_owned();
        assert_eq!(emails(&with(draining, 0, 0)).1, "no consumers", "it takes nothing any more");
    }
}

#[test]
fn stream_says_that_requested_runs_changed_and_nothing_of_them() {
    let request = RunRequest {
        actor: "staff:1".into(),
        reason: "a test".to_owned(),
        property_id: Some("there".into()),
        dry_run: false,
    };
    let run = ScheduleRun::requested(Uuid::from_u128(7), "night_audit", at(1_000), request);
    let digest = |runs: Vec<ScheduleRun>| {
        let read = Figures { requested_runs: Reading::Up(runs), ..Figures::default() };
        read.texts(&Topology::new("x.", 2))["digest.requested_runs"].clone()
    };
    let requested = digest(vec![run.clone()]);
    assert!(requested.len() == 16 && requested.bytes().all(|byte| byte.is_ascii_hexdigit()), "{requested}");
    let begun = ScheduleRun { attempts: 1, ..run.clone() };
    assert_ne!(digest(vec![begun]), requested);
    assert_ne!(digest(vec![ScheduleRun { messages: 1, ..run }]), requested);
}

#[test]
fn outage_is_wrong_as_soon_as_a_heartbeat_says_it() {
    let outage = ReportedOutage { class: "smtp_unavailable".to_owned(), operation: None, since: at(1_000) };
    let before = Finding { what: WAITING_QUEUES, trouble: None, warning: false, remedy: "", in_console: None };
    let checks = Reading::Up((at(1_990), vec![before]));
    let waiting = Figures { checks, ..with(process(vec![outage], &[], None), 1, 0) };
    let wrong = waiting.wrong().unwrap();
    assert!(wrong.len() == 1 && wrong[0].trouble.as_ref().unwrap().contains("x.emails waits for the SMTP server"));
    let silent = Figures { outages: Reading::Pending, ..waiting.clone() };
    assert!(silent.wrong().unwrap().is_empty(), "then the checks say it");
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
