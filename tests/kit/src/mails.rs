//! Mails as the mail sink's JSON shows them.

use serde::Deserialize;
use std::collections::BTreeMap;

/// A mail that the sink accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mail {
    /// The sink's number, in order of arrival.
    pub n: u64,
    /// Without angle brackets.
    pub message_id: String,
    /// The first recipient.
    pub to: String,
    /// The subject, decoded.
    pub subject: String,
    /// The plain part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// The calendar file, unfolded; empty when there is none.
    pub calendar: String,
    /// The calendar file as it was attached.
    pub calendar_file: String,
    /// `Content-Type` of the calendar file.
    pub calendar_type: String,
    /// Headers by name.
    pub headers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Shown {
    n: u64,
    to: Vec<String>,
    subject: String,
    message_id: String,
    headers: BTreeMap<String, String>,
    text: String,
    html: String,
    attachments: Vec<Attachment>,
}

#[derive(Deserialize)]
struct Attachment {
    content_type: String,
    text: String,
}

impl<'de> Deserialize<'de> for Mail {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let shown = Shown::deserialize(deserializer)?;
        let calendar = shown.attachments.into_iter().find(|file| file.content_type.starts_with("text/calendar"));
        let (calendar_type, calendar_file) = calendar.map(|file| (file.content_type, file.text)).unwrap_or_default();
        Ok(Self {
            n: shown.n,
            message_id: shown.message_id.trim_matches(['<', '>']).to_owned(),
            to: shown.to.into_iter().next().unwrap_or_default(),
            subject: shown.subject,
            text: shown.text,
            html: shown.html,
            calendar: calendar_file.replace("\r\n ", ""),
            calendar_file,
            calendar_type,
            headers: shown.headers,
        })
    }
}
