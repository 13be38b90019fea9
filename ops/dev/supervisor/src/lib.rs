//! Supervisor of the whole system on one machine, behind `pvt up`, `pvt down` and `pvt status`.
//!
//! Engines whose URL is in the environment are used and never started or stopped. Everything else that is started here
//! is recorded by pid and start time, so that the next `up` or `down` can clean up after a crash without ever ending
//! another program.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod engines;
mod event_feed;
mod logs;
mod plan;
mod record;
mod signals;
mod status;
mod supervisor;

use anyhow::{Context, Result, bail};
use plan::StartPlan;
use pvt_local_engines::process::{ProcessIdentity, first_alive_after};
use pvt_local_engines::{EngineKind, Instance, PortPlan, Urls};
use pvt_operations::{migrate, seed, terminal, topology};
use record::RunRecord;
use rustix::process::Signal;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use supervisor::Supervisor;
use tokio_util::sync::CancellationToken;

/// Name of the instance of local engines that `up` runs.
const INSTANCE: &str = "dev";
/// A first start installs engines, which takes minutes over a slow connection.
const DETACHED_START_LIMIT: Duration = Duration::from_secs(900);
/// Draining takes up to 25 s, stopping the engines up to 30 s more.
const DOWN_LIMIT: Duration = Duration::from_secs(90);
/// For processes that a crashed `up` left behind.
const ORPHAN_LIMIT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// How `up` starts the system.
#[derive(Debug, Clone, Copy)]
pub struct UpOptions {
    /// Return once everything is ready, and keep running in the background.
    pub detach: bool,
    /// Create the demonstration property.
    pub seed: bool,
}

fn instance() -> Result<Instance> {
    Ok(Instance::open(INSTANCE, PortPlan::documented())?)
}

/// Starts everything and runs until it is stopped.
///
/// # Errors
/// When it runs already, or something does not start or stop.
pub async fn up(options: UpOptions) -> Result<()> {
    let instance = instance()?;
    if let Some(record) = RunRecord::load(instance.state_dir())?
        && record.supervisor.is_alive()
    {
        bail!("it runs already (pid {}): `pvt status` shows it, `pvt down` stops it", record.supervisor.pid);
    }
    if options.detach { detach(&instance, options).await } else { Box::pin(run(&instance, options)).await }
}

async fn run(instance: &Instance, options: UpOptions) -> Result<()> {
    let started = Instant::now();
    std::fs::create_dir_all(instance.state_dir())?;
    // Held until the end: two of them starting at once would stop each other's engines.
    let lock = std::fs::File::create(instance.state_dir().join("up.lock"))?;
    if lock.try_lock().is_err() {
        bail!("another `pvt up` is starting or running here: `pvt status` shows it, `pvt down` stops it");
    }
    let shutdown = signals::listen(instance)?;
    clean_up_after_crash(instance.state_dir()).await?;
    // Checked before engines are installed and started in vain.
    StartPlan::new(&Urls::documented().overridden_by(Urls::from_env()), instance.state_dir())?.check_ports()?;
    let ours = Urls::from_env().missing();
    let outcome = match shutdown.run_until_cancelled(Box::pin(prepare(instance, options, &ours))).await {
        Some(Ok(plan)) => serve(instance, &plan, &ours, started, shutdown).await,
        Some(Err(error)) => Err(error),
        None => Err(anyhow::anyhow!("stopped while starting")),
    };
    stop_engines(instance, &ours).await?;
    RunRecord::remove(instance.state_dir())?;
    outcome?;
    terminal::note("Everything is stopped; the data is kept.");
    Ok(())
}

/// Makes engines, tables, queues and the demonstration property ready.
async fn prepare(instance: &Instance, options: UpOptions, ours: &[EngineKind]) -> Result<StartPlan> {
    terminal::note(format_args!(
        "PVT Booking {} — data and logs in {}",
        env!("CARGO_PKG_VERSION"),
        instance.state_dir().display()
    ));
    let progress = |line: &str| terminal::note(format_args!("  {line}"));
    let env_urls = Urls::from_env();
    let urls = instance.ensure(ours, &progress).await?.overridden_by(env_urls);
    let plan = StartPlan::new(&urls, instance.state_dir())?;
    terminal::note("  creating collections, tables and queues");
    migrate::run(&plan.config).await?;
    topology::apply(&plan.config).await?;
    if options.seed {
        seed::run(&plan.config, seed::DEFAULT_DAYS).await?;
    }
    Ok(plan)
}

