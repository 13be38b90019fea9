//! How handling a message can fail, and what the failure asks for.
//!
//! The variant is the whole protocol between a handler and the worker runtime: whoever returns one has decided what
//! happens to the message. Crates convert their own errors into [`Failure`] beside the definition of those errors.

use std::fmt;
use std::time::Duration;

/// Why something failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Stable `snake_case` name: a metric label and the key by which dead letters are grouped.
    pub class: &'static str,
    /// What happened, for the operator. Never carries a secret or a guest's data.
    pub message: String,
}

impl Cause {
    /// A cause of `class`, described by `message`.
    pub fn new(class: &'static str, message: impl fmt::Display) -> Self {
        Self { class, message: message.to_string() }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.message)
    }
}

/// What is to become of a message whose handling did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Try again on the next rung of the ladder; after the last rung it becomes a dead letter.
    Retry(Cause),
    /// As `Retry`, but not before this much time has passed.
    RetryAfter(Cause, Duration),
    /// Not due or not possible yet: come back later. Costs no attempt.
    Defer(Duration),
    /// Can never succeed: dead letter now.
    Reject(Cause),
    /// A dependency is wholly down: pause consuming until it answers again. Costs no attempt.
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
