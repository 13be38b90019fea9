//! Report of a reconciliation run, as stored and shown.

use pvt_domain::actor::Actor;
use pvt_domain::ids::{PropertyId, uuid_text};
use pvt_domain::timestamp::Timestamp;
use pvt_domain::wire_enum;
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// The report of one run over one property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Id of the run.
    #[serde(rename = "_id", with = "uuid_text")]
    pub run_id: Uuid,
    /// The property.
    pub property_id: PropertyId,
    /// Who started it: `schedule:<name>` or `staff:<id>`.
    pub actor: Actor,
    /// Whether findings were only reported, not repaired.
    pub dry_run: bool,
    /// Number of documents that were checked.
    pub checked: Checked,
    /// Number of findings, including those not listed.
    pub found: u32,
    /// Number of findings that were repaired.
    pub repaired: u32,
    /// Findings; a very long list is truncated.
    pub findings: Vec<Finding>,
    /// When the run began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// How long it took.
    pub took_ms: u64,
}

/// Number of documents that a run checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Bookings of the property.
    pub bookings: u32,
    /// Active blocks of the property.
    #[serde(default)]
    pub blocks: u32,
    /// Claims of the property.
    pub claims: u32,
    /// Events that the mart must have. Events of bookings that changed a moment ago are still in flight and not
    /// counted.
    pub events: u32,
}

/// One inconsistency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Kind of inconsistency.
    pub kind: FindingKind,
    /// Its severity.
    pub severity: Severity,
    /// What it concerns: a claim's key, a booking's id or an event's id.
    pub subject: String,
    /// Description for people; never names a guest.
    pub detail: String,
    /// Whether this run repaired it.
    pub repaired: bool,
}

wire_enum! {
    /// Kind of inconsistency.
    #[derive(Hash, PartialOrd, Ord)]
    pub enum FindingKind {
        /// A claim that no active booking or block owns.
        OrphanClaim = "orphan_claim",
        /// A bed-night of an active booking or block without a claim.
        MissingClaim = "missing_claim",
        /// A bed-night of two active bookings or blocks, of which one has the claim: staff must resolve it.
        Conflict = "conflict",
        /// A claim whose key or owner cannot be read: staff must resolve it.
        UnreadableClaim = "unreadable_claim",
        /// An event of a booking that the mart has never received.
        EventMissing = "event_missing",
        /// The mart's row of a booking is missing or outdated although its events were received.
        MartBehind = "mart_behind",
    }
}

impl FindingKind {
    /// Severity of this kind.
    pub fn severity(self) -> Severity {
        match self {
            Self::EventMissing | Self::MartBehind => Severity::Low,
            Self::OrphanClaim | Self::UnreadableClaim => Severity::Medium,
            Self::MissingClaim => Severity::High,
            Self::Conflict => Severity::Critical,
        }
    }
}

wire_enum! {
    /// Severity of a finding for guests.
    #[derive(PartialOrd, Ord)]
    pub enum Severity {
        /// Analytics are outdated.
        Low = "low",
        /// A bed cannot be sold.
        Medium = "medium",
        /// A bed could be sold twice.
        High = "high",
        /// A bed was sold twice.
        Critical = "critical",
    }
}

/// For a terminal: a summary, then one line per finding.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Checked { bookings, blocks, claims, events } = self.checked;
        let left = self.found.saturating_sub(self.repaired);
        let dry = if self.dry_run { " (dry run)" } else { "" };
        write!(
            f,
            "{} at {} by {}: {bookings} bookings, {blocks} blocks, {claims} claims, {events} events checked in {} ms; \
            {} found, {} repaired, {left} left{dry}",
            self.property_id, self.started_at, self.actor, self.took_ms, self.found, self.repaired
        )?;
        for Finding { kind, severity, subject, detail, repaired } in &self.findings {
            let outcome = if *repaired { "repaired" } else { "left" };
            write!(f, "\n  {:<8} {:<16} {outcome:<8} {subject}: {detail}", severity.as_str(), kind.as_str())?;
        }
        let unlisted = usize::try_from(self.found).unwrap_or(usize::MAX).saturating_sub(self.findings.len());
        if unlisted > 0 { write!(f, "\n  … and {unlisted} more") } else { Ok(()) }
    }
}
