//! `pvt bench`: drives the real processes over HTTP and says how fast they are, each figure beside this machine's bare
//! limit.
//!
//! It works in a database, a schema and queues of its own and removes them. It must never touch those of a running
//! system, and never put load on anything but the engines it was given.

mod bare;
mod booking_pool;
mod confirmation_watch;
mod engines;
mod figures;
mod load_generator;
mod machine;
mod namespace;
mod process;
mod process_group;
mod scale;
mod scenarios;
mod stripe;
mod table;
mod usage;
mod wire;
mod worker_probe;
mod workload;

use crate::output;
use anyhow::{Result, bail};
use engines::Engines;
use figures::Figures;
use namespace::Namespace;
use pvt_service::shutdown;
use scale::Scale;
use tokio_util::sync::CancellationToken;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scenario {
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

/// What to measure, and how much of it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct BenchArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Only these, comma-separated; all when none is given
    #[arg(long, value_delimiter = ',')]
    only: Vec<Scenario>,
    /// Small counts, under a minute: says whether it works, not how fast it is
    #[arg(long)]
    quick: bool,
    /// Requests of the intake run and of the drain run
    #[arg(long, value_parser = clap::value_parser!(u64).range(100..=500_000))]
    requests: Option<u64>,
    /// Connections that send at once
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    connections: u16,
    /// Hostels to book
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=999))]
    properties: u16,
    /// Beds in each
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
    beds: u16,
    /// Requests per second of the steady run and of the mixed one, searches per second; changes are half as many
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=5_000))]
    rate: u16,
    /// Length of each run at a steady rate
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: Option<u16>,
    /// Keep the engines, databases and queues of this run
    #[arg(long)]
    keep: bool,
    /// Serves the bare handler that intake is compared with (started by the benchmark itself)
    #[arg(long, hide = true, value_name = "BODY_BYTES")]
    serve_bare_intake: Option<usize>,
}

/// Measures and prints.
pub(crate) async fn run(args: BenchArgs) -> Result<()> {
    let stop = shutdown::signal()?;
    if let Some(body_bytes) = args.serve_bare_intake {
        return bare::intake::serve(body_bytes, stop).await;
    }
    if cfg!(debug_assertions) {
        output::note("This is a debug build: its figures say nothing. Use `cargo run --release -- bench`.");
    }
    let scale = Scale::of(&args);
    let engines = tokio::select! {
        engines = Engines::ensure() => engines?,
        () = stop.cancelled() => bail!("stopped while starting"),
    };
    let mut figures = Figures::new(args.quick);
    let outcome = measure(&engines, &scale, args.keep, &mut figures, &stop).await;
    let stopped = if args.keep { Ok(()) } else { engines.stop().await };
    outcome?;
    stopped?;
    if args.json {
        output::json(&figures)?
    } else {
        table::print(&figures)
    }
    if figures.troubles.is_empty() {
        Ok(())
    } else {
        bail!("not everything went as it should: {}", figures.troubles.join("; "))
    }
}

async fn measure(
    engines: &Engines,
    scale: &Scale,
    keep: bool,
    figures: &mut Figures,
    stop: &CancellationToken,
) -> Result<()> {
    let namespace = Namespace::create(engines.urls()).await?;
    let outcome = tokio::select! {
        outcome = scenarios::all(&namespace, engines, scale, figures) => outcome,
        // Dropping the run ends its processes; its data is thrown away below.
        () = stop.cancelled() => Err(anyhow::anyhow!("stopped")),
    };
    if keep {
        output::note(format_args!("  kept: database, schema and queues `{}`", namespace.name()));
        return outcome;
    }
    let removed = namespace.remove().await;
    outcome.and(removed)
}
