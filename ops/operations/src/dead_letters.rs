//! Dead letters as operators handle them: replayed in the background, edited, discarded for good.

mod discards;
mod edits;
mod forecast;

pub use discards::{DiscardOutcome, ShownDiscard, discard, discard_shown};
pub use edits::{apply_edit, check_edit, edit};
pub use forecast::{Done, Forecast, forecast};

use crate::OperationError;
use crate::reason::one_line;
use anyhow::Result;
use chrono::Utc;
use pvt_domain::actor::Actor;
use pvt_domain::dead_letters::masked_code;
use pvt_domain::timestamp::Timestamp;
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_stores::mongo::dead_letters::{
    BeginOutcome, DeadLetter, DeadLetterFilter, Matched, OperationState, ReplayOperation,
};
use uuid::Uuid;

/// Messages a second that an operation replays unless another rate is requested.
pub const DEFAULT_RATE: u32 = 50;
/// The highest rate.
pub const MAX_RATE: u32 = 1_000;

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
    let operation = new_operation(filter, rate, actor, reason);
    mongo.dead_letters().begin_replay(&operation, filter).await.map_err(failed)
}

/// The same for those that were shown to the actor, under an id of the operation that was chosen then: a repeated
/// request begins nothing more.
///
/// # Errors
/// [`OperationError::Conflict`] when other ones match now; when MongoDB fails: then whether it has begun is unknown,
/// and the request can be repeated.
pub async fn begin_shown_replay(
    mongo: &Mongo,
    id: Uuid,
    (filter, shown): (&DeadLetterFilter, &Matched),
    rate: u32,
    actor: impl Into<Actor>,
    reason: &str,
) -> Result<ReplayOperation> {
    let operation = ReplayOperation { id, ..new_operation(filter, rate, actor, reason) };
    match mongo.dead_letters().begin_shown_replay(&operation, filter, shown).await.map_err(failed)? {
        BeginOutcome::Begun(operation) => Ok(operation),
        BeginOutcome::Nothing | BeginOutcome::Changed => Err(changed_since_shown(shown).into()),
    }
}

fn new_operation(filter: &DeadLetterFilter, rate: u32, actor: impl Into<Actor>, reason: &str) -> ReplayOperation {
    ReplayOperation::new(actor, one_line(reason), in_words(filter), rate.clamp(1, MAX_RATE), Utc::now().into())
}

fn changed_since_shown(shown: &Matched) -> OperationError {
    let count = shown.count;
    OperationError::Conflict(format!(
        "The {count} dead letters that were shown are no longer all that match, or not as they were: some have been \
        replayed, edited, discarded, or died again. Nothing was changed; look at them again."
    ))
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
        None => {
            let none = OperationError::NotFound(format!("no operation {id}"));
            Err(none.with_hint("`pvt dead operations` lists them").into())
        }
        Some(operation) if operation.state == OperationState::Running => {
            Err(OperationError::TryLater("the operation was changed at the same time".to_owned()).into())
        }
        Some(operation) => Err(OperationError::Conflict(format!("it is {}", operation.state.as_str())).into()),
    }
}

/// Records that an operator reads the body of a dead letter without a mask.
///
/// # Errors
/// When MongoDB fails: then it must not be shown.
pub async fn record_unmasked(
    mongo: &Mongo,
    dead_letter: Audited<'_>,
    actor: impl Into<Actor>,
    reason: &str,
) -> Result<()> {
    let by = (Utc::now().into(), actor.into());
    let entry = dead_letter.entry("dead_letter.unmask", Uuid::now_v7(), by, &one_line(reason));
    Ok(mongo.audit_log().append(&entry).await?)
}

/// A dead letter as the audit names it. Several may have the id that operators know it by, so the entry has its queue
/// and its own id, too.
#[derive(Debug, Clone, Copy)]
pub struct Audited<'d> {
    /// The id that operators know it by.
    pub shown_id: Uuid,
    /// Its own id.
    pub id: Uuid,
    /// The type of its message.
    pub kind: &'d str,
    /// Where it died.
    pub queue: &'d str,
}

impl<'d> From<&'d DeadLetter> for Audited<'d> {
    fn from(dead_letter: &'d DeadLetter) -> Self {
        let DeadLetter { id, kind, queue, .. } = dead_letter;
        Self { shown_id: dead_letter.shown_id(), id: *id, kind, queue }
    }
}

impl Audited<'_> {
    fn entry(self, action: &str, cause: Uuid, (at, actor): (Timestamp, Actor), reason: &str) -> AuditEntry {
        let Self { shown_id, id, kind, queue } = self;
        let detail = format!("{} of {queue} ({id}): {reason}", masked_code(kind));
        AuditEntry::new(cause, at, actor, action.to_owned(), &shown_id.to_string(), &detail).about_part(id)
    }
}

fn changed_meanwhile() -> OperationError {
    OperationError::TryLater("the dead letter was changed at the same time".to_owned())
}

/// A change that others were always faster than is no outage: it can be repeated.
fn failed(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::Transient { .. } => OperationError::TryLater(
            "Others change these dead letters at the same time. Try again in a moment.".to_owned(),
        )
        .into(),
        other => other.into(),
    }
}

/// A selection as people read it.
pub fn in_words(filter: &DeadLetterFilter) -> String {
    let DeadLetterFilter { ids, queues, class, group, kind, booking, until } = filter;
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
    let words = if parts.is_empty() { "all dead letters".to_owned() } else { parts.join(", ") };
    match until {
        Some(until) => format!("{words}, until {until}"),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    #[test]
    fn change_that_others_were_faster_than_is_no_outage() {
        let message = "write conflict".to_owned();
        let busy = failed(StoreError::Transient { store: "mongodb", message: message.clone() });
        assert!(matches!(busy.downcast_ref(), Some(OperationError::TryLater(_))), "{busy}");
        let down = failed(StoreError::Unavailable { store: "mongodb", message });
        assert!(matches!(down.downcast_ref(), Some(StoreError::Unavailable { .. })), "{down}");
    }

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
        let until = DeadLetterFilter { until: Some(DateTime::UNIX_EPOCH.into()), ..DeadLetterFilter::default() };
        assert_eq!(in_words(&until), "all dead letters, until 1970-01-01T00:00:00.000Z");
    }
}
