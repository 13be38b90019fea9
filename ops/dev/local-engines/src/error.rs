//! Errors of local engines, with texts that name the next step.

use std::io;
use std::path::{Path, PathBuf};

use crate::kind::EngineKind;

/// A failure to find, install, start, reach or stop an engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A file or folder of the instance could not be used.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// The attempted action, as a verb: "create", "read".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// There is no usable folder for the files of the engines.
    #[error("no folder for the local engines: {0}")]
    StateDir(String),
    /// The name of an instance cannot be a folder and a node name.
    #[error("instance name `{0}`: use 1 to 48 of a-z, 0-9 and -")]
    Name(String),
    /// Programs are missing and cannot be installed by this user on this system.
    #[error("{what} not found, and it cannot be installed from here. Run:\n{commands}")]
    NotInstalled {
        /// The missing programs.
        what: String,
        /// The commands that install them, one a line.
        commands: String,
    },
    /// An installation failed.
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
        /// The last observation.
        reason: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of its log.
        tail: String,
    },
    /// The engine runs but does not answer correctly.
    #[error("{kind} runs (pid {pid}) but does not answer: {reason}")]
    Unhealthy {
        /// The engine.
        kind: EngineKind,
        /// Its main process.
        pid: i32,
        /// The last observation.
        reason: String,
    },
    /// A fault cannot be injected into an engine that does not run.
    #[error("{0} is not running in this instance")]
    NotRunning(EngineKind),
    /// A process survived SIGKILL for longer than the limit.
    #[error("{kind}: process {pid} did not end")]
    Undead {
        /// The engine.
        kind: EngineKind,
        /// The process.
        pid: i32,
    },
    /// Another process holds the lock of the instance for too long.
    #[error("another process has held {path} for {waited_s} s; is it still starting or installing engines?")]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Time waited, in seconds.
        waited_s: u64,
    },
    /// A command failed.
    #[error("`{command}` failed: {detail}")]
    Command {
        /// The command line.
        command: String,
        /// The last lines of its output, or the reason why it could not be run.
        detail: String,
    },
    /// A record of an instance cannot be read.
    #[error("{path} is not what was written there: {source}; delete it after making sure that the engine is stopped")]
    Record {
        /// The record.
        path: PathBuf,
        /// The parse error.
        source: serde_json::Error,
    },
    /// `PVT_ENGINES` names an unknown backend.
    #[error("PVT_ENGINES={0}: use `native` or `containers`")]
    Backend(String),
}

impl EngineError {
    pub(crate) fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File { action, path: path.to_owned(), source }
    }
}
