//! Dead letters as operators handle them: replayed in the background, edited, discarded for good.

mod forecast;

pub use forecast::{Done, Forecast, forecast};

use crate::OperationError;
use crate::reason::one_line;
use anyhow::Result;
use chrono::Utc;
use pvt_domain::actor::Actor;
use pvt_domain::dead_letters::{changed_members, check_readable};
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_stores::mongo::dead_letters::{
    DeadLetter, DeadLetterFilter, DeadLetterState, Discarded, Edit, OperationState, ReplayOperation,
};
use uuid::Uuid;

/// Messages a second that an operation replays unless another rate is requested.
pub const DEFAULT_RATE: u32 = 50;
/// The highest rate.
pub const MAX_RATE: u32 = 1_000;
/// Most dead letters that are named where one was meant.
const MAX_NAMED: i64 = 10;

/// Dead letters that were discarded, and those that were not.
#[derive(Debug, Default)]
pub struct DiscardOutcome {
    /// Discarded now.
    pub discarded: Vec<DeadLetter>,
    /// Died again, or were replayed, since they were read.
    pub changed: Vec<DeadLetter>,
}

/// Begins to replay those that match and are dead, at most `rate` a second: the operation, or `None` when none matches.
/// The worker `scheduler` carries it out.
///
/// # Errors
/// When MongoDB fails.
pub async fn begin_replay(
    mongo: &Mongo,
    filter: &DeadLetterFilter,
    rate: u32,
    actor: impl Into<Actor>,
    reason: &str,
) -> Result<Option<ReplayOperation>> {
    let rate = rate.clamp(1, MAX_RATE);
    let operation = ReplayOperation::new(actor, one_line(reason), in_words(filter), rate, Utc::now().into());
    Ok(mongo.dead_letters().begin_replay(&operation, filter).await?)
}

/// Cancels an operation: it stops before the next message, and what it still holds stays dead.
///
/// # Errors
/// [`OperationError::NotFound`] when there is no such operation; [`OperationError::Conflict`] when it has ended or is
/// cancelled already; when MongoDB fails.
pub async fn cancel_replay(mongo: &Mongo, id: Uuid, actor: impl Into<Actor>, reason: &str) -> Result<()> {
    let action = "dead_letter.cancel_replay".to_owned();
    let entry = AuditEntry::new(Uuid::now_v7(), Utc::now().into(), actor, action, &id.to_string(), &one_line(reason));
    if mongo.dead_letters().cancel_replay(id, &entry).await? {
        return Ok(());
    }
    match mongo.dead_letters().operation(id).await? {
        None => Err(OperationError::NotFound(format!("no operation {id}; `pvt dead operations` lists them")).into()),
        Some(operation) if operation.state == OperationState::Running => {
            Err(OperationError::TryLater("the operation was changed at the same time".to_owned()).into())
        }
        Some(operation) => Err(OperationError::Conflict(format!("it is {}", operation.state.as_str())).into()),
    }
}

/// Discards those that match and are dead, each with an audit entry.
///
/// # Errors
/// When MongoDB fails; then some may have been discarded.
pub async fn discard(
    mongo: &Mongo,
    filter: &DeadLetterFilter,
    actor: impl Into<Actor>,
    reason: &str,
) -> Result<DiscardOutcome> {
    let (cause, now) = (Uuid::now_v7(), Utc::now().into());
    let discarded = Discarded { at: now, actor: actor.into(), reason: one_line(reason) };
    let mut outcome = DiscardOutcome::default();
    for dead_letter in mongo.dead_letters().list(filter, &[DeadLetterState::Dead], 0, 0).await? {
        let DeadLetter { id, message_id, kind, queue, .. } = &dead_letter;
        let detail = format!("{kind} {message_id} of {queue}: {}", discarded.reason);
        let action = "dead_letter.discard".to_owned();
        let entry = AuditEntry::new(cause, now, &discarded.actor, action, &id.to_string(), &detail);
        if mongo.dead_letters().discard(&dead_letter, &discarded, &entry).await? {
            outcome.discarded.push(dead_letter);
        } else {
            outcome.changed.push(dead_letter);
        }
    }
    Ok(outcome)
}

