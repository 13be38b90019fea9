//! Instance: a named set of engines with its own folder, ports and data. Many processes may use the same one
//! concurrently; its engines are started once and shared.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::backend::Backend;
use crate::compose::Compose;
use crate::error::EngineError;
use crate::install::Programs;
use crate::kind::EngineKind;
use crate::lock::Lock;
use crate::native::{self, NativeEngine};
use crate::ports::{PortPlan, Ports, is_free, recorded_elsewhere};
use crate::progress::Progress;
use crate::record;
use crate::state_dir;
use crate::urls::Urls;

/// The record of the ports of an instance, which other instances read to avoid them.
const SETTINGS_FILE: &str = "instance.json";

const NAME_LIMIT: usize = 48;

/// Backend and ports that an instance keeps from its first start.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Settings {
    #[serde(rename = "way")]
    backend: Backend,
    ports: Ports,
}

/// A named set of engines on this machine.
#[derive(Clone, Debug)]
pub struct Instance {
    name: String,
    root: PathBuf,
    state_dir: PathBuf,
    plan: PortPlan,
    backend: Option<Backend>,
}

/// The status of one engine.
#[derive(Clone, Debug)]
pub struct EngineStatus {
    /// The engine.
    pub kind: EngineKind,
    /// Whether it runs.
    pub running: bool,
    /// Its main process, when it is a local program.
    pub pid: Option<i32>,
    /// The reason why it does not answer although it runs.
    pub trouble: Option<String>,
}

