//! `pvt dead`: dead letters and unroutable messages. They are listed with their reasons, shown, replayed to their
//! original queue, or discarded.
//!
//! The worker `scheduler` stores dead letters and carries replays out. What it has not stored, or cannot store, is read
//! from the queues, so that an operator can act while MongoDB or the scheduler is down.

mod queued;
mod reader;
mod sources;
mod stored;
mod view;

use crate::output::Output;
use crate::reason;
use crate::settings;
use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use pvt_domain::ids::BookingId;
use pvt_operations::dead_letters::{self, Audited, DEFAULT_RATE, MAX_RATE};
use pvt_operations::{OPERATOR, OperationError, terminal};
use serde_json::Value;
use sources::Sources;
use std::path::PathBuf;
use stored::Replayed;
use uuid::Uuid;
use view::View;

/// Rows of a table; `--json` has all.
const ROWS: usize = 100;

/// Lists, replays and discards messages that could not be handled
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt dead list
  pvt dead list --queue emails --json
  pvt dead groups
  pvt dead show 01890000-0000-7000-8000-00000000dead
  pvt dead replay --all --class panic --dry-run
  pvt dead replay --all --group 5f1d0c3b2a998877 --rate 10
  pvt dead replay --all --unroutable
  pvt dead edit 01890000-0000-7000-8000-00000000dead --body fixed.json --reason 'a typing error'
  pvt dead discard 01890000-0000-7000-8000-00000000dead --reason 'sent by hand'
  pvt dead operations

Replaying is always safe: a worker recognises a message that it has handled before.")]
pub(crate) struct Dead {
    #[command(subcommand)]
    command: DeadCommand,
}

#[derive(Debug, Subcommand)]
enum DeadCommand {
    /// Lists dead letters with their reasons
    List(List),
    /// Groups dead letters with one cause: same worker, class of error, and message but for its values
    Groups(Output),
    /// Shows one dead letter with its headers and body
    Show(Show),
    /// Returns dead letters to their original queue, under the same id
    Replay(Replay),
    /// Replaces the body of a dead letter; the original is kept
    Edit(Edit),
    /// Discards dead letters for good; the audit keeps which and why
    Discard(Discard),
    /// Lists replays with their progress, or cancels one
    Operations(Operations),
}

impl Dead {
    pub(crate) async fn run(self) -> Result<()> {
        match self.command {
            DeadCommand::List(command) => command.run().await,
            DeadCommand::Groups(output) => stored::groups(output.json).await,
            DeadCommand::Show(command) => command.run().await,
            DeadCommand::Replay(command) => command.run().await,
            DeadCommand::Edit(command) => command.run().await,
            DeadCommand::Discard(command) => command.run().await,
            DeadCommand::Operations(command) => command.run().await,
        }
    }
}

/// Which dead letters a command is about.
#[derive(Debug, Default, Args)]
struct Filter {
    /// Only this queue, for example `emails` or `bookings.2`
    #[arg(long)]
    queue: Option<String>,
    /// Only dead letters of this class, for example `panic`
    #[arg(long)]
    class: Option<String>,
    /// Only this group of `pvt dead groups`
    #[arg(long)]
    group: Option<String>,
    /// Only messages of this type, for example `notification.send.v1`
    #[arg(long = "type")]
    kind: Option<String>,
    /// Only those about this booking
    #[arg(long, value_parser = booking_id)]
    booking: Option<BookingId>,
}

/// Which dead letters a command changes, and whether it may change anything.
#[derive(Debug, Args)]
struct Selection {
    /// One message, by its id in `pvt dead list`
    #[arg(value_parser = message_id, required_unless_present = "all", conflicts_with = "all")]
    id: Option<Uuid>,
    #[command(flatten)]
    filter: Filter,
    /// Every message that matches (needed when no id is given)
    #[arg(long)]
    all: bool,
    /// Print what would be done and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Messages without a route instead of dead letters
    #[arg(long, conflicts_with_all = ["queue", "group"])]
    unroutable: bool,
}

fn message_id(text: &str) -> Result<Uuid, String> {
    text.parse().map_err(|_| "not a UUID; `pvt dead list` shows ids".to_owned())
}

