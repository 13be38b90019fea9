//! A mail about a booking: plain text and HTML as alternatives, and the calendar file.

mod notice;

use super::content::{Content, HtmlBody, TextBody};
use super::message::{Headers, recipient};
use super::parts::{calendar_part, html_part, text_part};
use super::text::full_name;
use super::{Links, MailError, OutgoingMail, Sender};
use lettre::message::MultiPart;
use pvt_calendar_files::{CalendarFile, Organizer};
use pvt_domain::booking::{Booking, FormerAddress};
use pvt_domain::inventory::Inventory;
use pvt_domain::messages::NotificationKind;
use pvt_domain::timestamp::Timestamp;

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
        booking: Some(booking.id),
        language: content.language,
        date: now,
    };
    headers.with_body(body(&content, calendar)?)
}

fn body(content: &Content, calendar: CalendarFile) -> Result<MultiPart, MailError> {
    let alternatives = MultiPart::alternative()
        .singlepart(text_part(&TextBody { mail: content })?)
        .singlepart(html_part(&HtmlBody { mail: content })?);
    Ok(MultiPart::mixed().multipart(alternatives).singlepart(calendar_part(calendar)))
}

#[cfg(test)]
mod tests;
