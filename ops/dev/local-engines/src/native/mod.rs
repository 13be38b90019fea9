//! Native backend: engines as local programs of this machine.

mod mongod;
mod postgres;
mod rabbitmq;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::time::timeout;

use crate::error::EngineError;
use crate::install::Programs;
use crate::kind::EngineKind;
use crate::launch;
use crate::ports::{Ports, is_free};
use crate::process::{ProcessIdentity, block_until_gone, first_alive_after};
use crate::progress::Progress;
use crate::record::{self, Running};
use crate::state_dir;

/// Time from launch to the first answer; a first start on two busy cores takes some ten seconds.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// Time limit of one health probe.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Interval between probes of a starting engine.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);

/// Time of an orderly stop before SIGKILL.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// The same for an engine that never answered: RabbitMQ ignores the signal while it starts, and no engine holds data
/// yet that a crash would lose.
const YOUNG_STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Time for the operating system to remove a killed process.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// An engine of an instance, with its folder and ports.
#[derive(Clone, Debug)]
pub(crate) struct NativeEngine {
    pub(crate) kind: EngineKind,
    /// The instance's name.
    pub(crate) instance: String,
    /// The folder of the instance.
    pub(crate) state_dir: PathBuf,
    pub(crate) ports: Ports,
}

impl NativeEngine {
    /// The engine's own folder.
    fn dir(&self) -> PathBuf {
        self.state_dir.join(self.kind.slug())
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.state_dir.join(format!("{}.log", self.kind.slug()))
    }

    fn record(&self) -> PathBuf {
        record_path(&self.state_dir, self.kind)
    }

    /// Checks that the engine answers as its clients need it to; else returns the reason.
    pub(crate) async fn probe(&self) -> Result<(), String> {
        let probe = async {
            match self.kind {
                EngineKind::RabbitMq => rabbitmq::probe(&self.ports).await,
                EngineKind::MongoDb => mongod::probe(&self.ports).await,
                EngineKind::PostgreSql => postgres::probe(&self.ports).await,
            }
        };
        timeout(PROBE_TIMEOUT, probe)
            .await
            .unwrap_or_else(|_| Err(format!("no answer in {} s", PROBE_TIMEOUT.as_secs())))
    }

    /// Starts the engine unless it runs, and waits until it answers.
    pub(crate) async fn start(&self, programs: &Programs, progress: Progress<'_>) -> Result<(), EngineError> {
        if let Some(process) = alive(&self.state_dir, self.kind)? {
            match self.wait_ready(process).await {
                Ok(()) => return self.note_answer(),
                Err(reason) if process.is_alive() => {
                    return Err(EngineError::Unhealthy { kind: self.kind, pid: process.pid, reason });
                }
                // It was stopping at the time of the check.
                Err(_) => progress(&format!("{} (pid {}) has just ended", self.kind, process.pid)),
            }
        }
        for port in self.ports.of(self.kind) {
            if !is_free(port) {
                return Err(EngineError::PortTaken { kind: self.kind, port });
            }
        }
        let since = Instant::now();
        progress(&format!("starting {}", self.kind));
        let process = self.launch(programs).await?;
        if let Err(reason) = self.wait_ready(process).await {
            kill_and_wait(self.kind, process.tree()).await?;
            let log = self.log();
            return Err(EngineError::Start { kind: self.kind, reason, tail: launch::tail(&log), log });
        }
        self.note_answer()?;
        progress(&format!(
            "{} answers on port {} after {:.1} s",
            self.kind,
            self.ports.of(self.kind)[0],
            since.elapsed().as_secs_f32()
        ));
        Ok(())
    }

    async fn launch(&self, programs: &Programs) -> Result<ProcessIdentity, EngineError> {
        state_dir::create_dir(&self.dir())?;
        let launch = match self.kind {
            EngineKind::RabbitMq => rabbitmq::prepare(self, programs).await?,
            EngineKind::MongoDb => mongod::prepare(self, programs)?,
            EngineKind::PostgreSql => postgres::prepare(self, programs).await?,
        };
        let process = launch.spawn(&self.log())?;
        record::save(&self.record(), &Running { process, ports: self.ports, answered: false })?;
        Ok(process)
    }

    /// Records the first answer: from now on it is stopped in an orderly way.
    fn note_answer(&self) -> Result<(), EngineError> {
        match recorded(&self.state_dir, self.kind)? {
            Some(running) if !running.answered => record::save(&self.record(), &Running { answered: true, ..running }),
            _ => Ok(()),
        }
    }

    async fn wait_ready(&self, process: ProcessIdentity) -> Result<(), String> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let Err(reason) = self.probe().await else { return Ok(()) };
            if !process.is_alive() {
                return Err("it ended".into());
            }
            if Instant::now() >= deadline {
                return Err(format!("not ready after {} s: {reason}", START_TIMEOUT.as_secs()));
            }
            tokio::time::sleep(PROBE_INTERVAL).await;
        }
    }
}

