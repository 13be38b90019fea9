//! Consistency of the stores once everything is decided: bookings, claims and the mart against each other and against
//! the accepted requests.
//!
//! Bookings and claims are compared by the product's own reconciliation, without repairs.

use super::{BenchmarkRun, SCENARIO_TIMEOUT};
use anyhow::{Result, bail};
use pvt_operations::{reconcile, terminal};
use pvt_stores::mongo::reconciliations::Severity;
use std::time::{Duration, Instant};

const RECONCILIATION: &str = "reconciliation";
const POLL_INTERVAL: Duration = Duration::from_millis(100);

impl BenchmarkRun<'_> {
    /// Waits for the mart and compares every property.
    pub(super) async fn check_consistency(&mut self) -> Result<()> {
        terminal::note("  comparing bookings, claims and the mart");
        self.wait_for_mart().await?;
        self.process_group.worker(RECONCILIATION).await?;
        let properties = self.namespace.mongo.inventories().property_ids().await?;
        let reports = reconcile::reports(self.namespace.config(), &self.namespace.mongo, properties, true).await?;
        // Events that earlier scenarios purged are counted above and are no inconsistency.
        let inconsistency =
            reports.iter().flat_map(|report| &report.findings).find(|finding| finding.severity > Severity::Low);
        if let Some(finding) = inconsistency {
            bail!(
                "the stores are inconsistent, such as: {} {}, {}",
                finding.kind.as_str(),
                finding.subject,
                finding.detail
            );
        }
        let compared = reports.iter().map(|report| u64::from(report.checked.bookings)).sum();
        self.expect_equal("bookings compared", compared, self.posted);
        self.process_group.stop(RECONCILIATION).await
    }

    /// Waits until the mart has the event of every revision of a booking; reassigned bookings have more revisions than
    /// requests. The counters of the worker would not do: they include the events of sent mails.
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
