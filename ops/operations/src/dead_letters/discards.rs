//! Discarding of dead letters for good, in batches: each with its audit entry, and none that has changed.

use super::{Audited, changed_since_shown, failed};
use crate::reason::one_line;
use anyhow::Result;
use chrono::Utc;
use pvt_domain::actor::Actor;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::dead_letters::{DeadLetter, DeadLetterFilter, DeadLetterState, Discarded, Matched};
use uuid::Uuid;

/// Dead letters that are discarded in one transaction.
const BATCH: usize = 500;
const DISCARD: &str = "dead_letter.discard";

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
    let mut outcome = DiscardOutcome::default();
    discard_each(mongo, Uuid::now_v7(), selected, (actor.into(), reason), &mut outcome).await?;
    Ok(outcome)
}

/// What has become of those that were shown.
#[derive(Debug)]
pub struct ShownDiscard {
    /// Discarded by requests of this cause, this one and earlier ones.
    pub done: u64,
    /// The others.
    pub left: u64,
    /// Why it ended before the last one.
    pub failure: Option<anyhow::Error>,
}

/// Discards those that were shown to the actor, with audit entries of a cause that was chosen then: a repeated request
/// discards nothing more, and reports what was discarded.
///
/// # Errors
/// When nothing was discarded: [`crate::OperationError::Conflict`] when other ones match now; when MongoDB fails.
pub async fn discard_shown(
    mongo: &Mongo,
    cause: Uuid,
    (filter, shown): (&DeadLetterFilter, &Matched),
    actor: impl Into<Actor>,
    reason: &str,
) -> Result<ShownDiscard> {
    let selected = mongo.dead_letters().list(filter, &[DeadLetterState::Dead], 0, 0).await?;
    let is_as_shown = !selected.is_empty() && Matched::of_dead_letters(&selected) == *shown;
    let mut outcome = DiscardOutcome::default();
    let ended = if is_as_shown {
        discard_each(mongo, cause, selected, (actor.into(), reason), &mut outcome).await
    } else {
        Err(changed_since_shown(shown).into())
    };
    // A request of the same form may have been faster, or have ended early.
    let audited = mongo.audit_log().of_cause(cause).await.map(|entries| {
        let discards = entries.iter().filter(|entry| entry.action == DISCARD);
        discards.count()
    });
    let done = audited.unwrap_or_default().max(outcome.discarded.len());
    match ended {
        Err(error) if done == 0 => Err(error),
        ended => {
            let done = u64::try_from(done).unwrap_or(u64::MAX);
            let failure = ended.err().filter(|_| is_as_shown);
            Ok(ShownDiscard { done, left: shown.count.saturating_sub(done), failure })
        }
    }
}

async fn discard_each(
    mongo: &Mongo,
    cause: Uuid,
    selected: Vec<DeadLetter>,
    (actor, reason): (Actor, &str),
    outcome: &mut DiscardOutcome,
) -> Result<()> {
    let now = Utc::now().into();
    let discarded = Discarded { at: now, actor, reason: one_line(reason) };
    let entry = |dead_letter: &DeadLetter| {
        Audited::from(dead_letter).entry(DISCARD, cause, (now, discarded.actor.clone()), &discarded.reason)
    };
    let mut rest = selected.into_iter();
    loop {
        let batch: Vec<DeadLetter> = rest.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return Ok(());
        }
        let with_entries: Vec<_> = batch.iter().map(|dead_letter| (dead_letter, entry(dead_letter))).collect();
        let gone = mongo.dead_letters().discard(&with_entries, &discarded).await.map_err(failed)?;
        let (discarded, changed): (Vec<_>, Vec<_>) = batch.into_iter().partition(|one| gone.contains(&one.id));
        outcome.discarded.extend(discarded);
        outcome.changed.extend(changed);
    }
}
