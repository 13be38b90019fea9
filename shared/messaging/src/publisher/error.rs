//! Why a publish was not confirmed.

use pvt_domain::failure::Failure;
use std::sync::Arc;

/// A publish without a confirm. Unless it is `Invalid`, the broker may have the message all the same.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PublishError {
    /// A name or header does not fit AMQP; repeating is pointless.
    #[error("not a valid message: {0}")]
    Invalid(String),
    /// The broker has been away for longer than is worth waiting.
    #[error("the broker is away: {0}")]
    Unreachable(Arc<str>),
    /// The broker refuses publishes because it runs out of memory or disk.
    #[error("the broker is blocked by a resource alarm")]
    Blocked,
    /// No confirm in time.
    #[error("no confirm within the time allowed")]
    Timeout,
    /// The broker said no: a queue is full.
    #[error("the broker refused the message")]
    Nacked,
    /// The connection broke while the confirm was awaited.
    #[error("the connection broke before the confirm")]
    Lost,
    /// The publisher was closed.
    #[error("the publisher is closed")]
    Closed,
}

impl PublishError {
    /// Stable name for metrics, logs and problems.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "publish_invalid",
            Self::Unreachable(_) => "broker_down",
            Self::Blocked => "broker_blocked",
            Self::Timeout => "confirm_timeout",
            Self::Nacked => "broker_refused",
            Self::Lost => "broker_lost",
            Self::Closed => "publisher_closed",
        }
    }
}

/// A broker that does not take messages is a dependency that is down; a message it can never take is rejected.
impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Invalid(_) => Self::reject(error.class(), error),
            _ => Self::unavailable(error.class(), error),
        }
    }
}