fn record_path(state_dir: &Path, kind: EngineKind) -> PathBuf {
    state_dir.join(format!("{}.json", kind.slug()))
}

/// The record of the last launch of the engine.
pub(crate) fn recorded(state_dir: &Path, kind: EngineKind) -> Result<Option<Running>, EngineError> {
    record::load(&record_path(state_dir, kind))
}

/// The engine's main process, if it runs.
pub(crate) fn alive(state_dir: &Path, kind: EngineKind) -> Result<Option<ProcessIdentity>, EngineError> {
    Ok(recorded(state_dir, kind)?.map(|running| running.process).filter(|process| process.is_alive()))
}

/// Stops the engine in an orderly way, by force when that takes too long, if it runs.
pub(crate) async fn stop(state_dir: &Path, kind: EngineKind) -> Result<(), EngineError> {
    if let Some(process) = alive(state_dir, kind)? {
        let processes = process.tree();
        let signal = match kind {
            EngineKind::RabbitMq | EngineKind::MongoDb => Signal::TERM,
            // "Fast" shutdown: SIGTERM would wait for every client to disconnect.
            EngineKind::PostgreSql => Signal::INT,
        };
        // A paused process would never handle the signal.
        for frozen in &processes {
            frozen.signal(Signal::CONT);
        }
        process.signal(signal);
        let answered = recorded(state_dir, kind)?.is_none_or(|running| running.answered);
        if first_alive_after(&processes, if answered { STOP_TIMEOUT } else { YOUNG_STOP_TIMEOUT }).await.is_some() {
            kill_and_wait(kind, processes).await?;
        }
    }
    if kind == EngineKind::RabbitMq {
        rabbitmq::stop_mapper(state_dir).await?;
    }
    record::remove(&record_path(state_dir, kind))
}

/// Kills the running ones of these engines, the port mapper included.
pub(crate) async fn force_stop(state_dir: &Path, kinds: &[EngineKind]) -> Result<(), EngineError> {
    // All are signalled before the first is waited for, to be fast.
    let mut ending = Vec::new();
    for kind in kinds {
        let processes = alive(state_dir, *kind)?.map(ProcessIdentity::tree).unwrap_or_default();
        kill(&processes);
        ending.push((*kind, processes));
    }
    for (kind, processes) in ending {
        kill_and_wait(kind, processes).await?;
        record::remove(&record_path(state_dir, kind))?;
        if kind == EngineKind::RabbitMq {
            rabbitmq::stop_mapper(state_dir).await?;
        }
    }
    Ok(())
}

/// Kills every process of the engine and returns when all have ended. Its record stays for the restart.
pub(crate) async fn kill9(state_dir: &Path, kind: EngineKind) -> Result<(), EngineError> {
    let process = alive(state_dir, kind)?.ok_or(EngineError::NotRunning(kind))?;
    kill_and_wait(kind, process.tree()).await
}

async fn kill_and_wait(kind: EngineKind, processes: Vec<ProcessIdentity>) -> Result<(), EngineError> {
    kill(&processes);
    match first_alive_after(&processes, KILL_TIMEOUT).await {
        Some(process) => Err(EngineError::Undead { kind, pid: process.pid }),
        None => Ok(()),
    }
}

fn kill(processes: &[ProcessIdentity]) {
    for process in processes {
        process.signal(Signal::KILL);
    }
}

/// Kills every process of an instance without awaiting, for destructors and for instances of crashed tests.
pub(crate) fn kill_everything(state_dir: &Path) {
    let mut processes = Vec::new();
    for kind in EngineKind::ALL {
        if let Ok(Some(process)) = alive(state_dir, kind) {
            processes.extend(process.tree());
        }
    }
    processes.extend(rabbitmq::mapper(state_dir).ok().flatten());
    kill(&processes);
    block_until_gone(&processes, KILL_TIMEOUT);
}

/// Pauses the engine: it keeps its connections and answers nothing.
pub(crate) fn pause(state_dir: &Path, kind: EngineKind) -> Result<(), EngineError> {
    let process = alive(state_dir, kind)?.ok_or(EngineError::NotRunning(kind))?;
    // The main process first, so that it starts no others.
    process.signal(Signal::STOP);
    for descendant in process.tree() {
        descendant.signal(Signal::STOP);
    }
    Ok(())
}

/// Resumes a paused engine.
pub(crate) fn resume(state_dir: &Path, kind: EngineKind) -> Result<(), EngineError> {
    let process = alive(state_dir, kind)?.ok_or(EngineError::NotRunning(kind))?;
    for member in process.tree().into_iter().rev() {
        member.signal(Signal::CONT);
    }
    Ok(())
}
