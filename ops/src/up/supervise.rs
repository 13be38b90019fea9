//! Starts our processes, starts them again when they die, and stops them in order.

use super::record::{Process, RunRecord};
use super::start_plan::{ProcessSpec, StartPlan};
use crate::output;
use anyhow::{Context, Result, bail};
use pvt_local_engines::process::ProcessIdentity;
use pvt_messaging::Backoff;
use rustix::process::Signal;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// This very program, also after a rebuild has put another file in its place.
pub(super) const SELF: &str = "/proc/self/exe";
/// A drain takes up to 25 s; who takes longer is ended.
const STOP_LIMIT: Duration = Duration::from_secs(28);
const READY_LIMIT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
const FIRST_RESTART: Duration = Duration::from_millis(500);
const SLOWEST_RESTART: Duration = Duration::from_secs(30);
/// Logs larger than this are put aside at the start.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The running processes.
pub(super) struct Supervisor {
    supervised: Vec<Supervised>,
    record: Arc<Mutex<RunRecord>>,
    state_dir: PathBuf,
    /// Nothing is started again once this is cancelled.
    shutdown: CancellationToken,
}

struct Supervised {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Supervisor {
    /// Nothing runs yet.
    pub(super) fn new(state_dir: &Path, plan: &StartPlan, shutdown: CancellationToken) -> Result<Self> {
        std::fs::create_dir_all(log_folder(state_dir))?;
        let supervisor = ProcessIdentity::current().context("this process is not in /proc")?;
        let record = Arc::new(Mutex::new(RunRecord {
            supervisor,
            ready: false,
            processes: Vec::new(),
            settings: plan.settings.clone(),
        }));
        Ok(Self { supervised: Vec::new(), record, state_dir: state_dir.to_owned(), shutdown })
    }

    /// Starts everything of the plan, in its order.
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

    /// Notes that everything answers.
    pub(super) fn ready(&self) -> Result<()> {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.ready = true;
        record.save(&self.state_dir)
    }

    /// Waits until every process says that it is ready.
    pub(super) async fn wait_until_ready(&self, plan: &StartPlan) -> Result<()> {
        let http = reqwest::Client::builder().timeout(PROBE_TIMEOUT).build()?;
        let deadline = Instant::now() + READY_LIMIT;
        for process in &plan.processes {
            while !answers(&http, &process.ready_url).await {
                if Instant::now() > deadline {
                    bail!(
                        "{} is not ready after {READY_LIMIT:?}:\n{}",
                        process.name,
                        last_lines(&log_path(&self.state_dir, &process.name), 0)
                    );
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        }
        Ok(())
    }

    /// Stops the processes one after another in the order of their start: intake first, then the workers, then what
    /// they use.
    pub(super) async fn stop(self) {
        for supervised in self.supervised {
            supervised.stop.cancel();
            if let Err(error) = supervised.task.await {
                output::note(format_args!("  a supervising task failed: {error}"));
            }
        }
    }
}

async fn answers(http: &reqwest::Client, url: &str) -> bool {
    http.get(url).send().await.is_ok_and(|response| response.status().is_success())
}

/// Keeps one process running.
struct ProcessSupervisor {
    plan: ProcessSpec,
    record: Arc<Mutex<RunRecord>>,
    state_dir: PathBuf,
    shutdown: CancellationToken,
}

impl ProcessSupervisor {
    /// Where the log of the next start will begin.
    fn log_length(&self) -> u64 {
        std::fs::metadata(log_path(&self.state_dir, &self.plan.name)).map_or(0, |log| log.len())
    }

    fn spawn(&self) -> Result<Child> {
        let log = open_log(&log_path(&self.state_dir, &self.plan.name))?;
        let mut command = Command::new(SELF);
        command.args(&self.plan.arguments).envs(self.plan.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // A group of its own, so that Ctrl-C at the terminal reaches only the supervisor, which stops the rest in
        // order.
        command.process_group(0);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", self.plan.name))?;
        if let Err(error) = self.record_process(&child) {
            // What is not written down could not be cleaned up later.
            child.start_kill()?;
            return Err(error);
        }
        Ok(child)
    }

    fn record_process(&self, child: &Child) -> Result<()> {
        let identity = child.id().and_then(|pid| ProcessIdentity::of(i32::try_from(pid).ok()?));
        let identity = identity.with_context(|| {
            format!("{} ended at once:\n{}", self.plan.name, last_lines(&log_path(&self.state_dir, &self.plan.name), 0))
        })?;
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.processes.retain(|process| process.name != self.plan.name);
        record.processes.push(Process { name: self.plan.name.clone(), identity, url: self.plan.url.clone() });
        record.save(&self.state_dir)
    }

    async fn keep(self, mut child: Child, mut log_begin: u64, stop: CancellationToken) {
        let mut backoff = Backoff::new(FIRST_RESTART, SLOWEST_RESTART);
        loop {
            let ended = tokio::select! {
                ended = child.wait() => ended,
                () = stop.cancelled() => return self.end(child).await,
            };
            if self.shutdown.is_cancelled() {
                return;
            }
            let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
            let log = last_lines(&log_path(&self.state_dir, &self.plan.name), log_begin);
            output::note(format_args!("  {} ended ({how}): starting it again\n{log}", self.plan.name));
            child = loop {
                tokio::select! {
                    () = tokio::time::sleep(backoff.step()) => {}
                    () = self.shutdown.cancelled() => return,
                    () = stop.cancelled() => return,
                }
                log_begin = self.log_length();
                match self.spawn() {
                    Ok(child) => break child,
                    Err(error) => output::note(format_args!("  {error:#}")),
                }
            };
        }
    }

    async fn end(&self, mut child: Child) {
        if let Some(process) = child.id().and_then(|pid| ProcessIdentity::of(i32::try_from(pid).ok()?)) {
            process.signal(Signal::TERM);
        }
        if tokio::time::timeout(STOP_LIMIT, child.wait()).await.is_err() {
            output::note(format_args!(
                "  {} did not drain within {STOP_LIMIT:?}: ending it (its messages return to their queues)",
                self.plan.name
            ));
            if let Err(error) = child.kill().await {
                output::note(format_args!("  {}: {error}", self.plan.name));
            }
        }
    }
}

pub(super) fn log_folder(state_dir: &Path) -> PathBuf {
    state_dir.join("logs")
}

pub(super) fn log_path(state_dir: &Path, name: &str) -> PathBuf {
    log_folder(state_dir).join(format!("{name}.log"))
}

fn open_log(path: &Path) -> Result<File> {
    if std::fs::metadata(path).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
        std::fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().create(true).append(true).open(path).with_context(|| path.display().to_string())
}

/// The end of what a log holds after its first `begin` bytes, indented, to show why a process died.
fn last_lines(path: &Path, begin: u64) -> String {
    const LINES: usize = 12;
    let log = std::fs::read(path).unwrap_or_default();
    // A log that is shorter was put aside at the start.
    let begin = usize::try_from(begin).ok().filter(|begin| *begin <= log.len()).unwrap_or_default();
    let log = String::from_utf8_lossy(log.get(begin..).unwrap_or_default());
    let lines: Vec<&str> = log.lines().rev().take(LINES).collect();
    lines.into_iter().rev().map(|line| format!("    {line}\n")).collect()
}