impl Instance {
    /// Names an instance; nothing is created or started yet.
    ///
    /// # Errors
    /// The name is not usable, no folder can be determined, or `PVT_ENGINES` is invalid.
    pub fn open(name: &str, plan: PortPlan) -> Result<Self, EngineError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > NAME_LIMIT || !name.bytes().all(allowed) {
            return Err(EngineError::Name(name.to_owned()));
        }
        let root = state_dir::root()?;
        let state_dir = root.join(name);
        Ok(Self { name: name.to_owned(), root, state_dir, plan, backend: Backend::from_env()? })
    }

    /// Sets the backend, overriding the environment and the detection.
    #[must_use]
    pub fn with_backend(mut self, backend: Backend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// The instance's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder of its data, logs and records.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// The log of an engine that runs as a local program.
    #[must_use]
    pub fn log(&self, kind: EngineKind) -> PathBuf {
        self.state_dir.join(format!("{}.log", kind.slug()))
    }

    /// Ensures that these engines run and answer, installing and starting the missing ones, and returns the URLs. Those
    /// of other engines are the ones they would have.
    ///
    /// # Errors
    /// An engine cannot be installed, started or reached; the error has the reason and the end of its log. Engines that
    /// did start keep running until [`Instance::stop`].
    pub async fn ensure(&self, kinds: &[EngineKind], progress: Progress<'_>) -> Result<Urls, EngineError> {
        if let Some(urls) = self.all_ready(kinds).await? {
            return Ok(urls);
        }
        state_dir::create_dir(&self.state_dir)?;
        let waiting = || progress("waiting for another process that is starting these engines");
        let _lock = Lock::acquire(&self.state_dir.join("lock"), waiting).await?;
        match self.choose_backend().await? {
            Backend::Native => self.ensure_native(kinds, progress).await,
            Backend::Containers => self.ensure_containers(kinds, progress).await,
        }
    }

    /// Stops these engines in an orderly way, by force when one takes longer than 30 s. Engines that do not run and
    /// instances that were never started are no error.
    ///
    /// # Errors
    /// A process survives SIGKILL, or the records cannot be read.
    pub async fn stop(&self, kinds: &[EngineKind]) -> Result<(), EngineError> {
        let Some(settings) = self.settings()? else { return Ok(()) };
        let _lock = Lock::acquire(&self.state_dir.join("lock"), || {}).await?;
        if settings.backend == Backend::Containers {
            return self.compose(settings.ports)?.stop(kinds).await;
        }
        let stop = |kind| async move {
            if kinds.contains(&kind) { native::stop(&self.state_dir, kind).await } else { Ok(()) }
        };
        let (rabbitmq, mongodb, postgres) =
            tokio::join!(stop(EngineKind::RabbitMq), stop(EngineKind::MongoDb), stop(EngineKind::PostgreSql));
        rabbitmq.and(mongodb).and(postgres)
    }

    /// Kills these engines, even while another process starts or stops them. Their data survives as it survives a
    /// crash.
    ///
    /// # Errors
    /// As [`Instance::stop`].
    pub async fn force_stop(&self, kinds: &[EngineKind]) -> Result<(), EngineError> {
        let Some(compose) = self.containers()? else { return native::force_stop(&self.state_dir, kinds).await };
        for kind in compose.running().await?.into_iter().filter(|kind| kinds.contains(kind)) {
            compose.service_command("kill", kind).await?;
        }
        Ok(())
    }

    /// The status of every engine; nothing is changed.
    ///
    /// # Errors
    /// The records cannot be read, or Docker does not answer.
    pub async fn status(&self) -> Result<Vec<EngineStatus>, EngineError> {
        let settings = self.settings()?;
        let containers = match settings {
            Some(Settings { backend: Backend::Containers, ports }) => Some(self.compose(ports)?.running().await?),
            _ => None,
        };
        let mut all = Vec::with_capacity(EngineKind::ALL.len());
        for kind in EngineKind::ALL {
            let process = native::alive(&self.state_dir, kind)?;
            let running = containers.as_ref().map_or(process.is_some(), |running| running.contains(&kind));
            let trouble = match settings {
                Some(Settings { ports, .. }) if running => self.native_engine(kind, ports).probe().await.err(),
                _ => None,
            };
            all.push(EngineStatus { kind, running, pid: process.map(|process| process.pid), trouble });
        }
        Ok(all)
    }

    /// The URLs of its engines, present or last ones; `None` when it was never started.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn urls(&self) -> Result<Option<Urls>, EngineError> {
        Ok(self.settings()?.map(|settings| settings.urls()))
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The compose project, when this instance runs in containers.
    pub(crate) fn containers(&self) -> Result<Option<Compose>, EngineError> {
        match self.settings()? {
            Some(Settings { backend: Backend::Containers, ports }) => self.compose(ports).map(Some),
            _ => Ok(None),
        }
    }

    fn compose(&self, ports: Ports) -> Result<Compose, EngineError> {
        Compose::new(&self.name, &self.state_dir, ports)
    }

    fn settings(&self) -> Result<Option<Settings>, EngineError> {
        record::load(&self.state_dir.join(SETTINGS_FILE))
    }

    fn native_engine(&self, kind: EngineKind, ports: Ports) -> NativeEngine {
        NativeEngine { kind, instance: self.name.clone(), state_dir: self.state_dir.clone(), ports }
    }

    /// The requested backend, else the one that created its data, else the detected one.
    async fn choose_backend(&self) -> Result<Backend, EngineError> {
        let known = self.backend.or(self.settings()?.map(|settings| settings.backend));
        Ok(match known {
            Some(backend) => backend,
            None => Backend::detect().await,
        })
    }

    /// The common case, without the lock: all of them run and answer.
    async fn all_ready(&self, kinds: &[EngineKind]) -> Result<Option<Urls>, EngineError> {
        let Some(settings) = self.settings()? else { return Ok(None) };
        if settings.backend != Backend::Native || self.backend == Some(Backend::Containers) {
            return Ok(None);
        }
        for kind in kinds {
            if native::alive(&self.state_dir, *kind)?.is_none() {
                return Ok(None);
            }
        }
        let ready = |kind| async move {
            !kinds.contains(&kind) || self.native_engine(kind, settings.ports).probe().await.is_ok()
        };
        let (rabbitmq, mongodb, postgres) =
            tokio::join!(ready(EngineKind::RabbitMq), ready(EngineKind::MongoDb), ready(EngineKind::PostgreSql));
        Ok((rabbitmq && mongodb && postgres).then(|| settings.urls()))
    }

    async fn ensure_native(&self, kinds: &[EngineKind], progress: Progress<'_>) -> Result<Urls, EngineError> {
        // Checked before anything is installed or started in vain.
        if kinds.contains(&EngineKind::PostgreSql) && state_dir::is_root() {
            state_dir::check_enterable_by_others(&self.state_dir)?;
        }
        let programs = Programs::ensure(kinds, &self.root, progress).await?;
        let ports = self.assign_ports(Backend::Native).await?;
        let start = |kind| {
            let programs = &programs;
            async move {
                if kinds.contains(&kind) {
                    self.native_engine(kind, ports).start(programs, progress).await
                } else {
                    Ok(())
                }
            }
        };
        let (rabbitmq, mongodb, postgres) =
            tokio::join!(start(EngineKind::RabbitMq), start(EngineKind::MongoDb), start(EngineKind::PostgreSql));
        rabbitmq.and(mongodb).and(postgres)?;
        Ok(Urls::native(&ports))
    }

    async fn ensure_containers(&self, kinds: &[EngineKind], progress: Progress<'_>) -> Result<Urls, EngineError> {
        let ports = self.assign_ports(Backend::Containers).await?;
        progress("starting the engines as containers (the first time, their images are pulled)");
        self.compose(ports)?.up(kinds).await?;
        Ok(Urls::containers(&ports))
    }

    /// Assigns the ports: those of running engines, else the recorded ones while they are free, else new ones. They are
    /// recorded before anything listens, under one lock for all instances, so that no two choose the same.
    async fn assign_ports(&self, backend: Backend) -> Result<Ports, EngineError> {
        let _lock = Lock::acquire(&self.root.join("ports.lock"), || {}).await?;
        let recorded = self.settings()?.filter(|settings| settings.backend == backend).map(|settings| settings.ports);
        let mut ports = match self.plan {
            PortPlan::Fixed(ports) => ports,
            PortPlan::Free => self.free_ports(recorded, backend)?,
        };
        for kind in EngineKind::ALL {
            let Some(running) = native::recorded(&self.state_dir, kind)? else { continue };
            if running.process.is_alive() {
                ports = ports.with(kind, &running.ports);
            }
        }
        record::save(&self.state_dir.join(SETTINGS_FILE), &Settings { backend, ports })?;
        Ok(ports)
    }

    fn free_ports(&self, recorded: Option<Ports>, backend: Backend) -> Result<Ports, EngineError> {
        let choose = || Ports::choose_free(&recorded_elsewhere(&self.root, &self.state_dir, SETTINGS_FILE));
        let Some(mut ports) = recorded else { return choose() };
        // Running containers occupy their ports themselves.
        if backend == Backend::Containers {
            return Ok(ports);
        }
        for kind in EngineKind::ALL {
            let usable = native::alive(&self.state_dir, kind)?.is_some() || ports.of(kind).into_iter().all(is_free);
            if !usable {
                ports = ports.with(kind, &choose()?);
            }
        }
        Ok(ports)
    }
}

impl Settings {
    fn urls(&self) -> Urls {
        match self.backend {
            Backend::Native => Urls::native(&self.ports),
            Backend::Containers => Urls::containers(&self.ports),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_settings_keep_their_field_names() {
        let settings = Settings { backend: Backend::Native, ports: Ports::DOCUMENTED };
        let record = serde_json::to_value(settings).unwrap();
        assert_eq!(record["way"], "native");
        assert_eq!(record["ports"]["amqp"], Ports::DOCUMENTED.amqp);
    }
}
