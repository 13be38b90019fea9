//! `pvt dead`: dead letters and unroutable messages. They are listed with their reasons, shown, replayed to their
//! original queue, or discarded.
//!
//! A dead letter is removed only after the broker has confirmed its copy in the original queue, or after the audit
//! holds why it was discarded. A copy keeps its message id, so the worker recognises a message that was handled after
//! all.

mod reader;

use crate::output::Output;
use crate::reachability::Dependency::{MongoDb, RabbitMq};
use crate::settings;
use anyhow::Result;
use chrono::Utc;
use clap::{Args, Subcommand};
use pvt_operations::{OPERATOR, OperationError, broker, terminal};
use pvt_service::config::Config;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_worker_runtime::{HEADER_ERROR_CLASS, HEADER_ERROR_MESSAGE, HEADER_FIRST_FAILED_AT, HEADER_WORKER};
use reader::{DeadLetter, DeadLetterQueue, DeadLetterReader, Disposition, Kept, KeptBecause};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use uuid::Uuid;

/// About a message that the AMQP client cannot read.
const UNREADABLE: &str = "its headers are larger than a frame of AMQP (131,072 bytes): no worker can read it";

/// Lists, replays and discards messages that could not be handled
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt dead list
  pvt dead list --queue emails --json
  pvt dead show 01890000-0000-7000-8000-00000000dead
  pvt dead replay --all --class panic --dry-run
  pvt dead replay --all --unroutable
  pvt dead discard 01890000-0000-7000-8000-00000000dead --reason 'sent by hand'

Replaying is always safe: a worker recognises a message that it has handled before.")]
pub(crate) struct Dead {
    #[command(subcommand)]
    command: DeadCommand,
}

#[derive(Debug, Subcommand)]
enum DeadCommand {
    /// Groups dead letters by queue and reason
    List(List),
    /// Shows one dead letter with its headers and body
    Show(Show),
    /// Returns dead letters to their original queue, under the same id
    Replay(Replay),
    /// Discards dead letters for good; the audit keeps which and why
    Discard(Discard),
}

impl Dead {
    pub(crate) async fn run(self) -> Result<()> {
        match self.command {
            DeadCommand::List(command) => command.run().await,
            DeadCommand::Show(command) => command.run().await,
            DeadCommand::Replay(command) => command.run().await,
            DeadCommand::Discard(command) => command.run().await,
        }
    }
}

/// Which dead letters a command is about, and whether it may change anything.
#[derive(Debug, Args)]
struct Selection {
    /// One message, by its id in `pvt dead list`
    #[arg(value_parser = message_id, required_unless_present = "all", conflicts_with = "all")]
    id: Option<Uuid>,
    /// Only this queue
    #[arg(long)]
    queue: Option<String>,
    /// Only dead letters of this class, for example `panic`
    #[arg(long)]
    class: Option<String>,
    /// Every message that matches (needed when no id is given)
    #[arg(long)]
    all: bool,
    /// Print what would be done and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Selection {
    fn includes(&self, dead_letter: &DeadLetter) -> bool {
        self.id.is_none_or(|id| dead_letter.id == id)
            && self.class.as_deref().is_none_or(|class| class_of(dead_letter) == class)
    }
}

fn message_id(text: &str) -> Result<Uuid, String> {
    text.parse().map_err(|_| "not a UUID; `pvt dead list` shows ids".to_owned())
}

#[derive(Debug, Args)]
struct List {
    /// Only this queue, for example `emails` or `bookings.2`
    #[arg(long)]
    queue: Option<String>,
    /// Messages without a route instead of dead letters
    #[arg(long, conflicts_with = "queue")]
    unroutable: bool,
    #[command(flatten)]
    output: Output,
}

impl List {
    async fn run(self) -> Result<()> {
        let config = settings::ready(&[RabbitMq]).await?;
        let queues = reader::queues(&broker::topology(&config), self.queue.as_deref(), self.unroutable)?;
        let mut found = Vec::new();
        visit(&config, &queues, |queue, dead_letter| {
            found.push(describe(queue, dead_letter));
            Disposition::Keep
        })
        .await?;
        if self.output.json {
            return terminal::json(&found);
        }
        if found.is_empty() {
            terminal::note(if self.unroutable { "No messages without a route." } else { "No dead letters." });
            return Ok(());
        }
        print_groups(&found);
        terminal::note(
            "\n`pvt dead show <id>` shows one; `pvt dead replay <id>` returns it to its queue; `pvt dead discard <id> \
            --reason …` removes it for good.",
        );
        Ok(())
    }
}

/// One row a reason, with how many there are and the id of one of them.
fn print_groups(found: &[Value]) {
    let mut groups: BTreeMap<[String; 4], (usize, String)> = BTreeMap::new();
    for dead_letter in found {
        let text = |name: &str| dead_letter[name].as_str().unwrap_or("-").to_owned();
        let group = groups.entry(["queue", "type", "class", "message"].map(text)).or_insert((0, text("id")));
        group.0 += 1;
    }
    let rows = groups
        .into_iter()
        .map(|([queue, kind, class, message], (count, id))| [queue, count.to_string(), kind, class, message, id]);
    terminal::table(["QUEUE", "COUNT", "TYPE", "CLASS", "MESSAGE", "ONE ID"], rows);
}

#[derive(Debug, Args)]
struct Show {
    /// Its id in `pvt dead list`
    #[arg(value_parser = message_id)]
    id: Uuid,
}

