//! Bare limits of this machine, measured in the same run as the figures that are compared with them.

use super::{BenchmarkRun, Scenario, booking_requests};
use crate::bare::{pipeline, transactions};
use crate::load_generator::Pace;
use crate::process_group::BARE;
use anyhow::Result;
use pvt_operations::terminal;

impl BenchmarkRun<'_> {
    pub(super) async fn bare_limits(&mut self) -> Result<()> {
        // Bodies are as long as the API's commands.
        let body_bytes = serde_json::to_vec(&self.workload("bare").command(0))?.len();
        if self.scale.wants_any(&[Scenario::Intake, Scenario::Drain]) {
            self.bare_intake(body_bytes).await?;
        }
        if self.scale.wants_any(&[Scenario::Drain, Scenario::Mails, Scenario::Etl]) {
            terminal::note("  bare limit: consume, publish, acknowledge");
            let rate = pipeline::measure(self.namespace, self.scale.bare_messages, body_bytes).await?;
            self.figures.bare_pipeline_messages_per_s = Some(rate);
        }
        if self.scale.wants(Scenario::Drain) {
            terminal::note("  bare limit: one transaction a batch");
            let mongo = self.namespace.second_database().await?;
            let rate = transactions::measure(&mongo, self.scale.bare_batches).await;
            mongo.drop_database().await?;
            self.figures.bare_transaction_bookings_per_s = Some(rate?);
            self.figures.bare_all_three_bookings_per_s = self.combined_limit();
        }
        Ok(())
    }

    async fn bare_intake(&mut self, body_bytes: usize) -> Result<()> {
        terminal::note("  bare limit: a handler that only publishes");
        let address = self.process_group.bare_intake(body_bytes).await?;
        let count = self.scale.bare_messages;
        let load = self.load(address, count, Pace::ClosedLoop);
        let before = self.process_group.snapshot().await?;
        let answers = load.run(booking_requests(self.workload("bare"), 202)).await?;
        let after = self.process_group.snapshot().await?;
        self.note_unexpected(&answers);
        self.figures.record("bare intake", &before, &after, answers.expected());
        self.figures.bare_intake_requests_per_s = Some(answers.per_second());
        self.stop_bare_intake().await
    }

    /// Stops the bare handler and purges what it published.
    pub(super) async fn stop_bare_intake(&self) -> Result<()> {
        self.process_group.stop(BARE).await?;
        for partition in 0..self.namespace.topology().partitions() {
            self.namespace.purge(&format!("bookings.{partition}")).await?;
        }
        Ok(())
    }

    /// On shared cores costs add up: one booking takes a share of all three.
    fn combined_limit(&self) -> Option<f64> {
        let figures = &self.figures;
        let each = [
            figures.bare_intake_requests_per_s?,
            figures.bare_pipeline_messages_per_s?,
            figures.bare_transaction_bookings_per_s?,
        ];
        Some(1.0 / each.iter().map(|rate| 1.0 / rate).sum::<f64>())
    }
}
