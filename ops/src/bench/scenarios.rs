//! The parts of a run, one after another. What one leaves behind is the next one's input: the intake run fills the
//! booking queues, draining them fills the queues of the mart and of the mails.

mod booking_flow;
mod consistency;
mod limits;
mod mixed;
mod modify;
mod search;
mod webhooks;

use super::Scenario;
use super::engines::Engines;
use super::figures::Figures;
use super::load_generator::{LoadGenerator, LoadReport, Pace, StatelessWorkload, Workload};
use super::machine;
use super::namespace::Namespace;
use super::process_group::ProcessGroup;
use super::scale::Scale;
use super::workload::{self, BookingSeries};
use crate::output;
use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use pvt_messaging::QueueRole;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// For any one part.
const SCENARIO_TIMEOUT: Duration = Duration::from_secs(180);
/// Hostels written at once.
const CONCURRENT_WRITES: usize = 16;
const HOSTELS: &str = "bench";

/// Runs what the scale asks for.
pub(super) async fn all(namespace: &Namespace, engines: &Engines, scale: &Scale, figures: &mut Figures) -> Result<()> {
    let process_group = ProcessGroup::new(namespace, engines)?;
    figures.machine = Some(machine::look(namespace).await?);
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
    let outcome = run.parts().await;
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
    /// Changes of them that were confirmed so far.
    changed: u64,
    /// Events of bookings that the running `analytics` process will never see: thrown away, or loaded by an earlier
    /// one.
    events_elsewhere: u64,
    /// Revisions of bookings that the mart will never have, because their events were thrown away.
    mart_lacks: u64,
    /// Whether the house that is searched has its guests.
    searched_property_filled: bool,
}

impl BenchmarkRun<'_> {
    async fn parts(&mut self) -> Result<()> {
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
        output::note(format_args!("  creating {properties} hostels with {beds} beds each"));
        let mongo = &self.namespace.mongo;
        mongo.inventories().save(&workload::searched_property()).await?;
        let all = stream::iter(0..properties)
            .map(|number| async move { mongo.inventories().save(&workload::hostel(HOSTELS, number, beds)).await });
        all.buffer_unordered(CONCURRENT_WRITES).try_collect::<()>().await.context("the hostels cannot be created")
    }

    /// The series `name` of this run.
    fn workload(&self, name: &str) -> BookingSeries {
        BookingSeries::new(format!("{}-{name}", self.namespace.name()), HOSTELS, self.scale.properties)
    }

    /// Posts requests and counts what was accepted.
    async fn post(
        &mut self,
        address: SocketAddr,
        workload: BookingSeries,
        count: u64,
        pace: Pace,
        expected: u16,
    ) -> Result<LoadReport> {
        let load = LoadGenerator { address, connections: self.scale.connections, count, pace, limit: SCENARIO_TIMEOUT };
        let answers = load.run(booking_requests(workload, expected)).await?;
        self.posted += answers.expected();
        self.note_unexpected(&answers);
        Ok(answers)
    }

    fn note_unexpected(&mut self, answers: &LoadReport) {
        if let Some(example) = &answers.example {
            self.figures.troubles.push(format!("{} unexpected answers, such as: {example}", answers.unexpected));
        }
    }

    fn expect_equal(&mut self, what: &str, found: u64, expected: u64) {
        if found != expected {
            self.figures.troubles.push(format!("{what}: {found}, expected {expected}"));
        }
    }

    /// Dead letters and messages without a route: there must be none.
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
        Ok(())
    }
}

/// Each request of a series, hoping for this status.
fn booking_requests(workload: BookingSeries, expected: u16) -> Arc<dyn Workload> {
    Arc::new(StatelessWorkload {
        expected,
        write: move |number, request: &mut Vec<u8>| workload.write(number, request),
    })
}
