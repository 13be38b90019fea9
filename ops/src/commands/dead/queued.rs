//! Dead letters that are still in their queues, and messages without a route: read and handled over AMQP.
//!
//! A dead letter is removed only after the broker has confirmed its copy in the original queue, or after the audit
//! holds why it was discarded. A copy keeps its message id, so the worker recognises a message that was handled after
//! all.

use super::reader::{self, DeadLetter, DeadLetterQueue, DeadLetterReader, Disposition, Kept, KeptBecause};
use super::sources::Sources;
use super::stored::Replayed;
use super::view::View;
use super::{Filter, Selection, report};
use crate::reachability::Dependency::RabbitMq;
use crate::settings;
use anyhow::Result;
use chrono::Utc;
use pvt_domain::dead_letters::masked_code;
use pvt_domain::ids::BookingId;
use pvt_operations::{OPERATOR, OperationError, broker, terminal};
use pvt_service::config::Config;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_worker_runtime::{HEADER_ERROR_CLASS, HEADER_ERROR_MESSAGE, HEADER_FIRST_FAILED_AT, HEADER_WORKER};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::collections::HashSet;
use uuid::Uuid;

/// About a message that the AMQP client cannot read.
const UNREADABLE: &str = "its headers are larger than a frame of AMQP (131,072 bytes): no worker can read it";

/// Those that match, as JSON.
pub(super) async fn list(sources: &Sources, id: Option<Uuid>, filter: &Filter) -> Result<Vec<Value>> {
    let queues = queues_of(sources, filter)?;
    read(&sources.config, &queues, id, filter).await
}

/// Messages without a route that match, as JSON.
pub(super) async fn list_unroutable(filter: &Filter) -> Result<Vec<Value>> {
    let config = settings::ready(&[RabbitMq]).await?;
    let queue = reader::unroutable_queue(&broker::topology(&config));
    read(&config, &[queue], None, filter).await
}

async fn read(config: &Config, queues: &[DeadLetterQueue], id: Option<Uuid>, filter: &Filter) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    if queues.is_empty() {
        return Ok(found);
    }
    visit(config, queues, |queue, dead_letter| {
        if includes(id, filter, dead_letter) {
            found.push(describe(queue, dead_letter, View::MASKED));
        }
        Disposition::Keep
    })
    .await?;
    Ok(found)
}

/// One of them, dead letter or message without a route, with its headers and body.
pub(super) async fn show(sources: &Sources, id: Uuid, view: View) -> Result<Option<Value>> {
    if !sources.has_broker {
        return Ok(None);
    }
    let mut queues = sources.queues.clone();
    queues.push(reader::unroutable_queue(&sources.topology));
    let mut found = None;
    visit(&sources.config, &queues, |queue, dead_letter| {
        if dead_letter.id == id && found.is_none() {
            let mut shown = describe(queue, dead_letter, view);
            let envelope = &dead_letter.delivery.envelope;
            shown["headers"] = view.headers(envelope.headers.iter().map(|(name, value)| (&**name, value.as_str())));
            shown["body"] = (view.body)(&dead_letter.delivery.body);
            found = Some(shown);
        }
        Disposition::Keep
    })
    .await?;
    Ok(found)
}

/// Replays those that match. `stored`: what of the selection was replayed from the store.
pub(super) async fn replay(config: &Config, selection: &Selection, stored: &Replayed) -> Result<()> {
    let queues = reader::queues(&broker::topology(config), selection.filter.queue.as_deref(), selection.unroutable)?;
    let mut count = 0_usize;
    let kept = visit(config, &queues, |queue, dead_letter| {
        if !includes(selection.id, &selection.filter, dead_letter) {
            return Disposition::Keep;
        }
        count += 1;
        let to = queue.work_queue.as_deref().unwrap_or(&dead_letter.delivery.routing_key);
        let kind = masked_code(&dead_letter.delivery.envelope.kind);
        terminal::data(format_args!("{} {kind} → {to}", dead_letter.id));
        if selection.dry_run { Disposition::Keep } else { Disposition::Replay }
    })
    .await?;
    report_kept(count + stored.count, &kept)?;
    let done = if selection.dry_run { "would be replayed".to_owned() } else { stored.words() };
    report(stored.count + count - kept.len(), &done)
}

/// Discards those that match. They are chosen and recorded in the audit before any is taken: a failure in between
/// leaves a message too many, never one too few.
pub(super) async fn discard(config: &Config, selection: &Selection, reason: &str, stored: usize) -> Result<()> {
    let queues = reader::queues(&broker::topology(config), selection.filter.queue.as_deref(), selection.unroutable)?;
    let mut chosen: Vec<(Uuid, String, String)> = Vec::new();
    visit(config, &queues, |queue, dead_letter| {
        if includes(selection.id, &selection.filter, dead_letter) {
            let kind = masked_code(&dead_letter.delivery.envelope.kind);
            terminal::data(format_args!("{} {kind} of {}", dead_letter.id, queue.label()));
            chosen.push((dead_letter.id, kind, queue.label().to_owned()));
        }
        Disposition::Keep
    })
    .await?;
    let done = if selection.dry_run { "would be discarded" } else { "discarded; the audit has the ids and the reason" };
    if selection.dry_run || chosen.is_empty() {
        return report(stored + chosen.len(), done);
    }
    append_audit_entries(config, &chosen, reason).await?;
    let chosen: HashSet<(Uuid, String)> = chosen.into_iter().map(|(id, _, label)| (id, label)).collect();
    let mut count = 0_usize;
    let kept = visit(config, &queues, |queue, dead_letter| {
        if !chosen.contains(&(dead_letter.id, queue.label().to_owned())) {
            return Disposition::Keep;
        }
        count += 1;
        Disposition::Discard
    })
    .await?;
    report_kept(count + stored, &kept)?;
    report(stored + count - kept.len(), done)
}

