//! A mail as it was accepted.

use chrono::{DateTime, Utc};

/// A mail that the sink keeps.
#[derive(Debug, PartialEq, Eq)]
pub struct KeptMail {
    /// Its number: 1 for the first that was ever accepted, without gaps.
    pub n: u64,
    /// When it was accepted.
    pub received_at: DateTime<Utc>,
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// The message as sent.
    pub raw: Vec<u8>,
}
