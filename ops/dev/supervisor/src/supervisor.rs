//! Starts our processes, starts them again when they die, and stops them in order.

use super::logs;
use super::plan::{ProcessSpec, StartPlan};
use super::record::{Process, RunRecord};
use anyhow::{Context, Result, bail};
use backon::{BackoffBuilder as _, ExponentialBuilder};
use pvt_local_engines::process::ProcessIdentity;
use pvt_operations::terminal;
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// This program itself, even after a rebuild has replaced its file.
pub(super) const SELF: &str = "/proc/self/exe";
/// A drain takes up to 25 s; a process that takes longer is killed.
const STOP_LIMIT: Duration = Duration::from_secs(28);
const READY_LIMIT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_RESTART_DELAY: Duration = Duration::from_secs(15);
/// 250–500 ms, doubling to 15–30 s with jitter.
const RESTART: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(250))
    .with_max_delay(MAX_RESTART_DELAY)
    .with_jitter()
    .without_max_times();

/// The running processes.
pub(super) struct Supervisor {
    supervised: Vec<Supervised>,
    record: Arc<Mutex<RunRecord>>,
    state_dir: PathBuf,
    /// Nothing is restarted once this is cancelled.
    shutdown: CancellationToken,
}

struct Supervised {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Supervisor {
    /// A supervisor that has started nothing yet.
    pub(super) fn new(state_dir: &Path, plan: &StartPlan, shutdown: CancellationToken) -> Result<Self> {
        std::fs::create_dir_all(logs::folder(state_dir))?;
        let supervisor = ProcessIdentity::current().context("this process is not in /proc")?;
        let record = Arc::new(Mutex::new(RunRecord {
            supervisor,
            ready: false,
            processes: Vec::new(),
            settings: plan.settings.clone(),
        }));
        Ok(Self { supervised: Vec::new(), record, state_dir: state_dir.to_owned(), shutdown })
    }

    /// Starts the processes of the plan in its order.
    pub(super) fn start(&mut self, plan: &StartPlan) -> Result<()> {
        for process in &plan.processes {
            let process_supervisor = ProcessSupervisor {
                plan: process.clone(),
                record: Arc::clone(&self.record),
                state_dir: self.state_dir.clone(),
                shutdown: self.shutdown.clone(),
            };
            let log_begin = process_supervisor.log_length();
            let child = process_supervisor.spawn()?;
            let stop = CancellationToken::new();
            let task = tokio::spawn(process_supervisor.keep(child, log_begin, stop.clone()));
            self.supervised.push(Supervised { stop, task });
        }
        Ok(())
    }

    /// Records that everything is ready.
    pub(super) fn ready(&self) -> Result<()> {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.ready = true;
        record.save(&self.state_dir)
    }

    /// Waits until every process reports that it is ready.
    pub(super) async fn wait_until_ready(&self, plan: &StartPlan) -> Result<()> {
        let http = reqwest::Client::builder().timeout(PROBE_TIMEOUT).build()?;
        let deadline = Instant::now() + READY_LIMIT;
        for process in &plan.processes {
            while !answers(&http, &process.ready_url).await {
                if Instant::now() > deadline {
                    bail!(
                        "{} is not ready after {READY_LIMIT:?}:\n{}",
                        process.name,
                        logs::last_lines(&logs::path(&self.state_dir, &process.name), 0)
                    );
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        }
        Ok(())
    }

    /// Stops the processes one after another in the order of their start: intake first, then the workers, then the
    /// services they use.
    pub(super) async fn stop(self) {
        for supervised in self.supervised {
            supervised.stop.cancel();
            if let Err(error) = supervised.task.await {
                terminal::note(format_args!("  a supervising task failed: {error}"));
            }
        }
    }
}

async fn answers(http: &reqwest::Client, url: &str) -> bool {
    http.get(url).send().await.is_ok_and(|response| response.status().is_success())
}

/// Supervisor of one process: restarts it when it ends.
struct ProcessSupervisor {
    plan: ProcessSpec,
    record: Arc<Mutex<RunRecord>>,
    state_dir: PathBuf,
    shutdown: CancellationToken,
}

impl ProcessSupervisor {
    /// Length of the log, where the output of the next start begins.
    fn log_length(&self) -> u64 {
        std::fs::metadata(logs::path(&self.state_dir, &self.plan.name)).map_or(0, |log| log.len())
    }

    fn spawn(&self) -> Result<Child> {
        let log = logs::open(&logs::path(&self.state_dir, &self.plan.name))?;
        let mut command = Command::new(SELF);
        command.args(&self.plan.arguments).envs(self.plan.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // A group of its own, so that Ctrl-C at the terminal reaches only the supervisor, which stops the rest in
        // order.
        command.process_group(0);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", self.plan.name))?;
        if let Err(error) = self.record_process(&child) {
            // A process without a record could not be cleaned up later.
            child.start_kill()?;
            return Err(error);
        }
        Ok(child)
    }

    fn record_process(&self, child: &Child) -> Result<()> {
        let identity = child.id().and_then(|pid| ProcessIdentity::of(i32::try_from(pid).ok()?));
        let identity = identity.with_context(|| {
            format!(
                "{} ended at once:\n{}",
                self.plan.name,
                logs::last_lines(&logs::path(&self.state_dir, &self.plan.name), 0)
            )
        })?;
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.processes.retain(|process| process.name != self.plan.name);
        let ProcessSpec { name, url, health_url, .. } = self.plan.clone();
        record.processes.push(Process { name, identity, url, health_url });
        record.save(&self.state_dir)
    }

    async fn keep(self, mut child: Child, mut log_begin: u64, stop: CancellationToken) {
        let mut delays = RESTART.build();
        loop {
            let ended = tokio::select! {
                ended = child.wait() => ended,
                () = stop.cancelled() => return self.end(child).await,
            };
            if self.shutdown.is_cancelled() {
                return;
            }
            let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
            let log = logs::last_lines(&logs::path(&self.state_dir, &self.plan.name), log_begin);
            terminal::note(format_args!("  {} ended ({how}), restarting it\n{log}", self.plan.name));
            child = loop {
                tokio::select! {
                    () = tokio::time::sleep(delays.next().unwrap_or(MAX_RESTART_DELAY)) => {}
                    () = self.shutdown.cancelled() => return,
                    () = stop.cancelled() => return,
                }
                log_begin = self.log_length();
                match self.spawn() {
                    Ok(child) => break child,
                    Err(error) => terminal::note(format_args!("  {error:#}")),
                }
            };
        }
    }

    async fn end(&self, mut child: Child) {
        if let Some(process) = child.id().and_then(|pid| ProcessIdentity::of(i32::try_from(pid).ok()?)) {
            process.signal(Signal::TERM);
        }
        if tokio::time::timeout(STOP_LIMIT, child.wait()).await.is_err() {
            terminal::note(format_args!(
                "  {} did not drain within {STOP_LIMIT:?} and is killed; its messages return to their queues",
                self.plan.name
            ));
            if let Err(error) = child.kill().await {
                terminal::note(format_args!("  {}: {error}", self.plan.name));
            }
        }
    }
}
