//! How a command ends: the exit codes that scripts rely on.

use std::fmt;

/// Failures that have an exit code of their own; any other error is 1.
#[derive(Debug)]
pub(crate) enum CliError {
    /// 3: what was named does not exist.
    NotFound(String),
    /// 5: what was compared is not alike.
    Different(String),
    /// 75 (`EX_TEMPFAIL` of sysexits.h): something is down; the same command may work later.
    TryLater(String),
}

impl CliError {
    fn code(&self) -> u8 {
        match self {
            Self::NotFound(_) => 3,
            Self::Different(_) => 5,
            Self::TryLater(_) => 75,
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(text) | Self::Different(text) | Self::TryLater(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for CliError {}

/// The exit code of an error.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    error.downcast_ref::<CliError>().map_or(1, CliError::code)
}
