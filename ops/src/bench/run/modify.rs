//! Changes of confirmed bookings: each is a command that waits in its property's queue, and the caller waits for it.

use super::super::held::{Asking, Changing, Holdings};
use super::super::load::{Load, Pace};
use super::{PART_LIMIT, Run, parts};
use crate::output;
use anyhow::Result;
use std::sync::Arc;

/// Times that a booking changes.
const TURNS: u64 = 3;
/// A booking rests at least so long between two changes, so that the first is long answered.
const REST_S: u64 = 2;

impl Run<'_> {
    /// All of it runs: bookings change at half the steady rate, each with the revision it had last. One refusal ends
    /// the part.
    pub(super) async fn modify(&mut self) -> Result<()> {
        self.stage.sink().await?;
        self.stage.worker(parts::EMAILS).await?;
        let address = self.stage.api().await?;
        let rate = self.scale.changes_per_s();
        let count = u64::from(rate) * self.scale.steady.as_secs();
        let held = count.div_ceil(TURNS).max(u64::from(rate) * REST_S).min(count);
        let holdings = self.book("to-change", held).await?;
        output::note(format_args!(
            "  modify: {rate} changes/s for {:?} of {held} bookings, each until it is decided",
            self.scale.steady
        ));
        let before = self.stage.snapshot().await?;
        let load = Load {
            address,
            connections: self.scale.connections,
            count,
            pace: Pace::PerSecond(rate),
            limit: PART_LIMIT,
        };
        let answers = load.run(Arc::new(Changing(holdings))).await?;
        let after = self.stage.snapshot().await?;
        self.changed += answers.expected();
        let figures = &mut self.figures;
        figures.note("modify", &before, &after, answers.expected());
        figures.modify_per_s = Some(answers.per_second());
        figures.modify_p50_ms = Some(answers.latency_ms(500));
        figures.modify_p99_ms = Some(answers.latency_ms(990));
        figures.modify_refused = Some(answers.unexpected);
        self.decided().await?;
        self.agree().await
    }

    /// Confirmed bookings of the series `name`, with what their guests hold of them.
    pub(super) async fn book(&mut self, name: &str, count: u64) -> Result<Holdings> {
        let address = self.stage.api().await?;
        let holdings = Holdings::new(count);
        let asking = Asking::new(self.traffic(name), holdings.clone());
        let load =
            Load { address, connections: self.scale.connections, count, pace: Pace::AsAnswered, limit: PART_LIMIT };
        self.posted += load.run(Arc::new(asking)).await?.expected();
        self.decided().await?;
        Ok(holdings)
    }
}
