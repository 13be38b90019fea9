//! The command line of `pvt`.

use clap::{Args, Parser, Subcommand};

/// Runs and operates a PVT Booking back end.
#[derive(Debug, Parser)]
#[command(name = "pvt", version, max_term_width = 110, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// What to do; `up` when nothing is said.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

const EXAMPLES: &str = "Examples:
  pvt                                  start everything on this machine, stop it with Ctrl-C
  pvt up --detach && pvt status        the same in the background
  pvt queues list                      what waits where
  pvt dead list                        what could not be handled, and why
  pvt dead replay --queue emails --all  send dead letters home again
  pvt trace PVT-HMY8YMKD1Q             what happened to a booking
  pvt reconcile run --dry-run          compare stores without changing anything
  pvt bench --json                     measure this machine

Settings come from the environment (see .env.example); `pvt config check` shows them.
Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 5 differences, 75 try later.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Starts engines, API, workers and mail sink on this machine
    Up(UpArgs),
    /// Drains and stops what `up` started
    Down,
    /// Shows each process and engine with its URL and state
    Status(JsonArgs),
    /// Checks settings, engines, queues and stores, and says what to do
    Doctor(JsonArgs),
    /// Creates collections, indexes, tables
    Migrate,
    /// Creates the demonstration hostel and some bookings
    Seed(SeedArgs),
    /// Exchanges, queues and policies
    #[command(subcommand)]
    Topology(TopologyCommand),
    /// What waits in the queues
    #[command(subcommand)]
    Queues(QueuesCommand),
    /// Messages that could not be handled
    #[command(subcommand)]
    Dead(DeadCommand),
    /// Compares stores with each other
    #[command(subcommand)]
    Reconcile(ReconcileCommand),
    /// Everything that happened to one booking, in the order of time
    #[command(after_help = TRACE_EXAMPLES)]
    Trace(TraceArgs),
    /// Keys for client programs and staff
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Accounts of people
    #[command(subcommand)]
    Users(UsersCommand),
    /// The settings in force
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Measures intake, draining, latency, mails and ETL, each against this machine's own limit
    Bench(crate::bench::BenchArgs),
    /// Runs one API process
    Api,
    /// Runs workers in this process
    #[command(subcommand)]
    Workers(WorkersCommand),
    /// Parts for development only
    #[command(subcommand)]
    Dev(DevCommand),
}

#[derive(Debug, Args, Default)]
pub(crate) struct UpArgs {
    /// Return when everything answers, and keep running in the background
    #[arg(long)]
    pub(crate) detach: bool,
    /// Do not create the demonstration hostel
    #[arg(long)]
    pub(crate) no_seed: bool,
}

