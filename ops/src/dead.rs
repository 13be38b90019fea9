//! Dead letters and messages without a route: what could not be handled, why, sending it home again, and throwing it
//! away.
//!
//! A dead letter is removed only after the broker confirmed its copy in the home queue, or after the audit holds why it
//! was thrown away. A copy keeps its message id, so a message that had been handled after all is recognised by its
//! worker.

mod reader;

use crate::cli::{DeadListArgs, DiscardArgs, ReplayArgs};
use crate::cli_error::CliError;
use crate::{broker, output};
use anyhow::Result;
use chrono::Utc;
use pvt_service::config::Config;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_worker_runtime::{HEADER_ERROR_CLASS, HEADER_ERROR_MESSAGE, HEADER_FIRST_FAILED_AT, HEADER_WORKER};
use reader::{DeadLetter, DeadLetterQueue, DeadLetterReader, Disposition};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use uuid::Uuid;

/// Who discards, as audits show it.
const ACTOR: &str = "operator";

/// `pvt dead list`.
pub(crate) async fn list(config: &Config, args: DeadListArgs) -> Result<()> {
    let dead_letter_queues =
        reader::dead_letter_queues(&broker::topology(config), args.queue.as_deref(), args.unroutable)?;
    let mut seen = Vec::new();
    visit(config, &dead_letter_queues, |queue, dead_letter| {
        seen.push(describe(queue, dead_letter));
        Disposition::Keep
    })
    .await?;
    if args.json {
        return output::json(&seen);
    }
    if seen.is_empty() {
        output::note(if args.unroutable { "No messages without a route." } else { "No dead letters." });
        return Ok(());
    }
    let mut groups: BTreeMap<[String; 4], (usize, String)> = BTreeMap::new();
    for dead_letter in &seen {
        let text = |name: &str| dead_letter[name].as_str().unwrap_or("-").to_owned();
        let group = groups.entry(["queue", "type", "class", "message"].map(text)).or_insert((0, text("id")));
        group.0 += 1;
    }
    let rows = groups
        .into_iter()
        .map(|([queue, kind, class, message], (count, id))| [queue, count.to_string(), kind, class, message, id]);
    output::table(["QUEUE", "COUNT", "TYPE", "CLASS", "MESSAGE", "ONE ID"], rows);
    output::note(
        "\n`pvt dead show <id>` shows one; `pvt dead replay <id>` sends it home; `pvt dead discard <id> --reason …` \
            throws it away.",
    );
    Ok(())
}

/// `pvt dead show`.
pub(crate) async fn show(config: &Config, id: Uuid) -> Result<()> {
    let topology = broker::topology(config);
    let mut dead_letter_queues = reader::dead_letter_queues(&topology, None, false)?;
    dead_letter_queues.push(reader::unroutable_queue_of(&topology));
    let mut found = None;
    visit(config, &dead_letter_queues, |queue, dead_letter| {
        if dead_letter.id == id && found.is_none() {
            let mut shown = describe(queue, dead_letter);
            shown["headers"] = dead_letter.delivery.envelope.headers.iter().cloned().collect();
            let body = &dead_letter.delivery.body;
            shown["body"] = serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into());
            found = Some(shown);
        }
        Disposition::Keep
    })
    .await?;
    output::json(&found.ok_or_else(|| CliError::NotFound(format!("no dead letter {id}; `pvt dead list` shows all")))?)
}

/// `pvt dead replay`.
pub(crate) async fn replay(config: &Config, args: ReplayArgs) -> Result<()> {
    let dead_letter_queues =
        reader::dead_letter_queues(&broker::topology(config), args.selection.queue.as_deref(), false)?;
    let mut count = 0_usize;
    visit(config, &dead_letter_queues, |queue, dead_letter| {
        if !matches(dead_letter, args.selection.id, args.selection.class.as_deref()) {
            return Disposition::Keep;
        }
        count += 1;
        output::data(format_args!("{} {} → {}", dead_letter.id, dead_letter.delivery.envelope.kind, queue.label()));
        if args.dry_run { Disposition::Keep } else { Disposition::Replay }
    })
    .await?;
    report(count, if args.dry_run { "would be replayed" } else { "replayed" })
}

