//! Failures of message handling, and what each asks of the worker runtime.
//!
//! The variant is the whole protocol between a handler and the runtime: returning one decides what happens to the
//! message. Crates convert their own errors into [`Failure`] beside the definition of those errors.

use std::fmt;
use std::time::Duration;

/// Cause of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Stable `snake_case` name: a metric label and the key by which dead letters are grouped.
    pub class: &'static str,
    /// The operation of a dependency that failed while its other operations may work.
    pub operation: Option<&'static str>,
    /// The operation was not called for this message, because of what happened to others.
    pub not_called: bool,
    /// Description for the operator. Never carries a secret or personal data.
    pub message: String,
}

impl Cause {
    /// A cause of `class`, described by `message`.
    pub fn new(class: &'static str, message: impl fmt::Display) -> Self {
        Self { class, operation: None, not_called: false, message: message.to_string() }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.message)
    }
}

/// Disposition of a message that was not handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Try again after the next retry delay; after the last one it is dead-lettered.
    Retry(Cause),
    /// As `Retry`, but not before this delay has passed.
    RetryAfter(Cause, Duration),
    /// Not due or not possible yet: try again later. Costs no attempt.
    Defer(Duration),
    /// Can never succeed: dead-letter it now.
    Reject(Cause),
    /// A dependency is unavailable. Costs no attempt. If the cause names an operation, this message waits apart and
    /// others go on; otherwise the worker pauses until the dependency recovers.
    Unavailable(Cause),
}

impl Failure {
    /// `Retry` with this class and message.
    pub fn retry(class: &'static str, message: impl fmt::Display) -> Self {
        Self::Retry(Cause::new(class, message))
    }

    /// `Reject` with this class and message.
    pub fn reject(class: &'static str, message: impl fmt::Display) -> Self {
        Self::Reject(Cause::new(class, message))
    }

    /// `Unavailable` with this class and message.
    pub fn unavailable(class: &'static str, message: impl fmt::Display) -> Self {
        Self::Unavailable(Cause::new(class, message))
    }

    /// `Unavailable` of this operation only.
    pub fn unavailable_operation(class: &'static str, operation: &'static str, message: impl fmt::Display) -> Self {
        Self::Unavailable(Cause { operation: Some(operation), ..Cause::new(class, message) })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(cause) => write!(f, "retry ({cause})"),
            Self::RetryAfter(cause, delay) => write!(f, "retry in {delay:?} ({cause})"),
            Self::Defer(delay) => write!(f, "deferred by {delay:?}"),
            Self::Reject(cause) => write!(f, "rejected ({cause})"),
            Self::Unavailable(cause) => write!(f, "unavailable ({cause})"),
        }
    }
}
