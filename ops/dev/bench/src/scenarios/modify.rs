//! Modification of confirmed bookings: each is a command in the queue of its property, and the caller waits for the
//! decision.

use super::{BenchmarkRun, booking_flow};
use crate::booking_pool::{BookingPool, CreateWorkload, ModifyWorkload};
use crate::load_generator::Pace;
use anyhow::Result;
use pvt_operations::terminal;
use std::sync::Arc;

/// Changes of each booking.
const TURNS: u64 = 3;
/// Shortest time between two changes of a booking, so that the first one is answered by then.
const REST_S: u64 = 2;

impl BenchmarkRun<'_> {
    /// Everything runs: bookings are modified at half the steady rate, each with its last revision. One refusal ends
    /// the scenario.
    pub(super) async fn modify(&mut self) -> Result<()> {
        self.process_group.sink().await?;
        self.process_group.worker(booking_flow::EMAILS).await?;
        let address = self.process_group.api().await?;
        let rate = self.scale.changes_per_s();
        let count = u64::from(rate) * self.scale.steady.as_secs();
        let held = count.div_ceil(TURNS).max(u64::from(rate) * REST_S).min(count);
        let pool = self.book("to-change", held).await?;
        terminal::note(format_args!(
            "  modify: {rate} changes/s for {:?} of {held} bookings, each until it is decided",
            self.scale.steady
        ));
        let before = self.process_group.snapshot().await?;
        let load = self.load(address, count, Pace::OpenLoop(rate));
        let answers = load.run(Arc::new(ModifyWorkload(pool))).await?;
        let after = self.process_group.snapshot().await?;
        self.changed += answers.expected();
        let figures = &mut self.figures;
        figures.record("modify", &before, &after, answers.expected());
        figures.modify_per_s = Some(answers.per_second());
        figures.modify_p50_ms = Some(answers.latency_ms(500));
        figures.modify_p99_ms = Some(answers.latency_ms(990));
        figures.modify_refused = Some(answers.unexpected);
        self.wait_until_decided().await?;
        self.check_consistency().await
    }

    /// Creates confirmed bookings of the series `name`.
    pub(super) async fn book(&mut self, name: &str, count: u64) -> Result<BookingPool> {
        let address = self.process_group.api().await?;
        let pool = BookingPool::new(count);
        let booking_requests = CreateWorkload::new(self.workload(name), pool.clone());
        let load = self.load(address, count, Pace::ClosedLoop);
        self.posted += load.run(Arc::new(booking_requests)).await?.expected();
        self.wait_until_decided().await?;
        Ok(pool)
    }
}
