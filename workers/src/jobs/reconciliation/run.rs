//! One run over one property, step by step: read, compare, repair, check the mart, report.

use super::Reconciliation;
use super::mismatches::{self, ClaimMismatch};
use chrono::TimeDelta;
use pvt_domain::booking::HistoryEntry;
use pvt_domain::events::BookingEvent;
use pvt_domain::failure::Failure;
use pvt_domain::ids::BookingId;
use pvt_domain::messages::{MessageType, ReconcileProperty};
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::Outgoing;
use pvt_stores::StoreError;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_stores::mongo::reconciliations::{
    BookingSummary, Checked, ClaimRepair, Finding, FindingKind, PropertySnapshot, Report,
};
use pvt_worker_runtime::failpoint;
use std::collections::HashSet;
use std::time::Instant;
use uuid::Uuid;

/// Most repairs of one run; the next one finds the rest.
const REPAIRS_MAX: usize = 1_000;
/// Most bookings whose events one run republishes. A backlog in front of the mart looks like missing events, and must
/// not be doubled.
const REPUBLISH_MAX: usize = 500;
/// Findings listed in a report; the others are only counted.
const LISTED_MAX: usize = 500;
/// Prefix of the audit log's action of a repair; the kind of the finding follows.
const REPAIR: &str = "repair.";

/// Counter, labels `kind`, `outcome`: findings of runs that may repair, each once its report is saved.
const FINDINGS: &str = "pvt_reconciliation_findings_total";
const REPAIRED: &str = "repaired";
const LEFT: &str = "left";

fn count_findings(kind: FindingKind, outcome: &'static str, findings: u64) {
    metrics::counter!(FINDINGS, "kind" => kind.as_str(), "outcome" => outcome).increment(findings);
}

/// An alert compares with the scrape before, so counters begin at 0, not with their first event.
pub(super) fn begin_counters() {
    for (_, kind) in FindingKind::ALL {
        count_findings(kind, REPAIRED, 0);
        count_findings(kind, LEFT, 0);
    }
}

/// A run under way.
pub(super) struct Run<'a> {
    worker: &'a Reconciliation,
    command: &'a ReconcileProperty,
    started_at: Timestamp,
    started: Instant,
    checked: Checked,
    findings: Vec<Finding>,
    events: Vec<Outgoing>,
}

