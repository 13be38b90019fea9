//! SMTP client: a few long-lived connections, shared by all batches.
//!
//! It reports exactly what is known of each mail afterwards, because one that may have been accepted must be treated
//! differently from one that certainly was not. It never decides what follows. Why it is not the library's pool:
//! decision 49.

mod connection;
mod pool;
mod tls;
mod url;

pub use pool::{SmtpClient, SmtpLimits};
pub use url::{Security, SmtpUrl};

/// What is known of a mail after the attempt to deliver it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The server accepted responsibility for it.
    Accepted,
    /// The server refused this mail permanently, with this reply.
    Refused(String),
    /// The server refused this mail temporarily, with this reply.
    Deferred(String),
    /// It was not accepted: the server is unreachable, or accepts no mail from us at all.
    Unsent(String),
    /// The connection ended between the mail and the server's reply: it may or may not have been accepted.
    Unknown(String),
}

impl DeliveryOutcome {
    /// The stable names of all outcomes.
    pub const NAMES: [&str; 5] = ["accepted", "refused", "later", "unsent", "unknown"];

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
