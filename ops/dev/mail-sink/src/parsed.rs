//! Parsed form of a kept mail for people and tests. A mail is parsed when it is read, never while its sender waits.

use super::kept_mail::KeptMail;
use chrono::{DateTime, SecondsFormat, Utc};
use mail_parser::{Message, MessageParser, MessagePart, MimeHeaders, PartType};
use serde::Serialize;
use std::collections::BTreeMap;

/// A mail as `GET /dev/mail.json` shows it.
#[derive(Debug, Serialize)]
pub(super) struct ParsedMail {
    /// Its number.
    pub n: u64,
    /// When it was accepted, RFC 3339.
    pub received_at: String,
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// The decoded subject.
    pub subject: String,
    /// With its angle brackets, as sent; empty when absent.
    pub message_id: String,
    /// The `Date` header in RFC 3339 with the sender's offset; empty when absent.
    pub date: String,
    /// Every header as sent, unfolded; one that occurs several times is joined by line breaks.
    pub headers: BTreeMap<String, String>,
    /// The plain form; empty when absent.
    pub text: String,
    /// The HTML form; empty when absent.
    pub html: String,
    /// The other parts.
    pub attachments: Vec<Attachment>,
}

/// A file in a mail.
#[derive(Debug, Serialize)]
pub(super) struct Attachment {
    /// Its name; empty when it has none.
    pub filename: String,
    /// `type/subtype` and parameters, as sent.
    pub content_type: String,
    /// Its content if it is text, line breaks as sent; empty otherwise.
    pub text: String,
    /// Its content.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

impl ParsedMail {
    pub(super) fn of(mail: &KeptMail) -> Self {
        let message = MessageParser::default().parse(&mail.raw).unwrap_or_default();
        let headers = headers(&message);
        Self {
            n: mail.n,
            received_at: mail.received_at.to_rfc3339_opts(SecondsFormat::Millis, true),
            from: mail.from.clone(),
            to: mail.to.clone(),
            subject: message.subject().unwrap_or_default().to_owned(),
            message_id: header(&headers, "message-id"),
            date: message.date().map_or_else(String::new, mail_parser::DateTime::to_rfc3339),
            text: body(
                &message,
                &message.text_body,
                |part| if let PartType::Text(text) = part { Some(text) } else { None },
            ),
            html: body(
                &message,
                &message.html_body,
                |part| if let PartType::Html(html) = part { Some(html) } else { None },
            ),
            attachments: message.attachments().map(attachment).collect(),
            headers,
        }
    }

    /// `headers`, by a name in any case.
    pub(super) fn header(&self, name: &str) -> String {
        header(&self.headers, name)
    }
}

/// A time as pages show it.
pub(super) fn clock_time(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn header(headers: &BTreeMap<String, String>, name: &str) -> String {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone()).unwrap_or_default()
}

fn headers(message: &Message<'_>) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in message.headers_raw() {
        let value = value.replace(['\r', '\n'], "");
        all.entry(name.to_owned())
            .and_modify(|seen| *seen = format!("{seen}\n{}", value.trim()))
            .or_insert_with(|| value.trim().to_owned());
    }
    all
}

/// The first of these parts that was sent in the form that `take` accepts. (The parser also lists parts that it would
/// have to convert to that form.)
fn body<'m>(message: &'m Message<'m>, parts: &[u32], take: impl Fn(&'m PartType<'m>) -> Option<&'m str>) -> String {
    let part = parts.iter().filter_map(|id| message.part(*id)).find_map(|part| take(&part.body));
    part.map_or_else(String::new, |text| text.replace("\r\n", "\n"))
}

fn attachment(part: &MessagePart<'_>) -> Attachment {
    let content_type = part.content_type().map_or_else(String::new, |kind| {
        let mut text = format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or("octet-stream"));
        for attribute in kind.attributes().into_iter().flatten() {
            text.push_str(&format!("; {}={}", attribute.name, attribute.value));
        }
        text
    });
    Attachment {
        filename: part.attachment_name().unwrap_or_default().to_owned(),
        content_type,
        text: part.text_contents().unwrap_or_default().to_owned(),
        bytes: part.contents().to_vec(),
    }
}
