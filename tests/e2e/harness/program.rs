//! One of our programs, run as shipped: started, watched, killed and restarted.

use super::SHORT_TIMEOUT;
use anyhow::{Context, Result, bail};
use pvt_testkit::eventually;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

/// A drain may take 25 s.
const STOP_LIMIT: Duration = Duration::from_secs(40);
/// Lines of a log that are shown when a test fails.
const SHOWN_LINES: usize = 40;

type Environment = Vec<(String, String)>;

/// The program under test with these arguments: the one built with the tests, or another build that `PVT_PROGRAM`
/// names. Of the caller's environment it inherits only `PATH` and `HOME`.
fn command(arguments: &[String], environment: &Environment, folder: &Path) -> Command {
    let program = std::env::var_os("PVT_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_pvt").into());
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(environment.iter().map(|(name, value)| (name, value))).current_dir(folder);
    for inherited in ["PATH", "HOME"] {
        command.envs(std::env::var_os(inherited).map(|value| (inherited, value)));
    }
    command
}

/// Runs a `pvt` command to completion.
pub(crate) async fn pvt(arguments: &[&str], environment: &Environment, folder: &Path) -> Result<Output> {
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let mut command = command(&arguments, environment, folder);
    command.stdin(Stdio::null());
    let output = tokio::time::timeout(super::LONG_TIMEOUT, tokio::task::spawn_blocking(move || command.output())).await;
    output
        .with_context(|| format!("pvt {arguments:?} does not finish"))?
        .map_err(anyhow::Error::from)?
        .context("pvt cannot be started")
}

/// A long-running program.
pub(crate) struct Program {
    name: String,
    arguments: Vec<String>,
    environment: Environment,
    folder: PathBuf,
    ready_url: String,
    child: Option<Child>,
}

impl Program {
    /// Describes a program; [`Program::start`] starts it.
    pub(crate) fn new(
        name: &str,
        arguments: &[&str],
        environment: Environment,
        folder: &Path,
        ready_url: String,
    ) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self { name: name.to_owned(), arguments, environment, folder: folder.to_owned(), ready_url, child: None }
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }

    /// Whether it was ever started.
    pub(crate) fn was_started(&self) -> bool {
        self.log_path().exists()
    }

    /// Its complete log.
    pub(crate) fn log(&self) -> String {
        let bytes = std::fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The end of its log, under its name.
    pub(crate) fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let shown = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
        format!("--- {} {:?}\n{shown}\n", self.name, self.arguments)
    }

    /// Starts it with additional settings for this start only.
    pub(crate) fn start(&mut self, extra: &[(&str, &str)]) -> Result<()> {
        if self.child.is_some() {
            bail!("{} is already running", self.name);
        }
        let log = OpenOptions::new().create(true).append(true).open(self.log_path())?;
        let mut environment = self.environment.clone();
        environment.retain(|(name, _)| extra.iter().all(|(other, _)| other != name));
        environment.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut command = command(&self.arguments, &environment, &self.folder);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.child = Some(command.spawn().with_context(|| self.name.clone())?);
        Ok(())
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(&mut self, http: &reqwest::Client) -> Result<()> {
        let url = self.ready_url.clone();
        let (name, log) = (self.name.clone(), self.log_path());
        let child = self.child.as_mut().with_context(|| format!("{name} was not started"))?;
        let what = format!("{name} is ready");
        let ready = eventually(&what, SHORT_TIMEOUT, || {
            let exited = child.try_wait();
            let response = http.get(&url).send();
            let name = name.clone();
            async move {
                if let Some(status) = exited? {
                    bail!("{name} exited: {status}");
                }
                Ok(response.await?.status().is_success().then_some(()))
            }
        });
        ready.await.with_context(|| std::fs::read_to_string(log).unwrap_or_default())
    }

    /// The URL that answers once it is ready.
    pub(crate) fn ready_url(&self) -> &str {
        &self.ready_url
    }

    /// Whether it is running.
    pub(crate) fn is_running(&mut self) -> Result<bool> {
        Ok(match &mut self.child {
            Some(child) => child.try_wait()?.is_none(),
            None => false,
        })
    }

    /// Its resident memory in MiB.
    pub(crate) fn resident_mib(&self) -> Result<f64> {
        self.memory_mib("VmRSS:")
    }

    /// The most that its resident memory was, in MiB.
    pub(crate) fn peak_mib(&self) -> Result<f64> {
        self.memory_mib("VmHWM:")
    }

    fn memory_mib(&self, figure: &str) -> Result<f64> {
        let child = self.child.as_ref().with_context(|| format!("{} is not running", self.name))?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(figure)).with_context(|| figure.to_owned())?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024.0)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().with_context(|| format!("{} is not running", self.name))?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a pid")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill9(&mut self) -> Result<()> {
        let mut child = self.child.take().with_context(|| format!("{} is not running", self.name))?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Waits until it exits by itself.
    pub(crate) async fn wait_for_exit(&mut self, limit: Duration) -> Result<ExitStatus> {
        let child = self.child.as_mut().with_context(|| format!("{} is not running", self.name))?;
        let status =
            eventually("it exits", limit, || std::future::ready(child.try_wait().map_err(anyhow::Error::from))).await;
        let status = status.with_context(|| self.tail())?;
        self.child = None;
        Ok(status)
    }

    /// Sends SIGTERM and waits for a successful exit.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let status = self.wait_for_exit(STOP_LIMIT).await?;
        if status.success() { Ok(()) } else { bail!("{} exited with {status}\n{}", self.name, self.tail()) }
    }

    /// Waits until it has aborted at its fault point.
    pub(crate) async fn wait_for_abort(&mut self) -> Result<()> {
        let status = self.wait_for_exit(super::LONG_TIMEOUT).await?;
        if status.signal() == Some(Signal::ABORT.as_raw()) {
            Ok(())
        } else {
            bail!("{} exited with {status}\n{}", self.name, self.tail())
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have exited just now.
            drop(child.kill());
            drop(child.wait());
        }
    }
}
