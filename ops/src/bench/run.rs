//! The parts of a run, one after another. What one leaves behind is the next one's input: the intake run fills the
//! booking queues, draining them fills the queues of the mart and of the mails.

mod agreement;
mod limits;
mod mixed;
mod modify;
mod parts;
mod search;
mod webhooks;

use super::Part;
use super::corner::Corner;
use super::engines::Engines;
use super::figures::Figures;
use super::load::{Answers, Load, Pace, Plain, Script};
use super::machine;
use super::scale::Scale;
use super::stage::Stage;
use super::traffic::{self, Traffic};
use crate::output;
use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use pvt_messaging::QueueRole;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// For any one part.
const PART_LIMIT: Duration = Duration::from_secs(180);
/// Hostels written at once.
const SEEDERS: usize = 16;
const HOSTELS: &str = "bench";

/// Runs what the scale asks for.
pub(super) async fn all(corner: &Corner, engines: &Engines, scale: &Scale, figures: &mut Figures) -> Result<()> {
    let stage = Stage::new(corner, engines)?;
    figures.machine = Some(machine::look(corner).await?);
    let mut run = Run {
        corner,
        stage,
        scale,
        figures,
        posted: 0,
        changed: 0,
        events_elsewhere: 0,
        mart_lacks: 0,
        house_filled: false,
    };
    let outcome = run.parts().await;
    let stopped = run.stage.stop_all().await;
    outcome.and(stopped)
}

struct Run<'a> {
    corner: &'a Corner,
    stage: Stage<'a>,
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
    house_filled: bool,
}

impl Run<'_> {
    async fn parts(&mut self) -> Result<()> {
        self.seed().await?;
        self.bare_limits().await?;
        if self.scale.wants_any(&[Part::Intake, Part::Mails, Part::Etl]) {
            self.intake().await?;
            self.backlog().await?;
        }
        if self.scale.wants(Part::Etl) {
            self.etl().await?;
        }
        if self.scale.wants(Part::Mails) {
            self.mails().await?;
        }
        if self.scale.wants_any(&[Part::Drain, Part::Steady, Part::Search, Part::Modify, Part::Mixed]) {
            self.settle_down().await?;
        }
        if self.scale.wants(Part::Drain) {
            self.drain().await?;
        }
        if self.scale.wants(Part::Steady) {
            self.steady().await?;
        }
        if self.scale.wants(Part::Search) {
            self.search().await?;
        }
        if self.scale.wants(Part::Modify) {
            self.modify().await?;
        }
        if self.scale.wants(Part::Mixed) {
            self.mixed().await?;
        }
        if self.scale.wants(Part::Webhooks) {
            self.webhooks().await?;
        }
        self.figures.peak_rss_mib = self.stage.peaks_mib().await;
        self.look_for_casualties().await
    }

    async fn seed(&self) -> Result<()> {
        let Scale { properties, beds, .. } = *self.scale;
        output::note(format_args!("  creating {properties} hostels with {beds} beds each"));
        let mongo = &self.corner.mongo;
        mongo.save_inventory(&traffic::searched()).await?;
        let all = stream::iter(0..properties)
            .map(|number| async move { mongo.save_inventory(&traffic::hostel(HOSTELS, number, beds)).await });
        all.buffer_unordered(SEEDERS).try_collect::<()>().await.context("the hostels cannot be created")
    }

    /// The series `name` of this run.
    fn traffic(&self, name: &str) -> Traffic {
        Traffic::new(format!("{}-{name}", self.corner.name()), HOSTELS, self.scale.properties)
    }

    /// Posts requests and counts what was accepted.
    async fn post(
        &mut self,
        address: SocketAddr,
        traffic: Traffic,
        count: u64,
        pace: Pace,
        expected: u16,
    ) -> Result<Answers> {
        let load = Load { address, connections: self.scale.connections, count, pace, limit: PART_LIMIT };
        let answers = load.run(asking(traffic, expected)).await?;
        self.posted += answers.expected();
        self.note_unexpected(&answers);
        Ok(answers)
    }

    fn note_unexpected(&mut self, answers: &Answers) {
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
    async fn look_for_casualties(&mut self) -> Result<()> {
        let topology = self.corner.topology();
        for queue in topology
            .queues()
            .iter()
            .filter(|queue| matches!(queue.role, QueueRole::Dead { .. } | QueueRole::Unroutable))
        {
            let name = queue.name.strip_prefix(topology.prefix()).unwrap_or(&queue.name);
            let found = self.corner.ready(name).await?;
            self.expect_equal(&format!("messages in `{name}`"), u64::from(found), 0);
        }
        Ok(())
    }
}

/// Each request of a series, hoping for this status.
fn asking(traffic: Traffic, expected: u16) -> Arc<dyn Script> {
    Arc::new(Plain { expected, write: move |number, request: &mut Vec<u8>| traffic.write(number, request) })
}
