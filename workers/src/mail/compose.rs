//! A finished message: typed headers, plain text and HTML, and the calendar file.

use super::calendar::{self, METHOD};
use super::content::{Content, HtmlBody, MAX_NAME_CHARS, TextBody, one_line};
use super::{Language, Links, MailError};
use askama::Template;
use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Attachment, Body, Mailbox, Message, MultiPart, SinglePart};
use pvt_domain::booking::Booking;
use pvt_domain::inventory::Inventory;
use pvt_domain::messages::NotificationKind;
use pvt_domain::timestamp::Timestamp;
use std::fmt::Write as _;

/// Longest line of a message without an encoding (RFC 5321 §4.5.3.1.6, without its CRLF).
const MAX_LINE_BYTES: usize = 998;

type HeaderError = Box<dyn std::error::Error + Send + Sync>;

/// Who the mails are from (`MAIL_FROM`).
#[derive(Debug, Clone)]
pub struct Sender(Mailbox);

impl Sender {
    /// Reads `Name <address>` or a bare address.
    ///
    /// # Errors
    /// [`MailError::Sender`] when it is neither.
    pub fn parse(text: &str) -> Result<Self, MailError> {
        text.parse().map(Self).map_err(|_| MailError::Sender(text.to_owned()))
    }

    /// The mailbox.
    pub(super) fn mailbox(&self) -> &Mailbox {
        &self.0
    }

    /// The domain of the address, under which `Message-ID`s are made.
    pub fn domain(&self) -> &str {
        self.0.email.domain()
    }
}

/// In whose name mails are written, and with which links.
#[derive(Debug, Clone, Copy)]
pub struct MailContext<'a> {
    /// Who they are from.
    pub sender: &'a Sender,
    /// Where their links lead.
    pub links: &'a Links,
}

/// A message ready to be handed to a server.
#[derive(Debug, Clone)]
pub struct OutgoingMail {
    /// From whom to whom.
    pub envelope: Envelope,
    /// Headers and body, ASCII only, lines ended by CRLF.
    pub message: String,
}

/// Writes the mail of this kind that tells of revision `rev`, about the booking as it is stored now.
///
/// # Errors
/// [`MailError::Recipient`] when the guest's address is none; the other variants mean a fault in templates or data.
pub fn compose(
    kind: NotificationKind,
    rev: u32,
    booking: &Booking,
    inventory: &Inventory,
    context: MailContext<'_>,
    message_id: &str,
    now: Timestamp,
) -> Result<OutgoingMail, MailError> {
    let address: Address = booking.guest.email.trim().parse().map_err(|_| MailError::Recipient)?;
    let content = Content::of(kind, rev, booking, inventory, context.links)?;
    let stamp = booking.history.last().map_or(now, |entry| entry.at);
    let calendar = calendar::file(kind, booking, &content, &context.sender.0, stamp.as_datetime());
    let message = Message::builder()
        .date(now.as_datetime().into())
        .from(context.sender.0.clone())
        .to(Mailbox::new(full_name(booking), address.clone()))
        .subject(content.subject())
        .message_id(Some(message_id.to_owned()))
        .header(AutoSubmitted)
        .header(ContentLanguage(content.language))
        .multipart(parts(&content, calendar)?)?;
    let envelope = Envelope::new(Some(context.sender.0.email.clone()), vec![address])?;
    let message = String::from_utf8(message.formatted()).map_err(|_| MailError::NotText)?;
    Ok(OutgoingMail { envelope, message })
}

fn full_name(booking: &Booking) -> Option<String> {
    let name = one_line(&format!("{} {}", booking.guest.first_name, booking.guest.last_name), MAX_NAME_CHARS);
    (!name.is_empty()).then_some(name)
}

fn parts(content: &Content, calendar: String) -> Result<MultiPart, MailError> {
    let bodies = MultiPart::alternative()
        .singlepart(SinglePart::plain(TextBody { mail: content }.render()?))
        .singlepart(html_part(&HtmlBody { mail: content }.render()?));
    let file_name = format!("{}.ics", content.reference.to_ascii_lowercase());
    let calendar_type = ContentType::parse(&format!("text/calendar; charset=utf-8; method={METHOD}"))
        .unwrap_or(ContentType::TEXT_PLAIN);
    Ok(MultiPart::mixed().multipart(bodies).singlepart(Attachment::new(file_name).body(calendar, calendar_type)))
}

/// HTML that travels as it is: what is not ASCII is written as a character reference, so that no encoding has to blow
/// up every `=` of it.
fn html_part(html: &str) -> SinglePart {
    let mut ascii = String::with_capacity(html.len() + html.len() / 8);
    for (number, line) in html.lines().enumerate() {
        if number > 0 {
            ascii.push_str("\r\n");
        }
        push_ascii(&mut ascii, line);
    }
    if ascii.split("\r\n").any(|line| line.len() > MAX_LINE_BYTES) {
        return SinglePart::html(html.to_owned());
    }
    SinglePart::html(Body::dangerous_pre_encoded(ascii.into_bytes(), ContentTransferEncoding::SevenBit))
}

fn push_ascii(ascii: &mut String, mut rest: &str) {
    while let Some((at, character)) = rest.char_indices().find(|(_, character)| !character.is_ascii()) {
        ascii.push_str(&rest[..at]);
        // Writing into a string cannot fail.
        let _ = write!(ascii, "&#{};", u32::from(character));
        rest = &rest[at + character.len_utf8()..];
    }
    ascii.push_str(rest);
}

/// Tells vacation responders and ticket systems not to answer (RFC 3834 §5).
#[derive(Clone)]
pub(super) struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, HeaderError> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// The language of the whole message (RFC 3282).
#[derive(Clone)]
pub(super) struct ContentLanguage(pub(super) Language);

impl Header for ContentLanguage {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Content-Language")
    }

    fn parse(text: &str) -> Result<Self, HeaderError> {
        Ok(Self(Language::choose(Some(text), &[])))
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.tag().to_owned())
    }
}

#[cfg(test)]
mod tests;