fn booking_id(text: &str) -> Result<BookingId, String> {
    text.parse().map(BookingId::from_uuid).map_err(|_| "not the id of a booking".to_owned())
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    filter: Filter,
    /// Messages without a route instead of dead letters
    #[arg(long, conflicts_with_all = ["queue", "group"])]
    unroutable: bool,
    #[command(flatten)]
    output: Output,
}

impl List {
    async fn run(self) -> Result<()> {
        let Self { filter, unroutable, output } = self;
        let found = if unroutable {
            queued::list_unroutable(&filter).await?
        } else {
            let sources = Sources::open().await?;
            let mut found = stored::list(&sources, None, &filter).await?;
            found.extend(queued::list(&sources, None, &filter).await?);
            sources.close().await;
            found
        };
        if output.json {
            return terminal::json(&found);
        }
        if found.is_empty() {
            terminal::note(if unroutable { "No messages without a route." } else { "No dead letters." });
            return Ok(());
        }
        print_rows(&found);
        terminal::note(
            "\n`pvt dead show <id>` shows one; `pvt dead replay <id>` returns it to its queue; `pvt dead discard <id> \
            --reason …` removes it for good.",
        );
        Ok(())
    }
}

fn print_rows(found: &[Value]) {
    let row = |dead_letter: &Value| {
        ["queue", "type", "class", "message", "deaths", "state", "id"].map(|name| match &dead_letter[name] {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    };
    let header = ["QUEUE", "TYPE", "CLASS", "MESSAGE", "DEATHS", "STATE", "ID"];
    terminal::table(header, found.iter().take(ROWS).map(row));
    if found.len() > ROWS {
        terminal::note(format_args!("{} more; `--json` has all, `pvt dead groups` their causes", found.len() - ROWS));
    }
}

/// Personal data in its body are masked, unless a reason is given.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt dead show 01890000-0000-7000-8000-00000000dead
  pvt dead show 01890000-0000-7000-8000-00000000dead --unmasked --reason 'which name cannot be printed'")]
struct Show {
    /// Its id in `pvt dead list`
    #[arg(value_parser = message_id)]
    id: Uuid,
    /// Show the whole body; the audit keeps that and why
    #[arg(long, requires = "reason")]
    unmasked: bool,
    /// Why the whole body is needed
    #[arg(long, requires = "unmasked", value_parser = reason::reason)]
    reason: Option<String>,
    /// Print JSON, which is the only form of this command
    #[arg(long = "json")]
    _json: bool,
}

impl Show {
    async fn run(self) -> Result<()> {
        let sources = Sources::open().await?;
        let view = if self.unmasked { View::WHOLE } else { View::MASKED };
        let found = match stored::show(&sources, self.id, view).await? {
            Some(found) => Some(found),
            None => queued::show(&sources, self.id, view).await?,
        };
        let unknown = || OperationError::NotFound(format!("no dead letter {}; `pvt dead list` shows all", self.id));
        let found = found.ok_or_else(unknown)?;
        if let Some(reason) = &self.reason {
            let text = |name: &str| found[name].as_str();
            let id = |name: &str| text(name).and_then(|id| id.parse().ok()).unwrap_or(self.id);
            let (kind, queue) = (text("type").unwrap_or_default(), text("queue").unwrap_or_default());
            let read = Audited { shown_id: id("id"), id: id("dead_letter"), kind, queue };
            dead_letters::record_unmasked(sources.store()?, read, OPERATOR, reason).await?;
        }
        sources.close().await;
        terminal::json(&found)
    }
}

/// Its worker must be able to read the new body. Nothing is sent until it is replayed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt dead edit 01890000-0000-7000-8000-00000000dead --body fixed.json --reason 'a typing error' --dry-run
  pvt dead edit 01890000-0000-7000-8000-00000000dead --body fixed.json --reason 'a typing error'")]
struct Edit {
    /// Its id in `pvt dead list`
    #[arg(value_parser = message_id)]
    id: Uuid,
    /// Its queue, where several have given the message up
    #[arg(long)]
    queue: Option<String>,
    /// File with the new body
    #[arg(long)]
    body: PathBuf,
    /// Why; recorded in the audit
    #[arg(long, value_parser = reason::reason)]
    reason: String,
    /// Print which members would change and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Edit {
    async fn run(self) -> Result<()> {
        let Self { id, queue, body, reason, dry_run } = self;
        let body = std::fs::read(&body).with_context(|| body.display().to_string())?;
        let sources = Sources::open().await?;
        let filter = stored::document_filter(&sources.topology, Some(id), &Filter { queue, ..Filter::default() })?;
        let changed = dead_letters::edit(sources.store()?, &filter, body, OPERATOR, &reason, dry_run).await;
        sources.close().await;
        for member in changed? {
            terminal::data(member);
        }
        terminal::note(if dry_run { "would be changed" } else { "changed; `pvt dead replay` sends it" });
        Ok(())
    }
}

/// A replay goes on in the background, whatever happens to this command; it shows the progress and ends with the
/// replay.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt dead replay 01890000-0000-7000-8000-00000000dead
  pvt dead replay --all --queue emails --dry-run
  pvt dead replay --all --queue emails --reason 'the template is fixed' --detach")]
struct Replay {
    #[command(flatten)]
    selection: Selection,
    /// Why; recorded in the audit
    #[arg(long, default_value = "replayed by hand", value_parser = reason::reason)]
    reason: String,
    /// Most messages a second
    #[arg(long, default_value_t = DEFAULT_RATE, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_RATE)))]
    rate: u32,
    /// Do not wait for the end
    #[arg(long)]
    detach: bool,
}

impl Replay {
    async fn run(self) -> Result<()> {
        let Self { selection, reason, rate, detach } = self;
        if selection.unroutable {
            let config = settings::ready(&[crate::reachability::Dependency::RabbitMq]).await?;
            return queued::replay(&config, &selection, &Replayed::default()).await;
        }
        let sources = Sources::open().await?;
        let stored = if selection.dry_run {
            Replayed { count: stored::forecast(&sources, &selection).await?, died_again: None }
        } else {
            stored::replay(&sources, &selection, &reason, rate, detach).await?
        };
        let outcome = sources.replay_queued(&selection, &stored).await;
        sources.close().await;
        outcome
    }
}

#[derive(Debug, Args)]
struct Discard {
    #[command(flatten)]
    selection: Selection,
    /// Why; recorded in the audit
    #[arg(long, value_parser = reason::reason)]
    reason: String,
}

impl Discard {
    async fn run(self) -> Result<()> {
        let Self { selection, reason } = self;
        if selection.unroutable {
            use crate::reachability::Dependency::{MongoDb, RabbitMq};
            let config = settings::ready(&[RabbitMq, MongoDb]).await?;
            return queued::discard(&config, &selection, &reason, 0).await;
        }
        let sources = Sources::open().await?;
        sources.store()?;
        let stored = if selection.dry_run {
            stored::count(&sources, &selection).await?
        } else {
            stored::discard(&sources, &selection, &reason).await?
        };
        let outcome = sources.discard_queued(&selection, &reason, stored).await;
        sources.close().await;
        outcome
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvt dead operations
  pvt dead operations --json
  pvt dead operations --cancel 01890000-0000-7000-8000-000000000001 --reason 'the cause is still there'")]
struct Operations {
    /// Cancels this replay before its next message; what it has not sent stays dead
    #[arg(long, value_parser = message_id)]
    cancel: Option<Uuid>,
    /// Why; recorded in the audit
    #[arg(long, default_value = "cancelled by hand", value_parser = reason::reason)]
    reason: String,
    #[command(flatten)]
    output: Output,
}

impl Operations {
    async fn run(self) -> Result<()> {
        match self.cancel {
            Some(id) => stored::cancel(id, &self.reason).await,
            None => stored::operations(self.output.json).await,
        }
    }
}

/// Says how many of the selected messages something was, or would be, done to; none is a failure.
fn report(count: usize, done: &str) -> Result<()> {
    if count == 0 {
        return Err(OperationError::NotFound("no message matches; `pvt dead list` shows all".to_owned()).into());
    }
    terminal::note(format_args!("{count} {done}"));
    Ok(())
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
        assert!(parse(&["replay", "--all", "--rate", "0"]).is_err());
        assert!(parse(&["discard", id]).is_err(), "a reason is required");
        assert!(parse(&["show", id]).is_ok() && parse(&["show", id, "--json"]).is_ok());
        let nope = parse(&["show", "nope"]).unwrap_err().to_string();
        assert!(nope.contains("not a UUID; `pvt dead list` shows ids"), "{nope}");
    }
}
