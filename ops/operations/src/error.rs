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
    /// One of these, and a command that helps those who have a terminal.
    Hinted(Box<Self>, String),
}

impl OperationError {
    /// The same with a command that helps those who have a terminal.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self::Hinted(Box::new(self), hint.into())
    }

    /// The same for those who have none.
    pub fn without_hint(&self) -> &Self {
        match self {
            Self::Hinted(failed, _) => failed.without_hint(),
            other => other,
        }
    }
}

impl fmt::Display for OperationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(text) | Self::Different(text) | Self::Conflict(text) | Self::TryLater(text) => {
                f.write_str(text)
            }
            Self::Hinted(failed, hint) => write!(f, "{failed}; {hint}"),
        }
    }
}

impl std::error::Error for OperationError {}