#[derive(Debug, Args)]
pub(crate) struct JsonArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SeedArgs {
    /// Days from today that get bookings, at most a year
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u64).range(0..=365))]
    pub(crate) days: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopologyCommand {
    /// Prints the definitions (exchanges, queues, bindings, policies) as RabbitMQ's JSON
    Show,
    /// Declares queues and sets policies on the broker
    Apply,
    /// Compares the broker's queues and policies with ours; exit code 5 when they differ
    Diff,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueuesCommand {
    /// Lists queues with their depth and consumers
    List(JsonArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadCommand {
    /// Groups dead letters by worker and reason
    List(DeadListArgs),
    /// Shows one dead letter whole
    Show {
        /// Its id in `pvt dead list`
        #[arg(value_parser = message_id)]
        id: uuid::Uuid,
    },
    /// Sends dead letters back to the queue they came from, under the same id
    Replay(ReplayArgs),
    /// Throws dead letters away for good; the audit keeps which and why
    Discard(DiscardArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DeadListArgs {
    /// Only this queue, for example `emails` or `bookings.2`
    #[arg(long)]
    pub(crate) queue: Option<String>,
    /// Messages without a route instead of dead letters
    #[arg(long, conflicts_with = "queue")]
    pub(crate) unroutable: bool,
    /// Print JSON, one object a message
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which dead letters.
#[derive(Debug, Args)]
pub(crate) struct DeadLetterSelection {
    /// One message, by its id in `pvt dead list`
    #[arg(value_parser = message_id, required_unless_present = "all", conflicts_with = "all")]
    pub(crate) id: Option<uuid::Uuid>,
    /// Only this queue
    #[arg(long)]
    pub(crate) queue: Option<String>,
    /// Only dead letters of this class, for example `panic`
    #[arg(long)]
    pub(crate) class: Option<String>,
    /// Every message that matches (needed when no id is given)
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    pub(crate) selection: DeadLetterSelection,
    /// Say what would be replayed and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DiscardArgs {
    #[command(flatten)]
    pub(crate) selection: DeadLetterSelection,
    /// Why; goes into the audit
    #[arg(long)]
    pub(crate) reason: String,
    /// Messages without a route instead of dead letters
    #[arg(long, conflicts_with = "queue")]
    pub(crate) unroutable: bool,
    /// Say what would be thrown away and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

fn message_id(text: &str) -> Result<uuid::Uuid, String> {
    text.parse().map_err(|_| "not a UUID; `pvt dead list` shows ids".to_owned())
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReconcileCommand {
    /// Queues a run for one property or all, waits for the reports and prints them
    Run(ReconcileArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ReconcileArgs {
    /// Only this property
    #[arg(long)]
    pub(crate) property: Option<String>,
    /// Report only, mend nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Creates a key and prints it, once
    Create(KeyArgs),
    /// Lists keys with what they may do, revoked ones too
    List(JsonArgs),
    /// Makes a key void
    Revoke {
        /// Its id, the middle part of `pvt_<id>_<secret>`
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// What it may do
    #[arg(long, value_parser = ["client", "staff", "admin"], default_value = "client")]
    pub(crate) role: String,
    /// Who uses it
    #[arg(long, default_value = "unnamed")]
    pub(crate) name: String,
    /// Properties that a staff key is for; all when none is given
    #[arg(long)]
    pub(crate) property: Vec<String>,
    /// What it may be used for, for example `bookings:read`; everything of its role when none is given
    #[arg(long)]
    pub(crate) scope: Vec<String>,
    /// Print JSON: {"key": …}
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// Makes an account; the first line of stdin is its password, or one is made and printed
    Create(UserArgs),
    /// Lists accounts
    List(JsonArgs),
    /// Says what an account may do, and where
    SetRole(SetRoleArgs),
    /// Stops an account from being used and ends its sessions
    Disable {
        /// Its mail address
        email: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    /// Where its mails go; also the name to log in with
    pub(crate) email: String,
    /// What the person is called
    #[arg(long, default_value = "unnamed")]
    pub(crate) name: String,
    /// What they may do
    #[arg(long, value_parser = ["guest", "staff", "admin"], default_value = "guest")]
    pub(crate) role: String,
    /// Properties that staff work at
    #[arg(long)]
    pub(crate) property: Vec<String>,
    /// The language of mails, for example `fr`
    #[arg(long)]
    pub(crate) locale: Option<String>,
    /// Read the password from the first line of stdin
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SetRoleArgs {
    /// Its mail address
    pub(crate) email: String,
    /// What it may do
    #[arg(value_parser = ["guest", "staff", "admin"])]
    pub(crate) role: String,
    /// Properties that staff work at
    #[arg(long)]
    pub(crate) property: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Prints the settings in force, secrets masked, or all that is wrong with them
    Check,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WorkersCommand {
    /// Runs the named workers, or all
    Run {
        /// Names, see `pvt workers list`
        #[arg(required_unless_present = "all")]
        names: Vec<String>,
        /// Every worker
        #[arg(long)]
        all: bool,
    },
    /// Lists the workers
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DevCommand {
    /// Accepts mail and shows it in the browser instead of delivering it
    MailSink(MailSinkArgs),
    /// Plays Stripe: its API, a Checkout page that can be paid, and signed webhooks
    #[command(after_help = STRIPE_EXAMPLES)]
    StripeSimulator(StripeSimulatorArgs),
}

const STRIPE_EXAMPLES: &str = "Examples:
  pvt dev stripe-simulator
  pvt dev stripe-simulator --webhook-url http://127.0.0.1:8080/hooks --webhook-secret whsec_dev --store ./stripe
  curl -H 'Authorization: Bearer sk_test_any' http://127.0.0.1:8091/v1/events
  curl http://127.0.0.1:8091/sim/faults --json '{\"requests\":[{\"path\":\"/v1/refunds\",\"kind\":\"timeout_after_effect\",\"next\":1}]}'

Open http://127.0.0.1:8091/ to see payments and to play banks, disputes and refunds.";

const TRACE_EXAMPLES: &str = "Examples:
  pvt trace PVT-HMY8YMKD1Q
  pvt trace 8d3c8f52-6d0d-5d0a-9c1f-1f5a4a2b7c01 --json

It ends with what the booking waits for, if it waits.";

#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// Its id, or its reference as people write it
    pub(crate) booking: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StripeSimulatorArgs {
    /// Where it listens; loopback only
    #[arg(long, default_value = "127.0.0.1:8091")]
    pub(crate) addr: std::net::SocketAddr,
    /// Where browsers find its pages, when that is not `--addr`
    #[arg(long)]
    pub(crate) public_base: Option<url::Url>,
    /// Where events are sent
    #[arg(long, requires = "webhook_secret")]
    pub(crate) webhook_url: Option<url::Url>,
    /// What they are signed with; several while one takes over from another. From the environment nobody else on the
    /// machine reads it
    #[arg(long, env = "STRIPE_SIMULATOR_WEBHOOK_SECRETS", value_delimiter = ',', hide_env_values = true)]
    pub(crate) webhook_secret: Vec<String>,
    /// Keep everything in this folder across restarts
    #[arg(long)]
    pub(crate) store: Option<std::path::PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct MailSinkArgs {
    /// Where SMTP listens
    #[arg(long, default_value = "127.0.0.1:2525")]
    pub(crate) smtp: std::net::SocketAddr,
    /// Where the web page listens
    #[arg(long, default_value = "127.0.0.1:8090")]
    pub(crate) http: std::net::SocketAddr,
    /// Keep mails in this folder across restarts
    #[arg(long)]
    pub(crate) store: Option<std::path::PathBuf>,
    /// Count mails and throw them away
    #[arg(long)]
    pub(crate) discard: bool,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    #[test]
    fn replay_needs_id_or_all() {
        let parse = |words: &[&str]| super::Cli::try_parse_from(["pvt", "dead"].iter().chain(words));
        let id = "00000000-0000-0000-0000-00000000dead";
        assert!(parse(&["replay"]).is_err() && parse(&["replay", id, "--all"]).is_err());
        assert!(parse(&["replay", id]).is_ok() && parse(&["replay", "--all"]).is_ok());
        assert!(parse(&["discard", id]).is_err(), "without a reason nothing is thrown away");
        let nope = parse(&["show", "nope"]).unwrap_err().to_string();
        assert!(nope.contains("not a UUID; `pvt dead list` shows ids"), "{nope}");
    }

    #[test]
    fn webhook_url_requires_secret() {
        let parse = |words: &[&str]| super::Cli::try_parse_from(["pvt", "dev", "stripe-simulator"].iter().chain(words));
        assert!(parse(&[]).is_ok());
        assert!(parse(&["--webhook-url", "http://127.0.0.1:1/"]).is_err());
        assert!(
            parse(&[
                "--webhook-url",
                "http://127.0.0.1:1/",
                "--webhook-secret",
                "whsec_x",
                "--webhook-secret",
                "whsec_y"
            ])
            .is_ok()
        );
    }

    #[test]
    fn command_definition_is_valid() {
        super::Cli::command().debug_assert();
    }
}