/// The queues that are not empty, of those that the filter names.
fn queues_of(sources: &Sources, filter: &Filter) -> Result<Vec<DeadLetterQueue>> {
    let named = reader::queues(&sources.topology, filter.queue.as_deref(), false)?;
    let is_named = |queue: &&DeadLetterQueue| named.iter().any(|named| named.name == queue.name);
    Ok(sources.queues.iter().filter(is_named).cloned().collect())
}

/// What is still in a queue belongs to no group yet.
fn includes(id: Option<Uuid>, filter: &Filter, dead_letter: &DeadLetter) -> bool {
    let Filter { queue: _, class, group, kind, booking } = filter;
    let envelope = &dead_letter.delivery.envelope;
    let is_about = |booking: BookingId| envelope.correlation_id.map(BookingId::from_uuid) == Some(booking);
    id.is_none_or(|id| dead_letter.id == id)
        && class.as_deref().is_none_or(|class| class_of(dead_letter) == class)
        && group.is_none()
        && kind.as_deref().is_none_or(|kind| envelope.kind == kind)
        && booking.is_none_or(is_about)
}

/// One audit entry for each message that is about to be discarded.
async fn append_audit_entries(config: &Config, chosen: &[(Uuid, String, String)], reason: &str) -> Result<()> {
    let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt dead").await?;
    let (cause, now) = (Uuid::now_v7(), Utc::now());
    for (id, kind, label) in chosen {
        let detail = format!("{kind} of {label}: {reason}");
        mongo
            .audit_log()
            .append(&AuditEntry::new(
                cause,
                now.into(),
                OPERATOR,
                "dead_letter.discard".to_owned(),
                &id.to_string(),
                &detail,
            ))
            .await?;
    }
    mongo.shutdown().await;
    Ok(())
}

/// Says which of `count` messages stay, and fails when all of them do.
fn report_kept(count: usize, kept: &[Kept]) -> Result<()> {
    for Kept { id, why } in kept {
        match why {
            KeptBecause::NoRoute => {
                terminal::note(format_args!("{id} stays: no queue for it exists, see `pvt topology diff`"));
            }
            KeptBecause::Unreadable => {
                terminal::note(format_args!("{id} stays: {UNREADABLE}; `pvt dead discard {id} --reason …` removes it"));
            }
            KeptBecause::Behind => terminal::note(format_args!(
                "{id} stays: messages that cannot be read are in front of it; discard these first, or try again"
            )),
            KeptBecause::Moved => terminal::note(format_args!("{id} stays: its queue changed meanwhile, try again")),
        }
    }
    if count > 0 && kept.len() == count {
        return Err(OperationError::TryLater("all of them stay where they are".to_owned()).into());
    }
    Ok(())
}

/// Reads the queues and closes the connections whatever happened; the messages that could not be replayed or discarded.
async fn visit(
    config: &Config,
    queues: &[DeadLetterQueue],
    decide: impl FnMut(&DeadLetterQueue, &DeadLetter) -> Disposition,
) -> Result<Vec<Kept>> {
    let reader = DeadLetterReader::open(config, queues).await?;
    let outcome = reader.visit(queues, decide).await;
    reader.close().await;
    outcome
}

/// Why it was dead-lettered. The broker's own limit leaves no header.
fn class_of(dead_letter: &DeadLetter) -> &str {
    dead_letter.delivery.envelope.header(HEADER_ERROR_CLASS).unwrap_or("delivery_limit")
}

fn describe(queue: &DeadLetterQueue, dead_letter: &DeadLetter, view: View) -> Value {
    let envelope = &dead_letter.delivery.envelope;
    let error = envelope.header(HEADER_ERROR_MESSAGE).map(view.error);
    json!({
        "id": dead_letter.id,
        "message_id": (!envelope.id.is_nil()).then_some(envelope.id),
        "queue": queue.label(),
        "state": "not_stored",
        "type": (view.code)(&envelope.kind),
        "class": if queue.work_queue.is_some() { (view.code)(class_of(dead_letter)) } else { "unroutable".to_owned() },
        "message": error.or_else(|| dead_letter.unreadable.then(|| UNREADABLE.to_owned())),
        "routing_key": dead_letter.delivery.routing_key,
        "worker": envelope.header(HEADER_WORKER).map(view.code),
        "attempt": envelope.attempt,
        "first_failed_at": envelope.header(HEADER_FIRST_FAILED_AT).map(view.code),
        "booking_id": envelope.correlation_id,
        "traceparent": envelope.traceparent,
        "sent_at": envelope.timestamp,
        "bytes": dead_letter.delivery.body.len(),
    })
}
