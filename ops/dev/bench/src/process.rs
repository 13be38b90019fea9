//! A child process: it is started, awaited until it is ready, and stopped.

use super::usage;
use super::wire;
use anyhow::{Context, Result, bail};
use pvt_local_engines::process::ProcessIdentity;
use rustix::process::Signal;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

const READY_LIMIT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(25);
/// A drain takes up to 25 s.
const STOP_LIMIT: Duration = Duration::from_secs(28);

/// Specification of a process.
pub(super) struct ProcessSpec<'a> {
    pub(super) name: &'a str,
    pub(super) arguments: Vec<String>,
    /// All of its settings; only the search path is inherited.
    pub(super) environment: Vec<(&'static str, String)>,
    /// Its HTTP address.
    pub(super) address: SocketAddr,
    /// The path that answers 200 once it is ready.
    pub(super) ready_path: &'static str,
    /// The folder of its log, and its working directory, so that it finds no `.env`.
    pub(super) folder: &'a Path,
}

/// A running process. Dropping it kills it.
pub(super) struct Process {
    name: String,
    child: Child,
    pub(super) identity: ProcessIdentity,
    pub(super) address: SocketAddr,
    log: PathBuf,
}

impl Process {
    /// Starts it and waits until it is ready.
    pub(super) async fn start(spec: ProcessSpec<'_>) -> Result<Self> {
        let ProcessSpec { name, arguments, environment, address, ready_path, folder } = spec;
        let log = folder.join(format!("{name}.log"));
        let out = File::create(&log).with_context(|| log.display().to_string())?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).env_clear().envs(environment).envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.current_dir(folder).stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        // A process group of its own: Ctrl-C at the terminal reaches the benchmark alone, which ends the others.
        command.process_group(0).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let identity = child
            .id()
            .and_then(|pid| ProcessIdentity::of(i32::try_from(pid).ok()?))
            .with_context(|| format!("{name} ended at once"))?;
        let mut process = Self { name: name.to_owned(), child, identity, address, log };
        process.wait_until_ready(ready_path).await?;
        Ok(process)
    }

    async fn wait_until_ready(&mut self, path: &str) -> Result<()> {
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}):\n{}", self.name, self.last_lines());
            }
            if wire::get(self.address, path).await.is_ok_and(|(status, _)| status == 200) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{} is not ready after {READY_LIMIT:?}:\n{}", self.name, self.last_lines());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its peak resident memory.
    pub(super) fn peak_rss_mib(&self) -> Option<f64> {
        usage::peak_rss_mib(self.identity)
    }

    /// Lets it drain and waits for its end.
    pub(super) async fn stop(mut self) -> Result<()> {
        self.identity.signal(Signal::TERM);
        let Ok(ended) = tokio::time::timeout(STOP_LIMIT, self.child.wait()).await else {
            self.child.kill().await?;
            bail!("{} did not drain within {STOP_LIMIT:?}:\n{}", self.name, self.last_lines());
        };
        if ended?.success() { Ok(()) } else { bail!("{} failed:\n{}", self.name, self.last_lines()) }
    }

    /// The end of its log, indented.
    fn last_lines(&self) -> String {
        const LINES: usize = 12;
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(LINES).collect();
        lines.into_iter().rev().map(|line| format!("    {line}\n")).collect()
    }
}

/// An address on which nothing listens right now.
pub(super) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
