//! A mail about a booking: plain text and HTML as alternatives, and the calendar file.

mod notice;

use super::content::{Content, HtmlBody, TextBody};
use super::message::{Headers, recipient};
use super::text::full_name;
use super::{Links, MailError, OutgoingMail, Sender};
use askama::Template;
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Attachment, Body, MultiPart, SinglePart};
use pvt_calendar_files::{CalendarFile, Organizer};
use pvt_domain::booking::{Booking, FormerAddress};
use pvt_domain::inventory::Inventory;
use pvt_domain::messages::NotificationKind;
use pvt_domain::timestamp::Timestamp;
use std::fmt::Write as _;

/// Longest line of a message without an encoding (RFC 5321 §4.5.3.1.6, without its CRLF).
const MAX_LINE_BYTES: usize = 998;

/// What all mails have in common.
#[derive(Debug, Clone, Copy)]
pub struct MailContext<'a> {
    /// Their sender.
    pub sender: &'a Sender,
    /// The links in them.
    pub links: &'a Links,
}

/// What a mail is composed from, beside the booking.
#[derive(Debug, Clone, Copy)]
pub struct BookingMailParts<'a> {
    /// Which mail.
    pub kind: NotificationKind,
    /// The revision that it reports.
    pub rev: u32,
    /// The revision to compare the booking with, if the mail says what changed.
    pub compared_with: Option<u32>,
    /// The address that the booking no longer has, if the mail goes to it.
    pub former: Option<&'a FormerAddress>,
    /// `Message-ID`, with its angle brackets.
    pub message_id: &'a str,
}

/// Writes a mail about the booking as it is stored now.
///
/// # Errors
/// [`MailError::Recipient`] when the address is invalid; the other variants mean a defect in templates or data.
pub fn compose(
    parts: BookingMailParts<'_>,
    booking: &Booking,
    inventory: &Inventory,
    context: MailContext<'_>,
    now: Timestamp,
) -> Result<OutgoingMail, MailError> {
    if let Some(former) = parts.former {
        return notice::compose(parts, former, booking, &inventory.property, context, now);
    }
    let guest = &booking.guest;
    let recipient = recipient(full_name(&guest.full_name()), &guest.email)?;
    let content = Content::of(parts, booking, inventory, context.links, now);
    let organizer = Organizer::of_mailbox(context.sender.address().as_ref());
    let calendar = CalendarFile::of(booking, &inventory.property, &organizer, now);
    let headers = Headers {
        sender: context.sender,
        recipient,
        subject: content.subject(),
        message_id: parts.message_id,
        language: content.language,
        date: now,
    };
    headers.with_body(body(&content, calendar)?)
}

fn body(content: &Content, calendar: CalendarFile) -> Result<MultiPart, MailError> {
    let alternatives = MultiPart::alternative()
        .singlepart(SinglePart::plain(TextBody { mail: content }.render()?))
        .singlepart(html_part(&HtmlBody { mail: content }.render()?));
    let calendar_type = ContentType::parse(calendar.content_type()).unwrap_or(ContentType::TEXT_PLAIN);
    let file = Attachment::new(calendar.name().to_owned()).body(calendar.into_text(), calendar_type);
    Ok(MultiPart::mixed().multipart(alternatives).singlepart(file))
}

/// HTML sent as 7-bit text: characters beyond ASCII become character references, because an encoding would expand every
/// `=` of the markup.
fn html_part(html: &str) -> SinglePart {
    let mut ascii = String::with_capacity(html.len() + html.len() / 8);
    for (number, line) in html.lines().enumerate() {
        if number > 0 {
            ascii.push_str("\r\n");
        }
        let begin = ascii.len();
        push_ascii(&mut ascii, line);
        if ascii.len() - begin > MAX_LINE_BYTES {
            return SinglePart::html(html.to_owned());
        }
    }
    SinglePart::html(Body::dangerous_pre_encoded(ascii.into_bytes(), ContentTransferEncoding::SevenBit))
}

fn push_ascii(ascii: &mut String, mut rest: &str) {
    // Bytes are searched several times faster than characters, and most lines are ASCII.
    while let Some(at) = rest.bytes().position(|byte| !byte.is_ascii()) {
        let (plain, others) = rest.split_at(at);
        let mut characters = others.chars();
        let code = characters.next().map_or(0, u32::from);
        ascii.push_str(plain);
        // Writing into a string cannot fail.
        let _ = write!(ascii, "&#{code};");
        rest = characters.as_str();
    }
    ascii.push_str(rest);
}

#[cfg(test)]
mod tests;