/// `pvt dead discard`. What is to go is looked at first and written down, and then taken: whatever fails in between
/// leaves a message too many, never one too few.
pub(crate) async fn discard(config: &Config, args: DiscardArgs) -> Result<()> {
    let dead_letter_queues =
        reader::dead_letter_queues(&broker::topology(config), args.selection.queue.as_deref(), args.unroutable)?;
    let mut chosen: Vec<(Uuid, String, String)> = Vec::new();
    visit(config, &dead_letter_queues, |queue, dead_letter| {
        if matches(dead_letter, args.selection.id, args.selection.class.as_deref()) {
            output::data(format_args!(
                "{} {} of {}",
                dead_letter.id,
                dead_letter.delivery.envelope.kind,
                queue.label()
            ));
            chosen.push((dead_letter.id, dead_letter.delivery.envelope.kind.clone(), queue.label().to_owned()));
        }
        Disposition::Keep
    })
    .await?;
    if args.dry_run || chosen.is_empty() {
        return report(chosen.len(), "would be thrown away");
    }
    append_audit_entries(config, &chosen, &args.reason).await?;
    let chosen: HashSet<(Uuid, String)> = chosen.into_iter().map(|(id, _, label)| (id, label)).collect();
    let mut count = 0_usize;
    visit(config, &dead_letter_queues, |queue, dead_letter| {
        if !chosen.contains(&(dead_letter.id, queue.label().to_owned())) {
            return Disposition::Keep;
        }
        count += 1;
        Disposition::Discard
    })
    .await?;
    report(count, "thrown away; the audit says which and why")
}

/// One audit row for each message that is to go.
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
                ACTOR,
                "dead_letter.discard".to_owned(),
                &id.to_string(),
                &detail,
            ))
            .await?;
    }
    mongo.shutdown().await;
    Ok(())
}

fn matches(dead_letter: &DeadLetter, id: Option<Uuid>, class: Option<&str>) -> bool {
    id.is_none_or(|id| dead_letter.id == id) && class.is_none_or(|class| class_of(dead_letter) == class)
}

fn report(count: usize, what: &str) -> Result<()> {
    if count == 0 {
        return Err(CliError::NotFound("no message matches; `pvt dead list` shows all".to_owned()).into());
    }
    output::note(format_args!("{count} {what}"));
    Ok(())
}

/// Opens a desk, visits the places, and closes it whatever happened.
async fn visit(
    config: &Config,
    dead_letter_queues: &[DeadLetterQueue],
    decide: impl FnMut(&DeadLetterQueue, &DeadLetter) -> Disposition,
) -> Result<()> {
    let reader = DeadLetterReader::open(config, dead_letter_queues).await?;
    let outcome = reader.visit(dead_letter_queues, decide).await;
    reader.close().await;
    outcome
}

/// Why it was set aside. The broker's own limit leaves no header.
fn class_of(dead_letter: &DeadLetter) -> &str {
    dead_letter.delivery.envelope.header(HEADER_ERROR_CLASS).unwrap_or("delivery_limit")
}

fn describe(queue: &DeadLetterQueue, dead_letter: &DeadLetter) -> Value {
    let envelope = &dead_letter.delivery.envelope;
    json!({
        "id": dead_letter.id,
        "message_id": (!envelope.id.is_nil()).then_some(envelope.id),
        "queue": queue.label(),
        "type": envelope.kind,
        "class": if queue.work_queue.is_some() { class_of(dead_letter) } else { "unroutable" },
        "message": envelope.header(HEADER_ERROR_MESSAGE),
        "worker": envelope.header(HEADER_WORKER),
        "attempt": envelope.attempt,
        "first_failed_at": envelope.header(HEADER_FIRST_FAILED_AT),
        "booking_id": envelope.correlation_id,
        "traceparent": envelope.traceparent,
        "sent_at": envelope.timestamp,
        "bytes": dead_letter.delivery.body.len(),
    })
}
