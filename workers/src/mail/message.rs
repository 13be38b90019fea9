//! A finished mail: sender, recipient and typed headers around a body.

use super::MailError;
use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart};
use pvt_domain::ids::BookingId;
use pvt_domain::people::writing::Language;
use pvt_domain::timestamp::Timestamp;

type HeaderError = Box<dyn std::error::Error + Send + Sync>;

/// The sender of all mails (`MAIL_FROM`).
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

    /// The address that servers see.
    pub(crate) fn address(&self) -> &Address {
        &self.0.email
    }

    /// The domain of the address, under which `Message-ID`s are made.
    pub fn domain(&self) -> &str {
        self.0.email.domain()
    }
}

/// A mail ready to be handed to a server.
#[derive(Debug, Clone)]
pub struct OutgoingMail {
    /// Sender and recipient as the server sees them.
    pub envelope: Envelope,
    /// Headers and body, ASCII only, lines ended by CRLF.
    pub message: String,
    /// The span of the message that asked for it, as a `traceparent` header.
    pub traceparent: Option<String>,
}

/// The headers of a mail.
pub(super) struct Headers<'a> {
    pub sender: &'a Sender,
    pub recipient: Mailbox,
    pub subject: String,
    /// `Message-ID`, with its angle brackets.
    pub message_id: &'a str,
    /// The booking that it is about, by which operators find its timeline.
    pub booking: Option<BookingId>,
    pub language: Language,
    pub date: Timestamp,
}

impl Headers<'_> {
    /// The mail with this body.
    pub(super) fn with_body(self, body: MultiPart) -> Result<OutgoingMail, MailError> {
        let (from, to) = (self.sender.mailbox().email.clone(), self.recipient.email.clone());
        let mut builder = Message::builder()
            .date(self.date.as_datetime().into())
            .from(self.sender.mailbox().clone())
            .to(self.recipient)
            .subject(self.subject)
            .message_id(Some(self.message_id.to_owned()))
            .header(AutoSubmitted)
            .header(ContentLanguage(self.language));
        if let Some(booking) = self.booking {
            builder = builder.header(AboutBooking(booking));
        }
        let message = builder.multipart(body)?;
        let message = String::from_utf8(message.formatted()).map_err(|_| MailError::NotText)?;
        Ok(OutgoingMail { envelope: Envelope::new(Some(from), vec![to])?, message, traceparent: None })
    }
}

/// The mailbox of a recipient.
///
/// # Errors
/// [`MailError::Recipient`] when the address is not one.
pub(super) fn recipient(name: Option<String>, address: &str) -> Result<Mailbox, MailError> {
    let address: Address = address.trim().parse().map_err(|_| MailError::Recipient)?;
    Ok(Mailbox::new(name, address))
}

/// Asks vacation responders and ticket systems not to answer (RFC 3834 §5).
#[derive(Clone)]
struct AutoSubmitted;

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
struct ContentLanguage(Language);

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

/// The id of the booking that the mail is about. It opens nothing, and says nothing about the guest.
#[derive(Clone)]
struct AboutBooking(BookingId);

impl Header for AboutBooking {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("X-PVT-Booking-Id")
    }

    fn parse(text: &str) -> Result<Self, HeaderError> {
        Ok(Self(text.trim().parse()?))
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::Sender;
    use crate::mail::MailError;

    #[test]
    fn a_sender_is_a_mailbox() {
        assert_eq!(Sender::parse("PVT <a@pvt.test>").unwrap().domain(), "pvt.test");
        assert!(matches!(Sender::parse("nobody"), Err(MailError::Sender(_))));
    }
}