impl<'a> Run<'a> {
    pub(super) fn begin(worker: &'a Reconciliation, command: &'a ReconcileProperty) -> Self {
        let (started_at, started) = ((worker.clock)(), Instant::now());
        Self {
            worker,
            command,
            started_at,
            started,
            checked: Checked::default(),
            findings: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Executes the run and stores its report; returns what is to be published.
    pub(super) async fn execute(mut self) -> Result<Vec<Outgoing>, Failure> {
        let snapshot = self.worker.mongo.reconciliations().property_snapshot(&self.command.property_id).await?;
        self.checked.bookings = count(snapshot.bookings.len());
        self.checked.blocks = count(snapshot.blocks.len());
        self.checked.claims = count(snapshot.claims.len());
        self.check_claims(&snapshot).await?;
        self.describe_property().await?;
        self.check_mart(snapshot.bookings).await?;
        self.recall_earlier_repairs().await?;
        failpoint::hit("after_repair_before_report");
        self.report().await?;
        Ok(self.events)
    }

    async fn check_claims(&mut self, snapshot: &PropertySnapshot) -> Result<(), StoreError> {
        for (number, mismatch) in mismatches::find(&self.command.property_id, snapshot).iter().enumerate() {
            let mut finding = mismatch.finding();
            if !self.command.dry_run && number < REPAIRS_MAX && !self.repair(mismatch, &mut finding).await? {
                continue;
            }
            self.findings.push(finding);
        }
        Ok(())
    }

    /// Repairs what can be repaired; `false` when it was consistent by then, and is no finding.
    async fn repair(&self, mismatch: &ClaimMismatch, finding: &mut Finding) -> Result<bool, StoreError> {
        let audit = self.audit(finding);
        let outcome = match mismatch {
            ClaimMismatch::Orphan(claim, _) => {
                self.worker.mongo.reconciliations().release_orphan_claim(claim, &audit).await?
            }
            ClaimMismatch::Missing(lost) => self.worker.mongo.reconciliations().restore_claim(lost, &audit).await?,
            ClaimMismatch::Conflict { .. } | ClaimMismatch::Unreadable(_) => return Ok(true),
        };
        match outcome {
            ClaimRepair::Done => finding.repaired = true,
            ClaimRepair::NotDue => return Ok(false),
            ClaimRepair::Taken => {
                finding.kind = FindingKind::Conflict;
                finding.severity = finding.kind.severity();
            }
        }
        Ok(true)
    }

    /// Writes the names to the mart, because events carry only ids.
    async fn describe_property(&self) -> Result<(), StoreError> {
        if self.command.dry_run {
            return Ok(());
        }
        match self.worker.mongo.inventories().find(&self.command.property_id).await? {
            Some(inventory) => self.worker.mart.describe(&inventory).await,
            None => Ok(()),
        }
    }

    async fn check_mart(&mut self, bookings: Vec<BookingSummary>) -> Result<(), Failure> {
        let grace = TimeDelta::from_std(self.worker.grace).unwrap_or(TimeDelta::MAX);
        let settled_before = self.started_at.as_datetime() - grace;
        let settled: Vec<_> =
            bookings.into_iter().filter(|booking| booking.updated_at.as_datetime() <= settled_before).collect();
        let event_ids: Vec<Uuid> = settled.iter().flat_map(BookingSummary::event_ids).collect();
        self.checked.events = count(event_ids.len());
        let missing = self.worker.mart.missing_events(&event_ids).await?;
        let revisions: Vec<(BookingId, u32)> = settled.iter().map(|booking| (booking.id, booking.rev)).collect();
        let behind = self.worker.mart.behind(&revisions).await?;
        let late = settled
            .iter()
            .filter(|booking| behind.contains(&booking.id) || booking.event_ids().any(|id| missing.contains(&id)));
        let late: Vec<BookingId> = late.map(|booking| booking.id).collect();
        let (now, later) = late.split_at(late.len().min(REPUBLISH_MAX));
        let stored = self.worker.mongo.bookings().find_by_ids(now.iter().copied()).await?;
        for booking in now.iter().filter_map(|id| stored.get(id)) {
            for (kind, entry) in entries_to_republish(&booking.history, &missing, behind.contains(&booking.id)) {
                self.republish(kind, &BookingEvent::of(booking, entry)).await?;
            }
        }
        for id in later {
            self.find(FindingKind::MartBehind, id.to_string(), "left to the next run".to_owned());
        }
        Ok(())
    }

    async fn republish(&mut self, kind: FindingKind, event: &BookingEvent) -> Result<(), Failure> {
        let detail = format!("booking {} revision {}: {}", event.booking_id, event.rev, event.kind());
        let subject =
            if kind == FindingKind::MartBehind { event.booking_id.to_string() } else { event.event_id.to_string() };
        let finding = Finding { kind, severity: kind.severity(), subject, detail, repaired: false };
        if self.command.dry_run {
            self.findings.push(finding);
            return Ok(());
        }
        // To the mart's queue alone: to mails and searches this is no news.
        let message = Outgoing::event(event.event_id, event)?
            .to_queue(self.worker.mart_queue.clone())
            .with_correlation_id(event.booking_id.as_uuid());
        self.worker.mongo.audit_log().append(&self.audit(&finding)).await?;
        self.findings.push(Finding { repaired: true, ..finding });
        self.events.push(message);
        Ok(())
    }

    /// Adds repairs of an interrupted delivery of this run from the audit log.
    async fn recall_earlier_repairs(&mut self) -> Result<(), StoreError> {
        let listed: HashSet<(FindingKind, String)> =
            self.findings.iter().map(|finding| (finding.kind, finding.subject.clone())).collect();
        for entry in self.worker.mongo.audit_log().of_cause(self.command.run_id).await? {
            let kind = entry.action.strip_prefix(REPAIR).and_then(FindingKind::parse);
            let Some(kind) = kind.filter(|kind| !listed.contains(&(*kind, entry.subject.clone()))) else { continue };
            self.findings.push(Finding {
                kind,
                severity: kind.severity(),
                subject: entry.subject,
                detail: entry.detail,
                repaired: true,
            });
        }
        Ok(())
    }

    async fn report(&mut self) -> Result<(), StoreError> {
        let outcome = |finding: &Finding| (finding.kind, if finding.repaired { REPAIRED } else { LEFT });
        let outcomes: Vec<(FindingKind, &'static str)> = self.findings.iter().map(outcome).collect();
        let found = count(self.findings.len());
        let repaired = count(self.findings.iter().filter(|finding| finding.repaired).count());
        // Findings left to staff come first, the most severe at the top.
        self.findings.sort_by_key(|finding| (finding.repaired, std::cmp::Reverse(finding.severity)));
        self.findings.truncate(LISTED_MAX);
        let took = self.started.elapsed();
        metrics::histogram!("pvt_reconciliation_duration_seconds").record(took.as_secs_f64());
        if found > 0 {
            tracing::warn!(property = %self.command.property_id, run_id = %self.command.run_id, found, repaired,
                "reconciliation found mismatches");
        }
        let report = Report {
            run_id: self.command.run_id,
            property_id: self.command.property_id.clone(),
            actor: self.command.actor.clone(),
            dry_run: self.command.dry_run,
            checked: self.checked,
            found,
            repaired,
            findings: std::mem::take(&mut self.findings),
            started_at: self.started_at,
            finished_at: (self.worker.clock)(),
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        };
        self.worker.mongo.reconciliations().save(&report).await?;
        // A run that is interrupted before here is repeated as a whole. A dry run only looks.
        for (kind, outcome) in outcomes.into_iter().filter(|_| !report.dry_run) {
            count_findings(kind, outcome, 1);
        }
        Ok(())
    }

    fn find(&mut self, kind: FindingKind, subject: String, detail: String) {
        self.findings.push(Finding { kind, severity: kind.severity(), subject, detail, repaired: false });
    }

    fn audit(&self, finding: &Finding) -> AuditEntry {
        let action = format!("{REPAIR}{}", finding.kind.as_str());
        AuditEntry::new(
            self.command.run_id,
            (self.worker.clock)(),
            &self.command.actor,
            action,
            &finding.subject,
            &finding.detail,
        )
    }
}

/// The entries whose events are to be published again: those never seen, and the newest one if the mart's row is behind
/// for any other reason.
fn entries_to_republish<'h>(
    history: &'h [HistoryEntry],
    missing: &HashSet<Uuid>,
    behind: bool,
) -> Vec<(FindingKind, &'h HistoryEntry)> {
    let mut lost: Vec<_> = history
        .iter()
        .filter(|entry| missing.contains(&entry.event_id))
        .map(|entry| (FindingKind::EventMissing, entry))
        .collect();
    if let Some(newest) = history.last().filter(|newest| behind && !missing.contains(&newest.event_id)) {
        lost.push((FindingKind::MartBehind, newest));
    }
    lost
}

/// Sizes of things in memory always fit.
fn count(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
