//! Discarding of dead letters for good, in batches: each with its audit entry, and none that has changed.

use super::changed_since_shown;
use crate::reason::one_line;
use anyhow::Result;
use chrono::Utc;
use pvt_domain::actor::Actor;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_stores::mongo::dead_letters::{DeadLetter, DeadLetterFilter, DeadLetterState, Discarded, Matched};
use uuid::Uuid;

/// Dead letters that are discarded in one transaction.
const BATCH: usize = 500;

/// Dead letters that were discarded, and those that were not.
#[derive(Debug, Default)]
pub struct DiscardOutcome {
    /// Discarded now.
    pub discarded: Vec<DeadLetter>,
    /// Died again, or were replayed, since they were read.
    pub changed: Vec<DeadLetter>,
}

/// Discards those that match and are dead now. What arrives or dies again meanwhile stays.
///
/// # Errors
/// When MongoDB fails; then some may have been discarded.
pub async fn discard(
    mongo: &Mongo,
    filter: &DeadLetterFilter,
    actor: impl Into<Actor>,
    reason: &str,
) -> Result<DiscardOutcome> {
    let selected = mongo.dead_letters().list(filter, &[DeadLetterState::Dead], 0, 0).await?;
    discard_each(mongo, selected, actor.into(), reason).await
}

/// Discards those that were shown to the actor.
///
/// # Errors
/// [`crate::OperationError::Conflict`] when other ones match now: then nothing was discarded; when MongoDB fails: then
/// some may have been.
pub async fn discard_shown(
    mongo: &Mongo,
    filter: &DeadLetterFilter,
    shown: &Matched,
    actor: impl Into<Actor>,
    reason: &str,
) -> Result<DiscardOutcome> {
    let selected = mongo.dead_letters().list(filter, &[DeadLetterState::Dead], 0, 0).await?;
    if selected.is_empty() || Matched::of_dead_letters(&selected) != *shown {
        return Err(changed_since_shown(shown).into());
    }
    discard_each(mongo, selected, actor.into(), reason).await
}

async fn discard_each(mongo: &Mongo, selected: Vec<DeadLetter>, actor: Actor, reason: &str) -> Result<DiscardOutcome> {
    let (cause, now) = (Uuid::now_v7(), Utc::now().into());
    let discarded = Discarded { at: now, actor, reason: one_line(reason) };
    let entry = |dead_letter: &DeadLetter| {
        let DeadLetter { id, message_id, kind, queue, .. } = dead_letter;
        let detail = format!("{kind} {message_id} of {queue}: {}", discarded.reason);
        AuditEntry::new(cause, now, &discarded.actor, "dead_letter.discard".to_owned(), &id.to_string(), &detail)
    };
    let mut outcome = DiscardOutcome::default();
    let mut rest = selected.into_iter();
    loop {
        let batch: Vec<DeadLetter> = rest.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return Ok(outcome);
        }
        let with_entries: Vec<_> = batch.iter().map(|dead_letter| (dead_letter, entry(dead_letter))).collect();
        let gone = mongo.dead_letters().discard(&with_entries, &discarded).await?;
        let (discarded, changed): (Vec<_>, Vec<_>) = batch.into_iter().partition(|one| gone.contains(&one.id));
        outcome.discarded.extend(discarded);
        outcome.changed.extend(changed);
    }
}
