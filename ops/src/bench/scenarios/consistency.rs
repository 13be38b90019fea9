//! Whether the stores agree once all is decided: bookings with the claims to their beds, the mart with both, and all
//! with what was asked for.
//!
//! The product's own reconciliation judges bookings and claims, and repairs nothing.

use super::{BenchmarkRun, SCENARIO_TIMEOUT};
use crate::{output, reconcile};
use anyhow::{Result, bail};
use pvt_stores::mongo::reconciliations::Severity;
use std::time::{Duration, Instant};

const RECONCILIATION: &str = "reconciliation";
const POLL_INTERVAL: Duration = Duration::from_millis(100);

impl BenchmarkRun<'_> {
    /// Waits for the mart and compares every property.
    pub(super) async fn check_consistency(&mut self) -> Result<()> {
        output::note("  comparing bookings, claims and the mart");
        self.wait_for_mart().await?;
        self.process_group.worker(RECONCILIATION).await?;
        let properties = self.namespace.mongo.inventories().property_ids().await?;
        let reports = reconcile::reports(self.namespace.config(), &self.namespace.mongo, properties, true).await?;
        // What the mart lacks is counted above; that parts before threw events away is no disagreement.
        let graver =
            reports.iter().flat_map(|report| &report.findings).find(|finding| finding.severity > Severity::Low);
        if let Some(finding) = graver {
            bail!("the stores disagree, such as: {} {}, {}", finding.kind.as_str(), finding.subject, finding.detail);
        }
        let compared = reports.iter().map(|report| u64::from(report.checked.bookings)).sum();
        self.expect_equal("bookings compared", compared, self.posted);
        self.process_group.stop(RECONCILIATION).await
    }

    /// Waits until the mart has the event of every revision of a booking; who was moved to make room has one more than
    /// asked for. What the worker says it settled would not do: it counts the mails that were sent, too.
    async fn wait_for_mart(&mut self) -> Result<()> {
        let revisions = self.namespace.revisions().await?;
        if revisions < self.posted + self.changed {
            bail!(
                "{revisions} revisions of bookings, although {} bookings and {} changes were confirmed",
                self.posted,
                self.changed
            );
        }
        let expected = revisions - self.mart_lacks;
        let deadline = Instant::now() + SCENARIO_TIMEOUT;
        let mut found = self.namespace.mart_events().await?;
        while found < expected && Instant::now() < deadline {
            tokio::time::sleep(POLL_INTERVAL).await;
            found = self.namespace.mart_events().await?;
        }
        self.expect_equal("events in the mart", found, expected);
        Ok(())
    }
}