impl Show {
    async fn run(self) -> Result<()> {
        let (id, config) = (self.id, settings::ready(&[RabbitMq]).await?);
        let topology = broker::topology(&config);
        let mut queues = reader::queues(&topology, None, false)?;
        queues.push(reader::unroutable_queue(&topology));
        let mut found = None;
        visit(&config, &queues, |queue, dead_letter| {
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
        let unknown = || OperationError::NotFound(format!("no dead letter {id}; `pvt dead list` shows all"));
        terminal::json(&found.ok_or_else(unknown)?)
    }
}

#[derive(Debug, Args)]
struct Replay {
    #[command(flatten)]
    selection: Selection,
    /// Messages without a route instead of dead letters: to the queues that they are bound to, if these exist
    #[arg(long, conflicts_with = "queue")]
    unroutable: bool,
}

impl Replay {
    async fn run(self) -> Result<()> {
        let (selection, config) = (self.selection, settings::ready(&[RabbitMq]).await?);
        let queues = reader::queues(&broker::topology(&config), selection.queue.as_deref(), self.unroutable)?;
        let mut count = 0_usize;
        let kept = visit(&config, &queues, |queue, dead_letter| {
            if !selection.includes(dead_letter) {
                return Disposition::Keep;
            }
            count += 1;
            let to = queue.work_queue.as_deref().unwrap_or(&dead_letter.delivery.routing_key);
            terminal::data(format_args!("{} {} → {to}", dead_letter.id, dead_letter.delivery.envelope.kind));
            if selection.dry_run { Disposition::Keep } else { Disposition::Replay }
        })
        .await?;
        report_kept(count, &kept)?;
        report(count - kept.len(), if selection.dry_run { "would be replayed" } else { "replayed" })
    }
}

#[derive(Debug, Args)]
struct Discard {
    #[command(flatten)]
    selection: Selection,
    /// Why; recorded in the audit
    #[arg(long)]
    reason: String,
    /// Messages without a route instead of dead letters
    #[arg(long, conflicts_with = "queue")]
    unroutable: bool,
}

impl Discard {
    /// The messages are chosen and recorded in the audit before any is taken: a failure in between leaves a message too
    /// many, never one too few.
    async fn run(self) -> Result<()> {
        let (selection, config) = (self.selection, settings::ready(&[RabbitMq, MongoDb]).await?);
        let queues = reader::queues(&broker::topology(&config), selection.queue.as_deref(), self.unroutable)?;
        let mut chosen: Vec<(Uuid, String, String)> = Vec::new();
        visit(&config, &queues, |queue, dead_letter| {
            if selection.includes(dead_letter) {
                let kind = &dead_letter.delivery.envelope.kind;
                terminal::data(format_args!("{} {kind} of {}", dead_letter.id, queue.label()));
                chosen.push((dead_letter.id, kind.to_string(), queue.label().to_owned()));
            }
            Disposition::Keep
        })
        .await?;
        if selection.dry_run || chosen.is_empty() {
            return report(chosen.len(), "would be discarded");
        }
        append_audit_entries(&config, &chosen, &self.reason).await?;
        let chosen: HashSet<(Uuid, String)> = chosen.into_iter().map(|(id, _, label)| (id, label)).collect();
        let mut count = 0_usize;
        let kept = visit(&config, &queues, |queue, dead_letter| {
            if !chosen.contains(&(dead_letter.id, queue.label().to_owned())) {
                return Disposition::Keep;
            }
            count += 1;
            Disposition::Discard
        })
        .await?;
        report_kept(count, &kept)?;
        report(count - kept.len(), "discarded; the audit has the ids and the reason")
    }
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

fn report(count: usize, what: &str) -> Result<()> {
    if count == 0 {
        return Err(OperationError::NotFound("no message matches; `pvt dead list` shows all".to_owned()).into());
    }
    terminal::note(format_args!("{count} {what}"));
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

fn describe(queue: &DeadLetterQueue, dead_letter: &DeadLetter) -> Value {
    let envelope = &dead_letter.delivery.envelope;
    json!({
        "id": dead_letter.id,
        "message_id": (!envelope.id.is_nil()).then_some(envelope.id),
        "queue": queue.label(),
        "type": envelope.kind,
        "class": if queue.work_queue.is_some() { class_of(dead_letter) } else { "unroutable" },
        "message": envelope.header(HEADER_ERROR_MESSAGE).or(dead_letter.unreadable.then_some(UNREADABLE)),
        "routing_key": dead_letter.delivery.routing_key,
        "worker": envelope.header(HEADER_WORKER),
        "attempt": envelope.attempt,
        "first_failed_at": envelope.header(HEADER_FIRST_FAILED_AT),
        "booking_id": envelope.correlation_id,
        "traceparent": envelope.traceparent,
        "sent_at": envelope.timestamp,
        "bytes": dead_letter.delivery.body.len(),
    })
}

#[cfg(test)]
mod tests {
    use crate::cli::Cli;
    use clap::Parser;

    #[test]
    fn replay_needs_id_or_all_and_discard_needs_reason() {
        let parse = |words: &[&str]| Cli::try_parse_from(["pvt", "dead"].iter().chain(words));
        let id = "00000000-0000-0000-0000-00000000dead";
        assert!(parse(&["replay"]).is_err() && parse(&["replay", id, "--all"]).is_err());
        assert!(parse(&["replay", id]).is_ok() && parse(&["replay", "--all"]).is_ok());
        assert!(parse(&["discard", id]).is_err(), "a reason is required");
        let nope = parse(&["show", "nope"]).unwrap_err().to_string();
        assert!(nope.contains("not a UUID; `pvt dead list` shows ids"), "{nope}");
    }
}
