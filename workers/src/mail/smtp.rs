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

use pvt_domain::wire_enum;

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

wire_enum! {
    /// Name of a [`DeliveryOutcome`] in metrics and logs.
    pub enum OutcomeName {
        /// [`DeliveryOutcome::Accepted`].
        Accepted = "accepted",
        /// [`DeliveryOutcome::Refused`].
        Refused = "refused",
        /// [`DeliveryOutcome::Deferred`].
        Deferred = "later",
        /// [`DeliveryOutcome::Unsent`].
        Unsent = "unsent",
        /// [`DeliveryOutcome::Unknown`].
        Unknown = "unknown",
    }
}

impl DeliveryOutcome {
    /// Stable name, for metrics.
    pub fn as_str(&self) -> &'static str {
        let name = match self {
            Self::Accepted => OutcomeName::Accepted,
            Self::Refused(_) => OutcomeName::Refused,
            Self::Deferred(_) => OutcomeName::Deferred,
            Self::Unsent(_) => OutcomeName::Unsent,
            Self::Unknown(_) => OutcomeName::Unknown,
        };
        name.as_str()
    }

    /// Why it was not accepted.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Accepted => None,
            Self::Refused(why) | Self::Deferred(why) | Self::Unsent(why) | Self::Unknown(why) => Some(why),
        }
    }
}
