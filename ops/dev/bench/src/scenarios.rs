//! Scenarios of a run, one after another. Each leaves the input of the next one: intake fills the booking queues, and
//! draining them fills the queues of the mart and of the mails.

mod booking_flow;
mod consistency;
mod limits;
mod mixed;
mod modify;
mod search;
mod webhooks;

use super::args::Scenario;
use super::engines::Engines;
use super::figures::Figures;
use super::load_generator::{LoadGenerator, LoadReport, Pace, StatelessWorkload, Workload};
use super::machine;
use super::namespace::Namespace;
use super::process_group::ProcessGroup;
use super::scale::Scale;
use super::workload::{self, BookingSeries};
use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use pvt_messaging::QueueRole;
use pvt_operations::terminal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Time limit of one scenario.
const SCENARIO_TIMEOUT: Duration = Duration::from_secs(180);
/// Properties written concurrently.
const CONCURRENT_WRITES: usize = 16;
const PROPERTY_PREFIX: &str = "bench";

/// Runs the selected scenarios.
pub(super) async fn all(namespace: &Namespace, engines: &Engines, scale: &Scale, figures: &mut Figures) -> Result<()> {
    let process_group = ProcessGroup::new(namespace, engines)?;
    figures.machine = Some(machine::inspect(namespace).await?);
    let mut run = BenchmarkRun {
        namespace,
        process_group,
        scale,
        figures,
        posted: 0,
        changed: 0,
        events_elsewhere: 0,
        mart_lacks: 0,
        searched_property_filled: false,
    };
    let outcome = run.scenarios().await;
    let stopped = run.process_group.stop_all().await;
    outcome.and(stopped)
}

struct BenchmarkRun<'a> {
    namespace: &'a Namespace,
    process_group: ProcessGroup<'a>,
    scale: &'a Scale,
    figures: &'a mut Figures,
    /// Bookings that the API has accepted so far.
    posted: u64,
    /// Confirmed changes of them so far.
    changed: u64,
    /// Events of bookings that the running `analytics` process never sees: purged, or loaded by an earlier process.
    events_elsewhere: u64,
    /// Revisions of bookings that the mart never has, because their events were purged.
    mart_lacks: u64,
    /// Whether the searched property is filled.
    searched_property_filled: bool,
}

impl BenchmarkRun<'_> {
    async fn scenarios(&mut self) -> Result<()> {
        self.seed().await?;
        self.bare_limits().await?;
        if self.scale.wants_any(&[Scenario::Intake, Scenario::Mails, Scenario::Etl]) {
            self.intake().await?;
            self.backlog().await?;
        }
        if self.scale.wants(Scenario::Etl) {
            self.etl().await?;
        }
        if self.scale.wants(Scenario::Mails) {
            self.mails().await?;
        }
        if self.scale.wants_any(&[
            Scenario::Drain,
            Scenario::Steady,
            Scenario::Search,
            Scenario::Modify,
            Scenario::Mixed,
        ]) {
            self.drain_queues().await?;
        }
        if self.scale.wants(Scenario::Drain) {
            self.drain().await?;
        }
        if self.scale.wants(Scenario::Steady) {
            self.steady().await?;
        }
        if self.scale.wants(Scenario::Search) {
            self.search().await?;
        }
        if self.scale.wants(Scenario::Modify) {
            self.modify().await?;
        }
        if self.scale.wants(Scenario::Mixed) {
            self.mixed().await?;
        }
        if self.scale.wants(Scenario::Webhooks) {
            self.webhooks().await?;
        }
        self.figures.peak_rss_mib = self.process_group.peaks_mib().await;
        self.check_dead_letters().await
    }

    async fn seed(&self) -> Result<()> {
        let Scale { properties, beds, .. } = *self.scale;
        terminal::note(format_args!("  creating {properties} properties with {beds} beds each"));
        let mongo = &self.namespace.mongo;
        mongo.inventories().save(&workload::searched_property()).await?;
        let all = stream::iter(0..properties).map(|number| async move {
            mongo.inventories().save(&workload::dorm_property(PROPERTY_PREFIX, number, beds)).await
        });
        all.buffer_unordered(CONCURRENT_WRITES).try_collect::<()>().await.context("the properties cannot be created")
    }

    /// The series of requests with this name.
    fn workload(&self, name: &str) -> BookingSeries {
        BookingSeries::new(format!("{}-{name}", self.namespace.name()), PROPERTY_PREFIX, self.scale.properties)
    }

    /// A load with the connections of the run and the time limit of a scenario.
    fn load(&self, address: SocketAddr, count: u64, pace: Pace) -> LoadGenerator {
        LoadGenerator { address, connections: self.scale.connections, count, pace, limit: SCENARIO_TIMEOUT }
    }

    /// Posts booking requests and counts the accepted ones.
    async fn post(
        &mut self,
        address: SocketAddr,
        workload: BookingSeries,
        count: u64,
        pace: Pace,
        expected: u16,
    ) -> Result<LoadReport> {
        let answers = self.load(address, count, pace).run(booking_requests(workload, expected)).await?;
        self.posted += answers.expected();
        self.note_unexpected(&answers);
        Ok(answers)
    }

    fn note_unexpected(&mut self, answers: &LoadReport) {
        if let Some(example) = &answers.example {
            self.figures.troubles.push(format!("{} unexpected responses, such as: {example}", answers.unexpected));
        }
    }

    fn expect_equal(&mut self, what: &str, found: u64, expected: u64) {
        if found != expected {
            self.figures.troubles.push(format!("{what}: {found}, expected {expected}"));
        }
    }

    /// Checks that there are no dead letters and no messages without a route.
    async fn check_dead_letters(&mut self) -> Result<()> {
        let topology = self.namespace.topology();
        for queue in topology
            .queues()
            .iter()
            .filter(|queue| matches!(queue.role, QueueRole::Dead { .. } | QueueRole::Unroutable))
        {
            let name = queue.name.strip_prefix(topology.prefix()).unwrap_or(&queue.name);
            let found = self.namespace.ready(name).await?;
            self.expect_equal(&format!("messages in `{name}`"), u64::from(found), 0);
        }
        let stored = self.namespace.mongo.dead_letters().count_by_queue().await?;
        self.expect_equal("stored dead letters", stored.values().sum(), 0);
        Ok(())
    }
}

/// The requests of a series, all with this expected status.
fn booking_requests(workload: BookingSeries, expected: u16) -> Arc<dyn Workload> {
    Arc::new(StatelessWorkload {
        expected,
        write: move |number, request: &mut Vec<u8>| workload.write(number, request),
    })
}
