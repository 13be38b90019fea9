//! Reports of reconciliation, newest first.

use crate::access::SignedIn;
use crate::actors::{self, ActorNames};
use crate::app::SharedApp;
use crate::failure::{Failure, page};
use crate::frame::Frame;
use crate::pages::shown;
use crate::store;
use askama::Template;
use axum::extract::State;
use axum::response::Html;
use pvt_stores::StoreError;
use pvt_stores::mongo::reconciliations::{Finding, Report};
use std::cmp::Reverse;

/// Reports on the page.
const MAX_REPORTS: u32 = 50;

#[derive(Template)]
#[template(path = "reconciliations.html")]
struct ReconciliationsPage {
    frame: Frame,
    reports: Vec<ReportView>,
}

struct ReportView {
    property: String,
    started_at: String,
    actor: String,
    checked: String,
    found: String,
    findings: Vec<FindingView>,
    unlisted: usize,
}

struct FindingView {
    severity: &'static str,
    kind: &'static str,
    outcome: &'static str,
    subject: String,
    detail: String,
}

/// `GET /reconciliations`.
pub(crate) async fn show(State(app): State<SharedApp>, user: SignedIn) -> Result<Html<String>, Failure> {
    let (mongo, properties, is_admin) = (app.mongo.clone(), user.properties(&app).await?, user.is_admin());
    let read = store::read(&app, async move {
        if is_admin {
            return mongo.reconciliations().list(None, MAX_REPORTS).await;
        }
        let mut reports = Vec::new();
        for property in &properties {
            reports.extend(mongo.reconciliations().list(Some(property), MAX_REPORTS).await?);
        }
        reports.sort_by_key(|report| Reverse(report.started_at));
        Ok::<_, StoreError>(reports)
    });
    let mut reports: Vec<Report> = read.await?;
    reports.truncate(usize::try_from(MAX_REPORTS).unwrap_or(usize::MAX));
    let names = actors::names(&app, reports.iter().map(|report| &report.actor)).await;
    let reports = reports.into_iter().map(|report| ReportView::of(report, &names)).collect();
    let frame = Frame::new(&user, "Reconciliation", "/reconciliations");
    page(&ReconciliationsPage { frame, reports })
}

impl ReportView {
    fn of(report: Report, names: &ActorNames) -> Self {
        let left = report.found.saturating_sub(report.repaired);
        let dry_run = if report.dry_run { ", dry run" } else { "" };
        let checked = report.checked;
        Self {
            property: report.property_id.to_string(),
            started_at: shown(report.started_at),
            actor: names.of(&report.actor),
            checked: format!(
                "{} bookings, {} blocks, {} claims, {} events in {} ms{dry_run}",
                checked.bookings, checked.blocks, checked.claims, checked.events, report.took_ms
            ),
            found: match report.found {
                0 => "nothing found".to_owned(),
                found => format!("{found} found, {} repaired, {left} left", report.repaired),
            },
            unlisted: usize::try_from(report.found).unwrap_or_default().saturating_sub(report.findings.len()),
            findings: report.findings.into_iter().map(FindingView::of).collect(),
        }
    }
}

impl FindingView {
    fn of(finding: Finding) -> Self {
        Self {
            severity: finding.severity.as_str(),
            kind: finding.kind.as_str(),
            outcome: if finding.repaired { "repaired" } else { "left" },
            subject: finding.subject,
            detail: finding.detail,
        }
    }
}
