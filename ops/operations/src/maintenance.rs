//! Maintenance: while it is on, every API instance refuses changes and goes on answering reads.

use crate::OperationError;
use crate::reason::one_line;
use anyhow::Result;
use chrono::{DateTime, Utc};
use pvt_domain::actor::Actor;
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_stores::mongo::maintenance::Maintenance;
use uuid::Uuid;

/// The subject of the entries in the audit log.
const SUBJECT: &str = "maintenance";

/// Begins a maintenance. One that is on goes on, with this reason and this expected end.
///
/// # Errors
/// [`OperationError::Conflict`] when `until` is over; [`OperationError::TryLater`] when it was changed at the same
/// time; when MongoDB fails.
pub async fn begin(
    mongo: &Mongo,
    until: Option<DateTime<Utc>>,
    actor: impl Into<Actor>,
    reason: &str,
) -> Result<Maintenance> {
    let (actor, reason, now) = (actor.into(), one_line(reason), Timestamp::from(Utc::now()));
    let until = until.map(Timestamp::from);
    if until.is_some_and(|until| until <= now) {
        return Err(OperationError::Conflict("the expected end is over".to_owned()).into());
    }
    let since = mongo.maintenance().find().await?.map_or(now, |known| known.since);
    let detail = until.map_or_else(|| reason.clone(), |until| format!("until about {until}: {reason}"));
    let entry = AuditEntry::new(Uuid::now_v7(), now, &actor, "maintenance.on".to_owned(), SUBJECT, &detail);
    let maintenance = Maintenance { since, until, actor, reason };
    if mongo.maintenance().store(&maintenance, &entry).await? { Ok(maintenance) } else { Err(changed_meanwhile()) }
}

/// Ends the maintenance that is on; the one that has ended, if there was one.
///
/// # Errors
/// [`OperationError::TryLater`] when it was changed at the same time; when MongoDB fails.
pub async fn end(mongo: &Mongo, actor: impl Into<Actor>, reason: &str) -> Result<Option<Maintenance>> {
    let Some(ended) = mongo.maintenance().find().await? else { return Ok(None) };
    let action = "maintenance.off".to_owned();
    let entry = AuditEntry::new(Uuid::now_v7(), Utc::now().into(), actor.into(), action, SUBJECT, &one_line(reason));
    if mongo.maintenance().remove(&ended, &entry).await? { Ok(Some(ended)) } else { Err(changed_meanwhile()) }
}

/// A maintenance in words, for operators.
pub fn summary(maintenance: &Maintenance) -> String {
    let Maintenance { since, until, actor, reason } = maintenance;
    let until = until.map(|until| format!(", until about {until}")).unwrap_or_default();
    format!("on since {since} by {actor}{until}: {reason}")
}

fn changed_meanwhile() -> anyhow::Error {
    OperationError::TryLater("the maintenance was changed at the same time".to_owned()).into()
}
