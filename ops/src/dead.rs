//! Dead letters and messages without a route: what could not be handled, why, sending it home again, and throwing it
//! away.
//!
//! A dead letter is removed only after the broker confirmed its copy in the home queue, or after the audit holds why it
//! was thrown away. A copy keeps its message id, so a message that had been handled after all is recognised by its
//! worker.

mod desk;

use crate::cli::{DeadListArgs, DiscardArgs, ReplayArgs};
use crate::outcome::Problem;
use crate::{broker, output};
use anyhow::Result;
use chrono::Utc;
use desk::{Desk, Fate, Letter, Place};
use pvt_service::config::Config;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_worker_runtime::{HEADER_ERROR_CLASS, HEADER_ERROR_MESSAGE, HEADER_FIRST_FAILED_AT, HEADER_WORKER};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use uuid::Uuid;

/// Who discards, as audits show it.
const ACTOR: &str = "operator";

/// `pvt dead list`.
pub(crate) async fn list(config: &Config, args: DeadListArgs) -> Result<()> {
    let places = desk::places(&broker::topology(config), args.queue.as_deref(), args.unroutable)?;
    let mut seen = Vec::new();
    look(config, &places, |place, letter| {
        seen.push(describe(place, letter));
        Fate::Stays
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
    for letter in &seen {
        let text = |name: &str| letter[name].as_str().unwrap_or("-").to_owned();
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
    let mut places = desk::places(&topology, None, false)?;
    places.push(desk::unroutable_place(&topology));
    let mut found = None;
    look(config, &places, |place, letter| {
        if letter.id == id && found.is_none() {
            let mut shown = describe(place, letter);
            shown["headers"] = letter.delivery.envelope.headers.iter().cloned().collect();
            let body = &letter.delivery.body;
            shown["body"] = serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into());
            found = Some(shown);
        }
        Fate::Stays
    })
    .await?;
    output::json(&found.ok_or_else(|| Problem::NotFound(format!("no dead letter {id}; `pvt dead list` shows all")))?)
}

/// `pvt dead replay`.
pub(crate) async fn replay(config: &Config, args: ReplayArgs) -> Result<()> {
    let places = desk::places(&broker::topology(config), args.letters.queue.as_deref(), false)?;
    let mut count = 0_usize;
    look(config, &places, |place, letter| {
        if !matches(letter, args.letters.id, args.letters.class.as_deref()) {
            return Fate::Stays;
        }
        count += 1;
        output::data(format_args!("{} {} → {}", letter.id, letter.delivery.envelope.kind, place.label()));
        if args.dry_run { Fate::Stays } else { Fate::GoesHome }
    })
    .await?;
    report(count, if args.dry_run { "would be replayed" } else { "replayed" })
}

/// `pvt dead discard`. What is to go is looked at first and written down, and then taken: whatever fails in between
/// leaves a message too many, never one too few.
pub(crate) async fn discard(config: &Config, args: DiscardArgs) -> Result<()> {
    let places = desk::places(&broker::topology(config), args.letters.queue.as_deref(), args.unroutable)?;
    let mut chosen: Vec<(Uuid, String, String)> = Vec::new();
    look(config, &places, |place, letter| {
        if matches(letter, args.letters.id, args.letters.class.as_deref()) {
            output::data(format_args!("{} {} of {}", letter.id, letter.delivery.envelope.kind, place.label()));
            chosen.push((letter.id, letter.delivery.envelope.kind.clone(), place.label().to_owned()));
        }
        Fate::Stays
    })
    .await?;
    if args.dry_run || chosen.is_empty() {
        return report(chosen.len(), "would be thrown away");
    }
    write_down(config, &chosen, &args.reason).await?;
    let chosen: HashSet<(Uuid, String)> = chosen.into_iter().map(|(id, _, label)| (id, label)).collect();
    let mut count = 0_usize;
    look(config, &places, |place, letter| {
        if !chosen.contains(&(letter.id, place.label().to_owned())) {
            return Fate::Stays;
        }
        count += 1;
        Fate::Vanishes
    })
    .await?;
    report(count, "thrown away; the audit says which and why")
}

/// One audit row for each message that is to go.
async fn write_down(config: &Config, chosen: &[(Uuid, String, String)], reason: &str) -> Result<()> {
    let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt dead").await?;
    let (cause, now) = (Uuid::now_v7(), Utc::now());
    for (id, kind, label) in chosen {
        let detail = format!("{kind} of {label}: {reason}");
        mongo
            .append_audit(&AuditEntry::new(
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

fn matches(letter: &Letter, id: Option<Uuid>, class: Option<&str>) -> bool {
    id.is_none_or(|id| letter.id == id) && class.is_none_or(|class| class_of(letter) == class)
}

fn report(count: usize, what: &str) -> Result<()> {
    if count == 0 {
        return Err(Problem::NotFound("no message matches; `pvt dead list` shows all".to_owned()).into());
    }
    output::note(format_args!("{count} {what}"));
    Ok(())
}

/// Opens a desk, visits the places, and closes it whatever happened.
async fn look(config: &Config, places: &[Place], judge: impl FnMut(&Place, &Letter) -> Fate) -> Result<()> {
    let desk = Desk::open(config, places).await?;
    let outcome = desk.visit(places, judge).await;
    desk.close().await;
    outcome
}

/// Why it was set aside. The broker's own limit leaves no header.
fn class_of(letter: &Letter) -> &str {
    letter.delivery.envelope.header(HEADER_ERROR_CLASS).unwrap_or("delivery_limit")
}

fn describe(place: &Place, letter: &Letter) -> Value {
    let envelope = &letter.delivery.envelope;
    json!({
        "id": letter.id,
        "message_id": (!envelope.id.is_nil()).then_some(envelope.id),
        "queue": place.label(),
        "type": envelope.kind,
        "class": if place.home.is_some() { class_of(letter) } else { "unroutable" },
        "message": envelope.header(HEADER_ERROR_MESSAGE),
        "worker": envelope.header(HEADER_WORKER),
        "attempt": envelope.attempt,
        "first_failed_at": envelope.header(HEADER_FIRST_FAILED_AT),
        "booking_id": envelope.correlation_id,
        "traceparent": envelope.traceparent,
        "sent_at": envelope.timestamp,
        "bytes": letter.delivery.body.len(),
    })
}
