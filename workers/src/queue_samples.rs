//! Readings of the queues by the broker's management API: how long the first message of each has waited, whether an
//! alarm is on, and, by the process that leads, a sample of all queues a minute.

use crate::scheduler::Leader;
use crate::store_calls::within;
use chrono::{DateTime, Utc};
use pvt_messaging::management::{Management, NodeState, QueueState};
use pvt_messaging::{QueueFlow, QueueFlows, QueueReading, Topology};
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::queue_samples::{QueueCounts, QueueSample, SAMPLES_KEPT_FOR};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::warn;

/// Gauge, seconds: for how long the first ready message of a work queue has waited, 0 without one; NaN when that is not
/// known. Label `queue`.
const OLDEST_SECONDS: &str = "pvt_queue_oldest_message_age_seconds";
/// Gauge: 1 while this alarm of a node of the broker is on, which blocks every publisher, 0 otherwise; NaN when that is
/// not known. Labels `node` and `alarm` (`memory`, `disk`).
const ALARM: &str = "pvt_broker_alarm";
/// For one call of MongoDB.
const STORE_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Alarms {
    on: Vec<String>,
    is_old: bool,
}

/// Alarms of the broker that are on, as this process has last read them. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct BrokerAlarms(Arc<Mutex<Alarms>>);

impl BrokerAlarms {
    /// As a health check: nothing can be published, and the broker says so to a connection only when that publishes.
    pub(crate) fn check(&self) -> Result<Option<String>, String> {
        let Alarms { on, is_old } = &*self.alarms();
        if on.is_empty() {
            return Ok(None);
        }
        let old = if *is_old { ", as it said last; its management API does not answer" } else { "" };
        Err(format!("the broker takes no messages: alarm about {}{old}", on.join(", ")))
    }

    /// Takes what was read; `None` keeps what is known: an alarm ends when the broker says so.
    fn set(&self, on: Option<Vec<String>>) {
        let mut alarms = self.alarms();
        match on {
            Some(on) => *alarms = Alarms { on, is_old: false },
            None => alarms.is_old = true,
        }
    }

    fn alarms(&self) -> MutexGuard<'_, Alarms> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The queues of one topology as this process has read them.
pub(crate) struct QueueWatch {
    mongo: Mongo,
    management: Management,
    topology: Topology,
    leader: Leader,
    alarms: BrokerAlarms,
    flows: QueueFlows,
    nodes: BTreeSet<String>,
    has_history: bool,
    sampled_minute: Option<i64>,
    is_failing: bool,
}

impl QueueWatch {
    pub(crate) fn new(
        mongo: Mongo,
        management: Management,
        topology: Topology,
        leader: Leader,
        alarms: BrokerAlarms,
    ) -> Self {
        let flows = QueueFlows::of(&topology);
        let (nodes, sampled_minute) = (BTreeSet::new(), None);
        Self {
            mongo,
            management,
            topology,
            leader,
            alarms,
            flows,
            nodes,
            has_history: false,
            sampled_minute,
            is_failing: false,
        }
    }

    /// Reads queues and alarms, shows them, and stores a sample where one is due.
    pub(crate) async fn turn(&mut self) {
        if !self.has_history {
            self.recall().await;
        }
        let (queues, nodes) = tokio::join!(self.management.queues(self.topology.prefix()), self.management.nodes());
        self.show_alarms(nodes.ok());
        let failed = match queues {
            Ok(queues) => {
                let now = Utc::now();
                self.observe(&queues, now);
                self.sample(&queues, now).await.err()
            }
            Err(error) => {
                self.show_unknown();
                Some(error.to_string())
            }
        };
        if let Some(error) = failed.as_ref().filter(|_| !self.is_failing) {
            warn!(error, "the history of the queues has a gap");
        }
        self.is_failing = failed.is_some();
    }

    /// Continues with the samples that other processes have stored, so that an age does not begin anew.
    async fn recall(&mut self) {
        let mongo = self.mongo.clone();
        let now = Utc::now();
        let begin = (now - SAMPLES_KEPT_FOR).into();
        match within(STORE_LIMIT, async move { mongo.queue_samples().after(begin).await }).await {
            Ok(samples) => {
                self.flows.recall(samples.iter().flat_map(QueueSample::readings), now);
                self.has_history = true;
            }
            Err(error) => warn!(error, "samples of queues cannot be read"),
        }
    }

    fn observe(&mut self, queues: &[QueueState], now: DateTime<Utc>) {
        self.flows.observe(queues, now);
        for (name, flow) in self.flows.iter() {
            if !queues.iter().any(|state| state.name == *name) {
                show_age(name, f64::NAN);
                continue;
            }
            let seconds = flow.oldest().map_or(0, |oldest| oldest.seconds);
            show_age(name, f64::from(u32::try_from(seconds).unwrap_or(u32::MAX)));
        }
    }

    fn show_unknown(&self) {
        self.flows.iter().for_each(|(name, _)| show_age(name, f64::NAN));
    }

