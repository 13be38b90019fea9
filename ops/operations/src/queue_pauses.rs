//! Pausing and resuming queues: what is paused is stored, and every worker process follows within seconds.

use crate::OperationError;
use crate::reason::one_line;
use anyhow::Result;
use chrono::Utc;
use pvt_domain::actor::Actor;
use pvt_messaging::Topology;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_stores::mongo::queue_pauses::QueuePause;
use std::collections::BTreeMap;
use uuid::Uuid;

/// What a request to pause a queue found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PauseOutcome {
    /// The queue is paused from now on.
    Paused(QueuePause),
    /// It was paused before, and that pause stands.
    PausedBefore(QueuePause),
}

/// The pauses that concern each queue (full name), the earliest first.
pub fn by_queue<'p>(topology: &Topology, pauses: &'p [QueuePause]) -> BTreeMap<String, Vec<&'p QueuePause>> {
    topology.by_work_queue(pauses, |pause| (pause.queue.as_str(), pause.since))
}

/// Pauses a queue, for example `emails` or `bookings.2`, or with `bookings` all its partitions.
///
/// # Errors
/// [`OperationError::NotFound`] when there is no such queue; when MongoDB fails.
pub async fn pause(
    mongo: &Mongo,
    topology: &Topology,
    queue: &str,
    actor: impl Into<Actor>,
    reason: &str,
) -> Result<PauseOutcome> {
    queues_of(topology, queue)?;
    let (actor, reason, now) = (actor.into(), one_line(reason), Utc::now().into());
    let entry = AuditEntry::new(Uuid::now_v7(), now, &actor, "queue.pause".to_owned(), queue, &reason);
    let pause = QueuePause { queue: queue.to_owned(), since: now, actor, reason };
    if mongo.queue_pauses().insert(&pause, &entry).await? {
        return Ok(PauseOutcome::Paused(pause));
    }
    let stored = mongo.queue_pauses().list().await?.into_iter().find(|stored| stored.queue == queue);
    Ok(PauseOutcome::PausedBefore(stored.ok_or_else(changed_meanwhile)?))
}

/// Ends the pause of a queue, or of a family and each of its partitions; the pauses that have ended, none when there
/// was none. A stored pause can be ended also when its queue is none any more, for example a partition that
/// `PVT_PARTITIONS` no longer counts.
///
/// # Errors
/// [`OperationError::NotFound`] when there is neither such a queue nor such a pause; [`OperationError::Conflict`] for a
/// partition whose whole family is paused; [`OperationError::TryLater`] when the pauses change at the same time; when
/// MongoDB fails.
pub async fn resume(
    mongo: &Mongo,
    topology: &Topology,
    queue: &str,
    actor: impl Into<Actor>,
    reason: &str,
) -> Result<Vec<QueuePause>> {
    let stored = mongo.queue_pauses().list().await?;
    let (ended, others): (Vec<_>, Vec<_>) = stored.into_iter().partition(|pause| is_within(queue, &pause.queue));
    let meant = if ended.is_empty() { queues_of(topology, queue)? } else { topology.work_queues_named(queue) };
    let concerned = by_queue(topology, &others);
    let family = meant.iter().find_map(|name| concerned.get(name)?.first().copied());
    if let Some(QueuePause { queue: family, .. }) = family {
        let refused = OperationError::Conflict(format!("{queue} is paused together with {family}"));
        return Err(refused.with_hint(format!("`pvt queues resume {family}` ends that")).into());
    }
    if ended.is_empty() {
        return Ok(ended);
    }
    let (cause, now, reason) = (Uuid::now_v7(), Utc::now().into(), one_line(reason));
    let actor: Actor = actor.into();
    let with_entry = |pause: &QueuePause| {
        let detail = if pause.queue == queue { reason.clone() } else { format!("with {queue}: {reason}") };
        let entry = AuditEntry::new(cause, now, &actor, "queue.resume".to_owned(), &pause.queue, &detail);
        (pause.clone(), entry)
    };
    let entries: Vec<_> = ended.iter().map(with_entry).collect();
    if mongo.queue_pauses().remove(&entries).await? { Ok(ended) } else { Err(changed_meanwhile().into()) }
}

/// Whether this name of a pause is the queue itself, or a partition of it.
fn is_within(queue: &str, paused: &str) -> bool {
    paused.strip_prefix(queue).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The full names of the queues that operators mean by this name.
fn queues_of(topology: &Topology, queue: &str) -> Result<Vec<String>> {
    let named = topology.work_queues_named(queue);
    if named.is_empty() {
        let none = OperationError::NotFound(format!("no worker consumes a queue `{queue}`"));
        return Err(none.with_hint("`pvt queues list` shows those of the role `work`").into());
    }
    Ok(named)
}

fn changed_meanwhile() -> OperationError {
    OperationError::TryLater("the pauses were changed at the same time".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OPERATOR;

    #[test]
    fn pauses_of_a_queue_are_its_own_and_those_of_its_family_the_earliest_first() {
        let topology = Topology::new("x.", 2);
        let at = |seconds| chrono::DateTime::from_timestamp(seconds, 0).unwrap().into();
        let pause = |queue: &str, seconds| QueuePause {
            queue: queue.to_owned(),
            since: at(seconds),
            actor: OPERATOR.into(),
            reason: String::new(),
        };
        let names = ["bookings.1", "bookings", "emails", "emails.dead", "bookings.7"];
        let pauses: Vec<QueuePause> =
            names.into_iter().zip([3, 2, 5, 1, 0]).map(|(name, at)| pause(name, at)).collect();
        let found = |queue: &str| {
            let all = by_queue(&topology, &pauses).remove(queue).unwrap_or_default();
            all.into_iter().map(|pause| pause.queue.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(found("x.bookings.1"), ["bookings", "bookings.1"]);
        assert_eq!(found("x.bookings.0"), ["bookings"]);
        assert_eq!(found("x.emails"), ["emails"]);
        for none in ["x.bookings.7", "x.bookings", "x.emails.dead", "x.bookings.1.dead", "x.analytics", "x.retry.5s"] {
            assert!(found(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn pauses_within_a_family_are_its_own_and_those_of_its_partitions() {
        let within = |paused| is_within("bookings", paused);
        assert!(within("bookings") && within("bookings.7"));
        assert!(!within("bookings2") && !within("emails") && !is_within("bookings.1", "bookings"));
        assert!(!is_within("bookings.1", "bookings.12"));
    }
}
