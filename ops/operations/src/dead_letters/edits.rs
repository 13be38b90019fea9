//! Edits of the bodies of dead letters, of which the original is kept.

use super::{Audited, changed_meanwhile};
use crate::OperationError;
use crate::reason::one_line;
use anyhow::Result;
use chrono::Utc;
use pvt_domain::actor::Actor;
use pvt_domain::dead_letters::{MemberChange, changed_members, check_readable, compact_body};
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::dead_letters::{DeadLetter, DeadLetterFilter, DeadLetterState, Edit, StoredMessage};
use uuid::Uuid;

/// Most dead letters that are named where one was meant.
const MAX_NAMED: i64 = 10;

/// Replaces the body of one that is dead, after a check that its worker can read the new one; the original is kept. The
/// members that it changes, without their values; with `dry_run`, nothing is changed.
///
/// # Errors
/// [`OperationError::NotFound`] when no dead one has this id; [`OperationError::Conflict`] when several have it; as
/// [`check_edit`] and [`apply_edit`].
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
            0 => OperationError::NotFound("no message matches".to_owned()).with_hint("`pvt dead list` shows all"),
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
    let body = compact_body(body);
    let changed = check_edit(&dead_letter, &message, &body)?;
    if !dry_run {
        apply_edit(mongo, (&dead_letter, &message), body, actor, reason).await?;
    }
    Ok(changed.iter().map(MemberChange::without_values).collect())
}

/// The members that a new body changes, after a check that the message's worker can read it.
///
/// # Errors
/// [`OperationError::Conflict`] when the body cannot be read by its worker, or changes nothing.
pub fn check_edit(dead_letter: &DeadLetter, message: &StoredMessage, body: &[u8]) -> Result<Vec<MemberChange>> {
    check_readable(dead_letter.queue_family(), &dead_letter.kind, body)
        .map_err(|error| OperationError::Conflict(format!("its worker could not read it: {error}")))?;
    let changed = changed_members(&message.body, body);
    if changed.is_empty() {
        return Err(OperationError::Conflict("it changes nothing".to_owned()).into());
    }
    Ok(changed)
}

/// Replaces the body of a dead letter as it was read.
///
/// # Errors
/// As [`check_edit`]; [`OperationError::TryLater`] when the dead letter has changed since; when MongoDB fails.
pub async fn apply_edit(
    mongo: &Mongo,
    (dead_letter, message): (&DeadLetter, &StoredMessage),
    body: Vec<u8>,
    actor: impl Into<Actor>,
    reason: &str,
) -> Result<()> {
    let changed = check_edit(dead_letter, message, &body)?;
    let (now, actor, reason) = (Utc::now().into(), actor.into(), one_line(reason));
    let entry = Audited::from(dead_letter).entry("dead_letter.edit", Uuid::now_v7(), (now, actor.clone()), &reason);
    let changed = changed.iter().map(MemberChange::without_values).collect();
    let edit = Edit { at: now, actor, reason, changed };
    match mongo.dead_letters().edit(dead_letter, message, body, &edit, &entry).await? {
        true => Ok(()),
        false => Err(changed_meanwhile().into()),
    }
}
