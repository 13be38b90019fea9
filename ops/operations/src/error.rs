//! Failures that callers distinguish; all others are plain errors.

use std::fmt;

/// A failure that scripts react to.
#[derive(Debug)]
pub enum OperationError {
    /// Something that was named does not exist.
    NotFound(String),
    /// A comparison found differences.
    Different(String),
    /// The present state does not allow it.
    Conflict(String),
    /// A dependency is down, or has not followed yet; the same operation may succeed later.
    TryLater(String),
}

impl fmt::Display for OperationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(text) | Self::Different(text) | Self::Conflict(text) | Self::TryLater(text) => {
                f.write_str(text)
            }
        }
    }
}

impl std::error::Error for OperationError {}