/// Runs the processes until the token is cancelled; they are stopped at the end even after a failure.
async fn serve(
    instance: &Instance,
    plan: &StartPlan,
    ours: &[EngineKind],
    started: Instant,
    shutdown: CancellationToken,
) -> Result<()> {
    terminal::note("  starting the API, the console, the workers and the mail sink");
    let mut supervisor = Supervisor::new(instance.state_dir(), plan, shutdown.clone())?;
    let ready = async {
        supervisor.start(plan)?;
        supervisor.wait_until_ready(plan).await?;
        supervisor.ready()
    };
    let outcome = match shutdown.run_until_cancelled(ready).await {
        Some(Ok(())) => {
            plan.print_screen(started.elapsed());
            tokio::join!(
                event_feed::follow(&plan.config, shutdown.clone()),
                shutdown.run_until_cancelled(engines::watch(instance, ours))
            );
            Ok(())
        }
        Some(Err(error)) => Err(error),
        None => Err(anyhow::anyhow!("stopped while starting")),
    };
    if outcome.is_err() {
        terminal::note("\nStopping what was started.");
    }
    supervisor.stop().await;
    outcome
}

async fn stop_engines(instance: &Instance, kinds: &[EngineKind]) -> Result<()> {
    instance.stop(kinds).await.context("an engine does not stop")
}

/// Ends processes that a crashed `up` has left behind.
async fn clean_up_after_crash(state_dir: &Path) -> Result<()> {
    let Some(record) = RunRecord::load(state_dir)? else { return Ok(()) };
    let orphans: Vec<ProcessIdentity> =
        record.processes.iter().map(|process| process.identity).filter(|process| process.is_alive()).collect();
    if orphans.is_empty() {
        return Ok(());
    }
    terminal::note(format_args!("  an earlier `pvt up` left {} processes behind: stopping them", orphans.len()));
    for process in &orphans {
        process.signal(Signal::TERM);
    }
    while let Some(stubborn) = first_alive_after(&orphans, ORPHAN_LIMIT).await {
        stubborn.signal(Signal::KILL);
    }
    Ok(())
}

/// Starts this program again in the background and waits until it is ready.
async fn detach(instance: &Instance, options: UpOptions) -> Result<()> {
    let log_path = logs::path(instance.state_dir(), "up");
    std::fs::create_dir_all(logs::folder(instance.state_dir()))?;
    let log = std::fs::File::create(&log_path)?;
    let mut command = tokio::process::Command::new(supervisor::SELF);
    command.arg("up").args((!options.seed).then_some("--no-seed"));
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    let mut child = command.spawn()?;
    let deadline = Instant::now() + DETACHED_START_LIMIT;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            let log = std::fs::read_to_string(&log_path).unwrap_or_default();
            bail!("it did not start ({status}):\n{}", log.trim_end());
        }
        if RunRecord::load(instance.state_dir())?
            .is_some_and(|record| record.ready && child.id() == u32::try_from(record.supervisor.pid).ok())
        {
            return status(false).await;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    bail!("it is not ready after {DETACHED_START_LIMIT:?}; see {}", log_path.display())
}

/// Drains and stops everything that `up` started.
///
/// # Errors
/// When something does not stop in time.
pub async fn down() -> Result<()> {
    let instance = instance()?;
    let supervisor = RunRecord::load(instance.state_dir())?
        .map(|record| record.supervisor)
        .filter(|supervisor| supervisor.is_alive());
    if let Some(supervisor) = supervisor {
        terminal::note(format_args!("draining and stopping (pid {})", supervisor.pid));
        supervisor.signal(Signal::TERM);
        if first_alive_after(&[supervisor], DOWN_LIMIT).await.is_some() {
            bail!(
                "pid {} is still running after {DOWN_LIMIT:?}; see {}",
                supervisor.pid,
                logs::path(instance.state_dir(), "up").display()
            );
        }
    }
    // After a crash of the supervisor, this is still to do.
    clean_up_after_crash(instance.state_dir()).await?;
    stop_engines(&instance, &Urls::from_env().missing()).await?;
    RunRecord::remove(instance.state_dir())?;
    terminal::note("stopped; the data is kept");
    Ok(())
}

/// Prints every process and engine with its state.
///
/// # Errors
/// When records or engines cannot be read.
pub async fn status(json: bool) -> Result<()> {
    let instance = instance()?;
    let env_urls = Urls::from_env();
    let ours = env_urls.missing();
    let record = RunRecord::load(instance.state_dir())?;
    let urls = instance.urls()?.map(|urls| urls.overridden_by(env_urls));
    let rows = status::rows(&instance, &ours, urls.as_ref(), record.as_ref()).await?;
    if json {
        return terminal::json(&rows);
    }
    terminal::table(["NAME", "PID", "STATE", "URL", "LOG"], rows.into_iter().map(status::StatusRow::into_row));
    Ok(())
}

/// The settings of a `pvt up` that runs on this machine, for other commands. None when the environment names an engine:
/// then another system is meant.
///
/// # Errors
/// When its record cannot be read.
pub fn running_settings() -> Result<Vec<(String, String)>> {
    let instance = instance()?;
    if Urls::from_env().missing().len() < EngineKind::ALL.len() {
        return Ok(Vec::new());
    }
    let record = RunRecord::load(instance.state_dir())?.filter(|record| record.supervisor.is_alive());
    Ok(record.map(|record| record.settings).unwrap_or_default())
}
