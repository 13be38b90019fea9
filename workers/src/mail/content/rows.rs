//! The parts that a mail is laid out from, as finished text.

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
