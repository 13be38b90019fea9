//! Reconciliation on request: a run is queued as the schedule queues it, and its report is awaited. Stored reports.

use crate::{OPERATOR, OperationError, broker};
use anyhow::Result;
use chrono::Utc;
use pvt_domain::ids::PropertyId;
use pvt_domain::messages::{RECONCILE_PROPERTY, ReconcileProperty};
use pvt_messaging::{Outgoing, Publisher};
use pvt_service::config::Config;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::reconciliations::Report;
use secrecy::ExposeSecret;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// For one property, with a worker running.
const REPORT_LIMIT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Queues a run for each of these properties and waits for the reports.
///
/// # Errors
/// [`OperationError::TryLater`] when a report does not arrive in time.
pub async fn reports(
    config: &Config,
    mongo: &Mongo,
    properties: Vec<PropertyId>,
    dry_run: bool,
) -> Result<Vec<Report>> {
    let topology = broker::topology(config);
    let publisher = Publisher::start(config.amqp_url.expose_secret(), topology.clone(), "pvt reconcile");
    let mut reports = Vec::with_capacity(properties.len());
    for property_id in properties {
        let run_id = Uuid::new_v4();
        let command = ReconcileProperty {
            run_id,
            property_id: property_id.clone(),
            dry_run,
            actor: OPERATOR.into(),
            requested_at: Utc::now().into(),
        };
        let key = topology.command_key(RECONCILE_PROPERTY, property_id.as_str());
        publisher.publish(Outgoing::command(key, run_id, &command)?).await?;
        reports.push(report_of(mongo, run_id, &property_id).await?);
    }
    publisher.close(CLOSE_LIMIT).await;
    Ok(reports)
}

/// The report of a run, or the newest one of each property, of one or of all.
///
/// # Errors
/// [`OperationError::NotFound`] without a report; when MongoDB fails.
pub async fn stored(mongo: &Mongo, run: Option<Uuid>, property: Option<PropertyId>) -> Result<Vec<Report>> {
    if let Some(run) = run {
        let report = mongo.reconciliations().find(run).await?;
        let report = report.filter(|report| property.as_ref().is_none_or(|property| report.property_id == *property));
        let unknown = || OperationError::NotFound(format!("there is no report of a run {run}"));
        return Ok(vec![report.ok_or_else(unknown)?]);
    }
    let properties = match property {
        Some(one) => vec![one],
        None => mongo.inventories().property_ids().await?,
    };
    let mut reports = Vec::new();
    for property in &properties {
        reports.extend(mongo.reconciliations().list(Some(property), 1).await?);
    }
    if reports.is_empty() {
        let none = OperationError::NotFound("there is no report".to_owned());
        return Err(none.with_hint("`pvt reconcile run` makes one").into());
    }
    Ok(reports)
}

async fn report_of(mongo: &Mongo, run_id: Uuid, property_id: &PropertyId) -> Result<Report> {
    let deadline = Instant::now() + REPORT_LIMIT;
    while Instant::now() < deadline {
        if let Some(report) = mongo.reconciliations().find(run_id).await? {
            return Ok(report);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    let text = format!(
        "no report about {property_id} within {REPORT_LIMIT:?}: is the reconciliation worker running? (pvt doctor)"
    );
    Err(OperationError::TryLater(text).into())
}
