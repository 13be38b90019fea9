//! Whether the stores agree once all is decided: bookings with the claims to their beds, and both with what was asked for.
//!
//! The product's own reconciliation judges, and repairs nothing.

use super::super::worker_probe;
use super::PART_LIMIT;
use super::Run;
use super::parts::ANALYTICS;
use crate::{output, reconcile};
use anyhow::{Result, bail};
use pvt_stores::mongo::reconciliations::Severity;

const RECONCILIATION: &str = "reconciliation";

impl Run<'_> {
    /// Compares every property. What the mart lacks is no finding here: parts before may have thrown events away.
    pub(super) async fn agree(&mut self) -> Result<()> {
        output::note("  comparing bookings with claims");
        self.stage.worker(RECONCILIATION).await?;
        let properties = self.corner.mongo.property_ids().await?;
        let reports = reconcile::reports(self.corner.config(), &self.corner.mongo, properties, true).await?;
        let graver = reports.iter().flat_map(|report| &report.findings).find(|finding| finding.severity > Severity::Low);
        if let Some(finding) = graver {
            bail!("the stores disagree, such as: {} {}, {}", finding.kind.as_str(), finding.subject, finding.detail);
        }
        let (mut bookings, mut claims) = (0, 0);
        for checked in reports.iter().map(|report| report.checked) {
            bookings += u64::from(checked.bookings);
            claims += u64::from(checked.claims);
        }
        self.expect_equal("bookings compared", bookings, self.posted);
        if claims < bookings {
            bail!("{bookings} bookings have only {claims} claims to beds");
        }
        self.stage.stop(RECONCILIATION).await
    }

    /// Waits until the mart has every event that it will see; how many it has.
    pub(super) async fn loaded(&self) -> Result<u64> {
        let worker = self.stage.worker(ANALYTICS).await?;
        worker_probe::wait_for(worker, ANALYTICS, self.posted + self.changed - self.events_elsewhere, PART_LIMIT).await?;
        self.corner.mart_events().await
    }
}