/// Replaces the body of one that is dead, after a check that its worker can read the new one; the original is kept. The
/// members that it changes; with `dry_run`, nothing is changed.
///
/// # Errors
/// [`OperationError::NotFound`] when no dead one has this id; [`OperationError::Conflict`] when several have it,
/// the body cannot be read by its worker, or changes nothing; [`OperationError::TryLater`] when the dead letter changes
/// at the same time; when MongoDB fails.
pub async fn edit(
    mongo: &Mongo,
    filter: &DeadLetterFilter,
    body: Vec<u8>,
    actor: impl Into<Actor>,
    reason: &str,
    dry_run: bool,
) -> Result<Vec<String>> {
    let selected = mongo.dead_letters().list(filter, &[DeadLetterState::Dead], 0, MAX_NAMED).await?;
    let [selected] = selected.as_slice() else {
        return Err(match selected.len() {
            0 => OperationError::NotFound("no message matches; `pvt dead list` shows all".to_owned()),
            _ => {
                let names = selected.iter().map(|one| format!("{} of {}", one.id, one.queue));
                let names = names.collect::<Vec<_>>().join(", ");
                OperationError::Conflict(format!("several dead letters have this id; name one by its own: {names}"))
            }
        }
        .into());
    };
    let found = mongo.dead_letters().with_messages([selected.id]).await?;
    let with_message = found.into_iter().next().and_then(|one| Some((one.message.clone()?, one)));
    let Some((message, dead_letter)) = with_message else { return Err(changed_meanwhile().into()) };
    check_readable(dead_letter.queue_family(), &dead_letter.kind, &body)
        .map_err(|error| OperationError::Conflict(format!("its worker could not read it: {error}")))?;
    let changed = changed_members(&message.body, &body);
    if changed.is_empty() {
        return Err(OperationError::Conflict("it changes nothing".to_owned()).into());
    }
    if dry_run {
        return Ok(changed);
    }
    let (now, actor, reason) = (Utc::now().into(), actor.into(), one_line(reason));
    let (id, action) = (dead_letter.id.to_string(), "dead_letter.edit".to_owned());
    let detail = format!("{} of {}: {reason}", dead_letter.kind, dead_letter.queue);
    let entry = AuditEntry::new(Uuid::now_v7(), now, &actor, action, &id, &detail);
    let edit = Edit { at: now, actor, reason, changed: changed.clone() };
    match mongo.dead_letters().edit(&dead_letter, &message, body, &edit, &entry).await? {
        true => Ok(changed),
        false => Err(changed_meanwhile().into()),
    }
}

/// Records that an operator reads the body of a dead letter without a mask.
///
/// # Errors
/// When MongoDB fails: then it must not be shown.
pub async fn record_unmasked(mongo: &Mongo, id: Uuid, actor: impl Into<Actor>, reason: &str) -> Result<()> {
    let action = "dead_letter.unmask".to_owned();
    let entry = AuditEntry::new(Uuid::now_v7(), Utc::now().into(), actor, action, &id.to_string(), &one_line(reason));
    Ok(mongo.audit_log().append(&entry).await?)
}

fn changed_meanwhile() -> OperationError {
    OperationError::TryLater("the dead letter was changed at the same time".to_owned())
}

/// A selection as people read it.
fn in_words(filter: &DeadLetterFilter) -> String {
    let DeadLetterFilter { ids, queues, class, group, kind, booking } = filter;
    let ids = ids.as_ref().map(|ids| match ids.as_slice() {
        [id] => id.to_string(),
        ids => format!("{} ids", ids.len()),
    });
    let labelled = |label: &str, text: Option<String>| text.map(|text| format!("{label} {text}"));
    let parts = [
        ids,
        labelled("queue", queues.as_ref().map(|queues| queues.join(", "))),
        labelled("class", class.clone()),
        labelled("group", group.clone()),
        labelled("type", kind.clone()),
        labelled("booking", booking.map(|booking| booking.to_string())),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "all dead letters".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections_are_written_in_words() {
        assert_eq!(in_words(&DeadLetterFilter::default()), "all dead letters");
        let filter = DeadLetterFilter {
            queues: Some(vec!["emails".to_owned(), "stripe".to_owned()]),
            class: Some("panic".to_owned()),
            ..DeadLetterFilter::default()
        };
        assert_eq!(in_words(&filter), "queue emails, stripe, class panic");
        assert_eq!(in_words(&DeadLetterFilter::of_ids([Uuid::nil()])), Uuid::nil().to_string());
    }
}
