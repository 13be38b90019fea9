//! Benchmark of the real processes over HTTP, behind `pvt bench`. Each figure stands beside a bare limit that was
//! measured on the same machine in the same run.
//!
//! It works in a database, a schema and queues of its own and removes them. It must never touch those of a running
//! system, and never put load on anything but the engines it was given.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod args;
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

pub use args::{Bench, Scenario};
use pvt_operations::terminal;

use anyhow::{Result, bail};
use engines::Engines;
use figures::Figures;
use namespace::Namespace;
use pvt_service::shutdown;
use scale::Scale;
use tokio_util::sync::CancellationToken;

impl Bench {
    /// Measures and prints the figures.
    ///
    /// # Errors
    /// When something cannot be measured, or the figures show a loss.
    pub async fn run(self) -> Result<()> {
        run(self).await
    }
}

async fn run(args: Bench) -> Result<()> {
    let stop = shutdown::signal()?;
    if let Some(body_bytes) = args.serve_bare_intake {
        return bare::intake::serve(body_bytes, stop).await;
    }
    if cfg!(debug_assertions) {
        terminal::note("This is a debug build: its figures say nothing. Use `cargo run --release -- bench`.");
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
        terminal::json(&figures)?
    } else {
        table::print(&figures)
    }
    if figures.troubles.is_empty() { Ok(()) } else { bail!("the run was not clean: {}", figures.troubles.join("; ")) }
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
        // Dropping the run ends its processes; its data is removed below.
        () = stop.cancelled() => Err(anyhow::anyhow!("stopped")),
    };
    if keep {
        terminal::note(format_args!("  kept: database, schema and queues `{}`", namespace.name()));
        return outcome;
    }
    let removed = namespace.remove().await;
    outcome.and(removed)
}
