//! What can go wrong with a local engine, said so that the reader knows what to do next.

use std::io;
use std::path::{Path, PathBuf};

use crate::kind::EngineKind;

/// Why an engine could not be found, installed, started, reached or stopped.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A file or folder of the instance could not be used.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// What was tried, as a verb: "create", "read".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// There is no usable place for the engines' files.
    #[error("no home for the local engines: {0}")]
    StateDir(String),
    /// An instance was given a name that cannot be a folder and a node name.
    #[error("instance name `{0}`: use 1 to 48 of a-z, 0-9 and -")]
    Name(String),
    /// Programs are missing and this user or system cannot install them from here.
    #[error("{what} not found, and it cannot be installed from here. Run:\n{commands}")]
    NotInstalled {
        /// The missing programs.
        what: String,
        /// The commands that install them, one a line.
        commands: String,
    },
    /// An installation was tried and failed.
    #[error("installing {what} failed: {detail}")]
    Install {
        /// The package.
        what: String,
        /// The last lines of the installer's output.
        detail: String,
    },
    /// Another program listens on a port that the engine needs.
    #[error(
        "{kind} needs port {port} on 127.0.0.1, which another program uses; stop that program or choose another port"
    )]
    PortTaken {
        /// The engine that needs it.
        kind: EngineKind,
        /// The TCP port.
        port: u16,
    },
    /// No free ports were found for a new instance.
    #[error("no free TCP ports between {from} and {to} on 127.0.0.1")]
    NoFreePort {
        /// First port tried.
        from: u16,
        /// Last port tried.
        to: u16,
    },
    /// The engine was started but ended, or never answered.
    #[error("{kind} did not start: {reason}\nlast lines of {log}:\n{tail}")]
    Start {
        /// The engine.
        kind: EngineKind,
        /// What was seen last.
        reason: String,
        /// Its log file.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// The engine runs, but does not answer as it should.
    #[error("{kind} runs (pid {pid}) but does not answer: {reason}")]
    Unhealthy {
        /// The engine.
        kind: EngineKind,
        /// Its main process.
        pid: i32,
        /// What was seen last.
        reason: String,
    },
    /// A fault was to be injected into an engine that is not running.
    #[error("{0} is not running in this instance")]
    NotRunning(EngineKind),
    /// Processes outlived SIGKILL for longer than the bound.
    #[error("{kind}: process {pid} did not end")]
    Undead {
        /// The engine.
        kind: EngineKind,
        /// The process.
        pid: i32,
    },
    /// Another process holds the instance's lock for too long.
    #[error("another process has held {path} for {waited_s} s; is it still starting or installing engines?")]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// How long we waited, in seconds.
        waited_s: u64,
    },
    /// A program that we ran to its end failed.
    #[error("`{command}` failed: {detail}")]
    Command {
        /// The command line.
        command: String,
        /// Its last lines of output, or why it could not be run.
        detail: String,
    },
    /// A record that we wrote ourselves cannot be read.
    #[error("{path} is not what was written there: {source}; delete it after making sure that the engine is stopped")]
    Record {
        /// The record.
        path: PathBuf,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// The caller asked for a way to run engines that does not exist.
    #[error("PVT_ENGINES={0}: use `native` or `containers`")]
    Backend(String),
}

impl EngineError {
    pub(crate) fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File { action, path: path.to_owned(), source }
    }
}
