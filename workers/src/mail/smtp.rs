//! Handing letters to a mail server: a few long-lived connections that are shared by all batches.
//!
//! It tells exactly what is known of each letter afterwards, because a letter that may have been accepted must be
//! treated otherwise than one that certainly was not. It never decides what to do about that.

mod connection;
mod pool;
mod tls;
mod url;

pub use pool::{SmtpClient, SmtpLimits};
pub use url::{Security, SmtpUrl};

/// What is known of a letter after trying to hand it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The server took responsibility for it.
    Accepted,
    /// The server refused this letter for good, with this reply.
    Refused(String),
    /// The server refused this letter for now, with this reply.
    Deferred(String),
    /// It was not accepted: the server could not be reached, or takes no mail from us at all.
    Unsent(String),
    /// The connection ended between the letter and the server's reply: it may or may not have been accepted.
    Unknown(String),
}

impl DeliveryOutcome {
    /// Stable name, for metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused(_) => "refused",
            Self::Deferred(_) => "later",
            Self::Unsent(_) => "unsent",
            Self::Unknown(_) => "unknown",
        }
    }
}
