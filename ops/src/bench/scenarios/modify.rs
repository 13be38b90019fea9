//! Changes of confirmed bookings: each is a command that waits in its property's queue, and the caller waits for it.

use super::super::booking_pool::{BookingPool, CreateWorkload, ModifyWorkload};
use super::super::load_generator::{LoadGenerator, Pace};
use super::{BenchmarkRun, SCENARIO_TIMEOUT, booking_flow};
use crate::output;
use anyhow::Result;
use std::sync::Arc;

/// Times that a booking changes.
const TURNS: u64 = 3;
/// A booking rests at least so long between two changes, so that the first is long answered.
const REST_S: u64 = 2;

impl BenchmarkRun<'_> {
    /// All of it runs: bookings change at half the steady rate, each with the revision it had last. One refusal ends
    /// the part.
    pub(super) async fn modify(&mut self) -> Result<()> {
        self.process_group.sink().await?;
        self.process_group.worker(booking_flow::EMAILS).await?;
        let address = self.process_group.api().await?;
        let rate = self.scale.changes_per_s();
        let count = u64::from(rate) * self.scale.steady.as_secs();
        let held = count.div_ceil(TURNS).max(u64::from(rate) * REST_S).min(count);
        let pool = self.book("to-change", held).await?;
        output::note(format_args!(
            "  modify: {rate} changes/s for {:?} of {held} bookings, each until it is decided",
            self.scale.steady
        ));
        let before = self.process_group.snapshot().await?;
        let load = LoadGenerator {
            address,
            connections: self.scale.connections,
            count,
            pace: Pace::OpenLoop(rate),
            limit: SCENARIO_TIMEOUT,
        };
        let answers = load.run(Arc::new(ModifyWorkload(pool))).await?;
        let after = self.process_group.snapshot().await?;
        self.changed += answers.expected();
        let figures = &mut self.figures;
        figures.note("modify", &before, &after, answers.expected());
        figures.modify_per_s = Some(answers.per_second());
        figures.modify_p50_ms = Some(answers.latency_ms(500));
        figures.modify_p99_ms = Some(answers.latency_ms(990));
        figures.modify_refused = Some(answers.unexpected);
        self.wait_until_decided().await?;
        self.check_consistency().await
    }

    /// Confirmed bookings of the series `name`, with what their guests hold of them.
    pub(super) async fn book(&mut self, name: &str, count: u64) -> Result<BookingPool> {
        let address = self.process_group.api().await?;
        let pool = BookingPool::new(count);
        let booking_requests = CreateWorkload::new(self.workload(name), pool.clone());
        let load = LoadGenerator {
            address,
            connections: self.scale.connections,
            count,
            pace: Pace::ClosedLoop,
            limit: SCENARIO_TIMEOUT,
        };
        self.posted += load.run(Arc::new(booking_requests)).await?.expected();
        self.wait_until_decided().await?;
        Ok(pool)
    }
}
