//! Log files of the processes, in one folder of the state directory.

use anyhow::{Context, Result};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

/// Larger logs are rotated at the start.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The folder of all logs.
pub(crate) fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("logs")
}

/// The log of a process.
pub(crate) fn path(state_dir: &Path, name: &str) -> PathBuf {
    folder(state_dir).join(format!("{name}.log"))
}

/// Opens a log for appending, having rotated a large one.
pub(crate) fn open(path: &Path) -> Result<File> {
    if std::fs::metadata(path).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
        std::fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().create(true).append(true).open(path).with_context(|| path.display().to_string())
}

/// The last lines that a log holds after its first `begin` bytes, indented, to show why a process ended.
pub(crate) fn last_lines(path: &Path, begin: u64) -> String {
    const LINES: usize = 12;
    let log = std::fs::read(path).unwrap_or_default();
    // A shorter log was rotated at the start.
    let begin = usize::try_from(begin).ok().filter(|begin| *begin <= log.len()).unwrap_or_default();
    let log = String::from_utf8_lossy(log.get(begin..).unwrap_or_default());
    let lines: Vec<&str> = log.lines().rev().take(LINES).collect();
    lines.into_iter().rev().map(|line| format!("    {line}\n")).collect()
}
