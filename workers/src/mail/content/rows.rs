//! The parts that a mail is laid out from, as finished text.

use chrono::{DateTime, Utc};

/// A label and its value.
pub(in crate::mail) struct Row {
    pub label: String,
    pub value: String,
}

/// A button.
pub(in crate::mail) struct Link {
    pub label: &'static str,
    pub url: String,
}

/// One stay.
pub(in crate::mail) struct StayRow {
    pub title: String,
    pub detail: String,
    pub amount: String,
}

/// A calendar entry: from check-in to check-out.
pub(in crate::mail) struct Span {
    pub uid: String,
    /// Whether the booking no longer has it.
    pub is_dropped: bool,
    pub begins: DateTime<Utc>,
    pub ends: DateTime<Utc>,
}
