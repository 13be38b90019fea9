//! Processes of a run, started and stopped as its scenarios need them, with their resource usage.

use super::bare;
use super::engines::Engines;
use super::namespace::Namespace;
use super::process::{Process, ProcessSpec, free_address};
use super::usage;
use super::worker_probe::{self, WorkerCounters};
use anyhow::{Context, Result};
use pvt_local_engines::process::ProcessIdentity;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::Mutex;

/// Name of the API process.
pub(super) const API: &str = "api";
/// Name of the mail sink process.
pub(super) const SINK: &str = "mail-sink";
/// Name of the process of the bare handler that intake is compared with.
pub(super) const BARE: &str = "bare-intake";
/// Name of this process, which is the load generator.
const SELF: &str = "load-generator";

/// Resource usage and counters at one moment.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// CPU time by process.
    pub(super) cpu: BTreeMap<String, Duration>,
    /// Counters by worker.
    pub(super) workers: BTreeMap<&'static str, WorkerCounters>,
}

/// The running processes.
pub(super) struct ProcessGroup<'a> {
    namespace: &'a Namespace,
    engines: Vec<(&'static str, ProcessIdentity)>,
    folder: PathBuf,
    smtp: SocketAddr,
    running: Mutex<Vec<Process>>,
    peaks_mib: Mutex<BTreeMap<String, f64>>,
}

impl<'a> ProcessGroup<'a> {
    /// A group without processes.
    pub(super) fn new(namespace: &'a Namespace, engines: &Engines) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("pvt-{}", namespace.name()));
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let engines = engines.processes().collect();
        Ok(Self {
            namespace,
            engines,
            folder,
            smtp: free_address()?,
            running: Mutex::default(),
            peaks_mib: Mutex::default(),
        })
    }

    /// Starts the API unless it runs; returns its address.
    pub(super) async fn api(&self) -> Result<SocketAddr> {
        self.ensure(API, vec![API.to_owned()], "PVT_HTTP_ADDR", "/readyz").await
    }

    /// Starts a worker in a process of its own unless it runs; returns the address of its metrics.
    pub(super) async fn worker(&self, name: &str) -> Result<SocketAddr> {
        let arguments = ["workers", "run", name].map(str::to_owned).to_vec();
        self.ensure(name, arguments, "PVT_METRICS_ADDR", "/readyz").await
    }

    /// Starts the bare handler unless it runs; returns its address.
    pub(super) async fn bare_intake(&self, body_bytes: usize) -> Result<SocketAddr> {
        let arguments = vec!["bench".to_owned(), "--serve-bare-intake".to_owned(), body_bytes.to_string()];
        self.ensure(BARE, arguments, "PVT_HTTP_ADDR", bare::intake::READY_PATH).await
    }

    /// Starts the mail sink unless it runs; returns its HTTP address.
    pub(super) async fn sink(&self) -> Result<SocketAddr> {
        if let Some(address) = self.address_of(SINK).await {
            return Ok(address);
        }
        let address = free_address()?;
        let arguments =
            ["dev", "mail-sink", "--discard", "--smtp", &self.smtp.to_string(), "--http", &address.to_string()]
                .map(str::to_owned);
        self.start(SINK, arguments.to_vec(), Vec::new(), address, "/dev/mail/count").await
    }

    async fn ensure(
        &self,
        name: &str,
        arguments: Vec<String>,
        address_variable: &'static str,
        ready_path: &'static str,
    ) -> Result<SocketAddr> {
        if let Some(address) = self.address_of(name).await {
            return Ok(address);
        }
        let address = free_address()?;
        let mut environment = self.namespace.environment().to_vec();
        environment.push(("SMTP_URL", format!("smtp://{}", self.smtp)));
        // The API has two listeners; nothing reads its pages for operators here.
        environment.push(("PVT_METRICS_ADDR", "127.0.0.1:0".to_owned()));
        environment.retain(|(variable, _)| *variable != address_variable);
        environment.push((address_variable, address.to_string()));
        self.start(name, arguments, environment, address, ready_path).await
    }

    async fn start(
        &self,
        name: &str,
        arguments: Vec<String>,
        environment: Vec<(&'static str, String)>,
        address: SocketAddr,
        ready_path: &'static str,
    ) -> Result<SocketAddr> {
        let spec = ProcessSpec { name, arguments, environment, address, ready_path, folder: &self.folder };
        let process = Process::start(spec).await?;
        self.running.lock().await.push(process);
        Ok(address)
    }

    async fn address_of(&self, name: &str) -> Option<SocketAddr> {
        self.running.lock().await.iter().find(|process| process.name() == name).map(|process| process.address)
    }

    /// Stops one process, if it runs.
    pub(super) async fn stop(&self, name: &str) -> Result<()> {
        self.note_peaks().await;
        let process = {
            let mut running = self.running.lock().await;
            let place = running.iter().position(|process| process.name() == name);
            place.map(|place| running.remove(place))
        };
        match process {
            Some(process) => process.stop().await,
            None => Ok(()),
        }
    }

    /// Stops all processes in the order of their start: intake before workers, workers before the services they use.
    pub(super) async fn stop_all(&self) -> Result<()> {
        self.note_peaks().await;
        let all: Vec<Process> = self.running.lock().await.drain(..).collect();
        let mut outcome = Ok(());
        for process in all {
            outcome = outcome.and(process.stop().await);
        }
        outcome
    }

    async fn note_peaks(&self) {
        let mut peaks = self.peaks_mib.lock().await;
        for process in self.running.lock().await.iter() {
            let Some(peak) = process.peak_rss_mib() else { continue };
            let known = peaks.entry(process.name().to_owned()).or_insert(peak);
            *known = known.max(peak);
        }
    }

    /// Peak resident memory of each process.
    pub(super) async fn peaks_mib(&self) -> BTreeMap<String, f64> {
        self.note_peaks().await;
        self.peaks_mib.lock().await.clone()
    }

    /// Usage and counters of each process and engine now.
    pub(super) async fn snapshot(&self) -> Result<Snapshot> {
        let mut snapshot = Snapshot::default();
        let running = self.running.lock().await;
        for process in running.iter() {
            snapshot.cpu.insert(process.name().to_owned(), usage::cpu(process.identity));
            if let Some(worker) = pvt_workers::worker_names().find(|worker| *worker == process.name()) {
                snapshot.workers.insert(worker, worker_probe::read_counters(process.address, worker).await?);
            }
        }
        snapshot.cpu.extend(self.engines.iter().map(|(name, engine)| ((*name).to_owned(), usage::cpu(*engine))));
        // The children are counted above.
        let this = ProcessIdentity::current().map(usage::cpu_alone);
        snapshot.cpu.extend(this.map(|used| (SELF.to_owned(), used)));
        Ok(snapshot)
    }
}

impl Drop for ProcessGroup<'_> {
    fn drop(&mut self) {
        // The relevant log lines were shown with the errors.
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::debug!(folder = %self.folder.display(), %error, "folder not removed");
        }
    }
}