    fn show_alarms(&mut self, nodes: Option<Vec<NodeState>>) {
        let show = |node: &str, alarm: &'static str, is_on: f64| {
            metrics::gauge!(ALARM, "node" => node.to_owned(), "alarm" => alarm).set(is_on);
        };
        self.alarms.set(nodes.as_ref().map(|nodes| nodes.iter().flat_map(NodeState::alarms).collect()));
        self.nodes.extend(nodes.iter().flatten().map(|node| node.name.clone()));
        for name in &self.nodes {
            let node = nodes.iter().flatten().find(|node| node.name == *name);
            let is_on = |alarm: fn(&NodeState) -> bool| node.map_or(f64::NAN, |node| f64::from(alarm(node)));
            show(name, "memory", is_on(|node| node.mem_alarm));
            show(name, "disk", is_on(|node| node.disk_free_alarm));
        }
    }

    /// Stores a sample of this minute, if this process leads and has stored none.
    async fn sample(&mut self, queues: &[QueueState], now: DateTime<Utc>) -> Result<(), String> {
        let minute = now.timestamp().div_euclid(60);
        if self.sampled_minute == Some(minute) || !self.leader.leads() {
            return Ok(());
        }
        let mongo = self.mongo.clone();
        let dead = within(STORE_LIMIT, async move { mongo.dead_letters().count_by_queue().await }).await.ok();
        let prefix = self.topology.prefix();
        let counts = |state: &QueueState| {
            let queue = state.name.strip_prefix(prefix)?.to_owned();
            let QueueReading { ready, unacknowledged, acknowledged, .. } = state.reading(now);
            let flow = self.flows.get(&state.name);
            let oldest = flow.and_then(QueueFlow::oldest);
            let counted = dead.as_ref().map(|dead| dead.get(&queue).copied().unwrap_or_default());
            let dead = counted.filter(|_| flow.is_some());
            Some(QueueCounts {
                queue,
                ready,
                unacknowledged,
                acknowledged,
                consumers: state.consumers,
                oldest_seconds: oldest.map(|oldest| oldest.seconds),
                oldest_is_at_least: oldest.is_some_and(|oldest| oldest.is_at_least),
                dead,
            })
        };
        let declared: BTreeSet<String> = self.topology.queues().into_iter().map(|queue| queue.name).collect();
        let ours = queues.iter().filter(|state| declared.contains(&state.name));
        let sample = QueueSample { at: now.into(), queues: ours.filter_map(counts).collect() };
        let mongo = self.mongo.clone();
        within(STORE_LIMIT, async move { mongo.queue_samples().record(sample).await }).await?;
        self.sampled_minute = Some(minute);
        Ok(())
    }
}

fn show_age(queue: &str, seconds: f64) {
    metrics::gauge!(OLDEST_SECONDS, "queue" => queue.to_owned()).set(seconds);
}

#[cfg(test)]
mod tests {
    use super::{BrokerAlarms, QueueFlow, QueueWatch};
    use crate::scheduler::{Leader, Scheduler};
    use anyhow::{Context, Result};
    use chrono::{DateTime, TimeDelta, Utc};
    use pvt_messaging::management::Management;
    use pvt_messaging::{Oldest, Publisher};
    use pvt_stores::mongo::Mongo;
    use pvt_stores::mongo::queue_samples::{QueueCounts, QueueSample};
    use pvt_testkit::{Broker, Namespace, eventually, properties};
    use std::time::Duration;
    use tokio_util::sync::CancellationToken;

    /// The broker counts every five seconds, and shows a new queue after a while.
    const LIMIT: Duration = Duration::from_secs(60);
    /// As long as its counts may be behind.
    const BEHIND: u64 = 15;

    struct Fixture {
        namespace: Namespace,
        mongo: Mongo,
        publisher: Publisher,
    }

    impl Fixture {
        /// A scheduler without schedules, which leads unless another one does.
        fn scheduler(&self) -> (Leader, CancellationToken, tokio::task::JoinHandle<()>) {
            let topology = self.namespace.topology();
            let scheduler =
                Scheduler::new(self.mongo.clone(), self.publisher.clone(), topology).with_schedules(Vec::new());
            let (leader, stop) = (scheduler.leader(), CancellationToken::new());
            let running = scheduler.run(stop.clone());
            let running = tokio::spawn(async move {
                let Ok(()) = running.await;
            });
            (leader, stop, running)
        }

        fn watch(&self, leader: &Leader) -> Result<QueueWatch> {
            let management = Management::of_broker(self.namespace.management_url(), self.namespace.amqp_url())?;
            let (topology, alarms) = (self.namespace.topology(), BrokerAlarms::default());
            Ok(QueueWatch::new(self.mongo.clone(), management, topology, leader.clone(), alarms))
        }

        async fn samples(&self) -> Result<Vec<QueueSample>> {
            Ok(self.mongo.queue_samples().after(DateTime::UNIX_EPOCH.into()).await?)
        }
    }

    fn emails(sample: &QueueSample) -> Option<&QueueCounts> {
        sample.queues.iter().find(|counts| counts.queue == "emails")
    }

