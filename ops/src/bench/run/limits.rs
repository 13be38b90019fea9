//! The bare limits of this machine, measured in the same run as what is compared with them.

use super::super::bare::{pipeline, transactions};
use super::super::load::{Load, Pace};
use super::super::stage::BARE;
use super::{PART_LIMIT, Part, Run, asking};
use crate::output;
use anyhow::Result;

impl Run<'_> {
    pub(super) async fn bare_limits(&mut self) -> Result<()> {
        // A command is as long as the API makes it.
        let body_bytes = serde_json::to_vec(&self.traffic("bare").command(0))?.len();
        if self.scale.wants_any(&[Part::Intake, Part::Drain]) {
            self.bare_intake(body_bytes).await?;
        }
        if self.scale.wants_any(&[Part::Drain, Part::Mails, Part::Etl]) {
            output::note("  bare limit: consume, publish, acknowledge");
            let rate = pipeline::measure(self.corner, self.scale.bare_messages, body_bytes).await?;
            self.figures.bare_pipeline_messages_per_s = Some(rate);
        }
        if self.scale.wants(Part::Drain) {
            output::note("  bare limit: one transaction a batch");
            let mongo = self.corner.second_database().await?;
            let rate = transactions::measure(&mongo, self.scale.bare_batches).await;
            mongo.drop_database().await?;
            self.figures.bare_transaction_bookings_per_s = Some(rate?);
            self.figures.bare_all_three_bookings_per_s = self.all_three();
        }
        Ok(())
    }

    async fn bare_intake(&mut self, body_bytes: usize) -> Result<()> {
        output::note("  bare limit: a handler that only publishes");
        let address = self.stage.bare_intake(body_bytes).await?;
        let count = self.scale.bare_messages;
        let load =
            Load { address, connections: self.scale.connections, count, pace: Pace::AsAnswered, limit: PART_LIMIT };
        let before = self.stage.snapshot().await?;
        let answers = load.run(asking(self.traffic("bare"), 202)).await?;
        let after = self.stage.snapshot().await?;
        self.note_unexpected(&answers);
        self.figures.note("bare intake", &before, &after, answers.expected());
        self.figures.bare_intake_requests_per_s = Some(answers.per_second());
        self.stop_bare_intake().await
    }

    /// Ends the bare handler and throws away what it published.
    pub(super) async fn stop_bare_intake(&self) -> Result<()> {
        self.stage.stop(BARE).await?;
        for partition in 0..self.corner.topology().partitions() {
            self.corner.purge(&format!("bookings.{partition}")).await?;
        }
        Ok(())
    }

    /// On shared cores, costs add up: one booking takes a share of all three.
    fn all_three(&self) -> Option<f64> {
        let figures = &self.figures;
        let each = [
            figures.bare_intake_requests_per_s?,
            figures.bare_pipeline_messages_per_s?,
            figures.bare_transaction_bookings_per_s?,
        ];
        Some(1.0 / each.iter().map(|rate| 1.0 / rate).sum::<f64>())
    }
}
