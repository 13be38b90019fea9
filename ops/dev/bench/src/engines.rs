//! Engines of a run: those that the environment names, and an instance of the benchmark's own for the others.

use anyhow::{Context, Result, bail};
use pvt_local_engines::process::ProcessIdentity;
use pvt_local_engines::{EngineKind, Instance, PortPlan, Urls};
use pvt_operations::terminal;
use std::fs::{File, TryLockError};

/// Name of the instance. Its folder is reused by the next run.
const INSTANCE: &str = "bench";

/// Running engines.
pub(super) struct Engines {
    instance: Instance,
    ours: Vec<EngineKind>,
    urls: Urls,
    /// The main process of each engine of the instance.
    processes: Vec<(EngineKind, ProcessIdentity)>,
    /// Held during the run: another run would stop the engines at its end.
    _lock: Option<File>,
}

impl Engines {
    /// Finds or starts the engines.
    pub(super) async fn ensure() -> Result<Self> {
        let instance = Instance::open(INSTANCE, PortPlan::Free)?;
        let named = Urls::from_env();
        let ours = named.missing();
        let lock = if ours.is_empty() { None } else { Some(lock(&instance)?) };
        let progress = |line: &str| terminal::note(format_args!("  {line}"));
        let urls =
            instance.ensure(&ours, &progress).await.context("the engines cannot be started")?.overridden_by(named);
        let status = instance.status().await?;
        let running = status.iter().filter(|engine| ours.contains(&engine.kind));
        let processes = running.filter_map(|engine| Some((engine.kind, ProcessIdentity::of(engine.pid?)?))).collect();
        Ok(Self { instance, ours, urls, processes, _lock: lock })
    }

    /// Their URLs.
    pub(super) fn urls(&self) -> &Urls {
        &self.urls
    }

    /// The main processes of the engines of the instance, with their names.
    pub(super) fn processes(&self) -> impl Iterator<Item = (&'static str, ProcessIdentity)> {
        self.processes.iter().map(|(kind, process)| (kind.slug(), *process))
    }

    /// Stops the engines of the instance.
    pub(super) async fn stop(&self) -> Result<()> {
        self.instance.stop(&self.ours).await.context("an engine does not stop")
    }
}

/// Locks the instance. The operating system releases the lock when the process ends.
fn lock(instance: &Instance) -> Result<File> {
    std::fs::create_dir_all(instance.state_dir())?;
    let path = instance.state_dir().join("bench.lock");
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("another `pvt bench` runs on this machine"),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| path.display().to_string()),
    }
}