    fn oldest(watch: &QueueWatch) -> Option<Oldest> {
        watch.flows.get(&watch.topology.name("emails")).and_then(QueueFlow::oldest)
    }

    #[tokio::test]
    async fn age_of_the_first_message_is_measured_and_survives_a_change_of_leader() -> Result<()> {
        let namespace = Namespace::new().await?;
        let mongo = namespace.mongo().await?;
        let publisher = Publisher::start(namespace.amqp_url(), namespace.topology(), "tests");
        publisher.connected().await?;
        let fixture = Fixture { namespace, mongo, publisher };
        let broker = Broker::connect(&fixture.namespace).await?;
        let (leader, stop, running) = fixture.scheduler();
        eventually("it leads", LIMIT, async || Ok(leader.leads().then_some(()))).await?;
        let mut first = fixture.watch(&leader)?;
        first.turn().await;
        let sampled = fixture.samples().await?;
        assert_eq!(sampled.len(), 1, "the leader stores a sample");
        let sent = Utc::now();
        for _ in 0..3 {
            broker.send("emails", properties("carrier.pigeon.v1").1, b"{}").await?;
        }
        let watched = tokio::sync::Mutex::new(&mut first);
        let measured = async || {
            let mut watch = watched.lock().await;
            watch.turn().await;
            Ok(oldest(&watch).filter(|oldest| oldest.seconds >= 3))
        };
        let Oldest { seconds, is_at_least } = eventually("three seconds are measured", LIMIT, measured).await?;
        let real = u64::try_from((Utc::now() - sent).num_seconds())?;
        assert!(!is_at_least && seconds <= real && real <= seconds + BEHIND, "{seconds} of {real}");

        // A sample with the messages, as the leader stores it in the next minute.
        first.sampled_minute = None;
        first.turn().await;
        let sampled = fixture.samples().await?;
        let counts = sampled.last().and_then(emails).context("the queue is sampled")?;
        assert_eq!((counts.ready, counts.consumers, counts.dead), (3, 0, Some(0)));
        assert!(counts.oldest_seconds >= Some(3), "{counts:?}");
        stop.cancel();
        running.await?;
        first.sampled_minute = None;
        first.turn().await;
        assert_eq!(fixture.samples().await?, sampled, "it leads no more");

        let (leader, stop, running) = fixture.scheduler();
        eventually("the other one leads", LIMIT, async || Ok(leader.leads().then_some(()))).await?;
        let mut second = fixture.watch(&leader)?;
        second.turn().await;
        let continued = oldest(&second).context("the age is known at once")?;
        assert!(continued.seconds >= seconds, "{continued:?} after {seconds} s");
        assert!(fixture.samples().await?.len() >= sampled.len(), "and what was sampled is kept");
        stop.cancel();
        running.await?;
        Ok(())
    }

    #[test]
    fn alarm_stays_on_while_the_broker_is_not_read() {
        let alarms = BrokerAlarms::default();
        alarms.set(None);
        assert_eq!(alarms.check(), Ok(None), "none is known");
        alarms.set(Some(vec!["memory of one".to_owned()]));
        let on = "the broker takes no messages: alarm about memory of one".to_owned();
        assert_eq!(alarms.check(), Err(on.clone()));
        alarms.set(None);
        assert_eq!(alarms.check(), Err(on + ", as it said last; its management API does not answer"));
        alarms.set(Some(Vec::new()));
        assert_eq!(alarms.check(), Ok(None));
    }

    #[tokio::test]
    async fn process_that_does_not_lead_stores_no_samples() -> Result<()> {
        let namespace = Namespace::new().await?;
        let mongo = namespace.mongo().await?;
        let publisher = Publisher::start(namespace.amqp_url(), namespace.topology(), "tests");
        publisher.connected().await?;
        let fixture = Fixture { namespace, mongo, publisher };
        let scheduler = Scheduler::new(fixture.mongo.clone(), fixture.publisher.clone(), fixture.namespace.topology());
        let mut watch = fixture.watch(&scheduler.leader())?;
        watch.turn().await;
        assert!(fixture.samples().await?.is_empty());
        let hour_ago: DateTime<Utc> = Utc::now() - TimeDelta::hours(1);
        let counts = QueueCounts { queue: "emails".to_owned(), ready: 4, ..QueueCounts::default() };
        fixture.mongo.queue_samples().record(QueueSample { at: hour_ago.into(), queues: vec![counts] }).await?;
        let ahead: DateTime<Utc> = Utc::now() + TimeDelta::hours(1);
        let counts = QueueCounts { queue: "emails".to_owned(), ready: 0, ..QueueCounts::default() };
        fixture.mongo.queue_samples().record(QueueSample { at: ahead.into(), queues: vec![counts] }).await?;
        let mut later = fixture.watch(&scheduler.leader())?;
        later.recall().await;
        assert_eq!(
            oldest(&later),
            Some(Oldest { seconds: 0, is_at_least: true }),
            "it begins with what is stored of before"
        );
        Ok(())
    }
}
