//! The engines of a run: those that the environment names, and an instance of the benchmark's own for the others.

use crate::output;
use anyhow::{Context, Result};
use pvt_engines::process::ProcessIdentity;
use pvt_engines::{EngineKind, Instance, PortPlan, Urls};

/// Name of the instance. Its data folder stays for the next run, emptied.
const INSTANCE: &str = "bench";

/// Engines that answer.
pub(super) struct Engines {
    instance: Instance,
    ours: Vec<EngineKind>,
    urls: Urls,
    /// The main process of each engine of ours.
    processes: Vec<(EngineKind, ProcessIdentity)>,
}

impl Engines {
    /// Finds or starts them.
    pub(super) async fn ensure() -> Result<Self> {
        let instance = Instance::open(INSTANCE, PortPlan::Free)?;
        let named = Urls::from_env();
        let ours = named.missing();
        let progress = |line: &str| output::note(format_args!("  {line}"));
        let urls = instance.ensure(&ours, &progress).await.context("the engines cannot be started")?.overridden_by(named);
        let status = instance.status().await?;
        let running = status.iter().filter(|engine| ours.contains(&engine.kind));
        let processes = running.filter_map(|engine| Some((engine.kind, ProcessIdentity::of(engine.pid?)?))).collect();
        Ok(Self { instance, ours, urls, processes })
    }

    /// Where they answer.
    pub(super) fn urls(&self) -> &Urls {
        &self.urls
    }

    /// The main processes of those that are ours, with their names.
    pub(super) fn processes(&self) -> impl Iterator<Item = (&'static str, ProcessIdentity)> {
        self.processes.iter().map(|(kind, process)| (kind.slug(), *process))
    }

    /// Stops what was started here.
    pub(super) async fn stop(&self) -> Result<()> {
        self.instance.stop(&self.ours).await.context("an engine does not stop")
    }
}
