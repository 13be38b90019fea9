//! Launch of programs that outlive this process: a process group of their own (so that Ctrl-C does not reach them), no
//! terminal, output in a bounded log file.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::error::EngineError;
use crate::process::ProcessIdentity;

/// A larger log is rotated (one generation) at the next start.
const LOG_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes and lines of a log that an error shows.
const TAIL_BYTES: u64 = 8 * 1024;
const TAIL_LINES: usize = 20;

/// Engines use a descriptor for each connection, queue and table; the usual soft limit of 1024 is too low. The shell
/// replaces itself, so the pid stays.
const RAISE_FILE_LIMIT: &str =
    r#"ulimit -S -n 65536 2>/dev/null || ulimit -S -n "$(ulimit -H -n)" 2>/dev/null; exec "$@""#;

/// A user that a program runs as.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// A program with its arguments and environment; of the present environment it inherits only `PATH`.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(&'static str, OsString)>,
    pub(crate) dir: PathBuf,
    pub(crate) account: Option<Account>,
}

impl Launch {
    pub(crate) fn new(program: PathBuf, dir: PathBuf) -> Self {
        Self { program, args: Vec::new(), env: Vec::new(), dir, account: None }
    }

    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    pub(crate) fn account(mut self, account: Option<Account>) -> Self {
        self.account = account;
        self
    }

    fn line(&self) -> String {
        self.program.display().to_string()
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(&self.dir).stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()));
        command.env("LC_ALL", "C.UTF-8");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(account) = self.account {
            command.uid(account.uid).gid(account.gid);
        }
        command
    }

    /// Starts it in the background, appending its output to `log`.
    pub(crate) fn spawn(&self, log: &Path) -> Result<ProcessIdentity, EngineError> {
        let output = open_log(log)?;
        let errors = output.try_clone().map_err(|source| EngineError::file("share", log, source))?;
        let mut command = self.command(Path::new("/bin/sh"));
        command.arg("-c").arg(RAISE_FILE_LIMIT).arg("sh").arg(&self.program).args(&self.args);
        command.stdout(output).stderr(errors).process_group(0);
        let fail = |detail: String| EngineError::Command { command: self.line(), detail };
        let child = command.spawn().map_err(|error| fail(error.to_string()))?;
        // Read before the handle is dropped: until then even an ended child keeps its pid.
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        pid.and_then(ProcessIdentity::of).ok_or_else(|| fail("it ended at once".into()))
    }

    /// Runs it to its end within `limit`; fails unless it succeeds.
    pub(crate) async fn run(&self, limit: Duration) -> Result<(), EngineError> {
        let mut command = self.command(&self.program);
        command.args(&self.args);
        let output = output_within(command, &self.line(), limit).await?;
        check(&self.line(), output.status, &[output.stdout, output.stderr].concat())
    }
}

/// Runs a command to its end and collects its output; it is killed at the time limit.
pub(crate) async fn output_within(mut command: Command, line: &str, limit: Duration) -> Result<Output, EngineError> {
    let fail = |detail: String| EngineError::Command { command: line.to_owned(), detail };
    command.kill_on_drop(true).stdin(Stdio::null());
    match timeout(limit, command.output()).await {
        Ok(result) => result.map_err(|error| fail(error.to_string())),
        Err(_) => Err(fail(format!("not done after {} s", limit.as_secs()))),
    }
}

/// An error with the end of the output, unless the program succeeded.
pub(crate) fn check(line: &str, status: ExitStatus, output: &[u8]) -> Result<(), EngineError> {
    if status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(output);
    Err(EngineError::Command { command: line.to_owned(), detail: format!("{status}\n{}", last_lines(&text)) })
}

fn open_log(path: &Path) -> Result<File, EngineError> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() > LOG_LIMIT_BYTES) {
        let aside = path.with_extension("log.1");
        fs::rename(path, &aside).map_err(|source| EngineError::file("set aside", path, source))?;
    }
    OpenOptions::new().create(true).append(true).open(path).map_err(|source| EngineError::file("open", path, source))
}

/// The last lines of a log, for an error.
pub(crate) fn tail(log: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(last_lines(&String::from_utf8_lossy(&bytes)))
    };
    read().unwrap_or_else(|error| format!("(no log: {error})"))
}

/// At most [`TAIL_LINES`] lines from the end.
pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
