//! Arguments of the benchmark: its scenarios and their size.

/// A scenario of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    /// Requests accepted per second, nothing else running
    Intake,
    /// Bookings per second from the first request to the last event
    Drain,
    /// Latency from request to confirmed at a steady rate
    Steady,
    /// Mails per second
    Mails,
    /// Events loaded into the mart per second
    Etl,
    /// Latency of searches beside the steady rate of bookings
    Search,
    /// Latency of changes of confirmed bookings at a steady rate
    Modify,
    /// Latencies of searches, bookings and changes among each other
    Mixed,
    /// Stripe's events taken in and applied, and latency from a payment to the confirmed booking
    Webhooks,
}

/// Measures intake, draining, latency, mails and ETL against the limits of this machine
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  pvt bench
  pvt bench --quick
  pvt bench --only intake,drain --requests 20000 --json

Figures of a debug build mean nothing: use `cargo run --release -- bench`.")]
pub struct Bench {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Only these scenarios, comma-separated; all when none is given
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<Scenario>,
    /// Small counts, under a minute: shows that everything works, not how fast it is
    #[arg(long)]
    pub(crate) quick: bool,
    /// Requests of the intake run and of the drain run
    #[arg(long, value_parser = clap::value_parser!(u64).range(100..=500_000))]
    pub(crate) requests: Option<u64>,
    /// Concurrent connections
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub(crate) connections: u16,
    /// Properties to book
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=999))]
    pub(crate) properties: u16,
    /// Beds of each property
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub(crate) beds: u16,
    /// Requests per second of the scenarios at a steady rate; modify sends half as many
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=5_000))]
    pub(crate) rate: u16,
    /// Seconds of each scenario at a steady rate
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=600))]
    pub(crate) seconds: Option<u16>,
    /// Keep the engines, databases and queues of this run
    #[arg(long)]
    pub(crate) keep: bool,
    /// Serve the bare handler that intake is compared with (used by the benchmark itself)
    #[arg(long, hide = true, value_name = "BODY_BYTES")]
    pub(crate) serve_bare_intake: Option<usize>,
}
