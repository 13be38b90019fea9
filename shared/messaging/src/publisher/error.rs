//! Publish errors.

use pvt_domain::failure::Failure;
use std::sync::Arc;

/// A publish without a confirm. Except for `Invalid`, the outcome is unknown: the broker may have the message.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PublishError {
    /// A name or header does not fit AMQP; repeating cannot help.
    #[error("invalid message: {0}")]
    Invalid(String),
    /// There has been no connection for longer than a publish waits.
    #[error("broker unreachable: {0}")]
    Unreachable(Arc<str>),
    /// RabbitMQ docs, "Memory and Disk Alarms": publishing connections are blocked.
    #[error("broker is blocked by a resource alarm")]
    Blocked,
    /// No confirm in time.
    #[error("no publisher confirm in time")]
    Timeout,
    /// A negative confirm: a queue is full (`reject-publish`).
    #[error("broker refused the message")]
    Nacked,
    /// The connection was lost before the confirm.
    #[error("connection lost before the confirm")]
    Lost,
    /// The publisher was closed.
    #[error("publisher is closed")]
    Closed,
}

impl PublishError {
    /// Stable name in metrics, logs and problems.
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

/// A broker that takes no messages is an unavailable dependency; a message that it can never take is rejected.
impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Invalid(_) => Self::reject(error.class(), error),
            _ => Self::unavailable(error.class(), error),
        }
    }
}
