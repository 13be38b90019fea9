//! The last mail to an address that a booking no longer has. Its reader may be a stranger, so it has no link, no price,
//! no dates, no other address and no calendar file.

use super::{BookingMailParts, MailContext};
use crate::mail::language::{Phrases, Worded as _};
use crate::mail::message::{Headers, recipient};
use crate::mail::parts::{html_part, text_part};
use crate::mail::text::{MAX_ADDRESS_CHARS, MAX_NAME_CHARS, one_line};
use crate::mail::{MailError, OutgoingMail, kinds};
use askama::Template;
use lettre::message::MultiPart;
use pvt_domain::booking::{Booking, FormerAddress};
use pvt_domain::inventory::Property;
use pvt_domain::people::writing::Language;
use pvt_domain::timestamp::Timestamp;

/// All that the templates need.
struct Notice {
    language: Language,
    phrases: &'static Phrases,
    title: &'static str,
    lead: &'static str,
    hint: &'static str,
    greeting: String,
    property: String,
    address: String,
    reference: String,
}

#[derive(Template)]
#[template(path = "notice.html")]
struct HtmlBody<'a> {
    mail: &'a Notice,
}

#[derive(Template)]
#[template(path = "notice.txt")]
struct TextBody<'a> {
    mail: &'a Notice,
}

/// Writes the mail to `former`, in the language and to the name that the guest had with it.
pub(super) fn compose(
    parts: BookingMailParts<'_>,
    former: &FormerAddress,
    booking: &Booking,
    property: &Property,
    context: MailContext<'_>,
    now: Timestamp,
) -> Result<OutgoingMail, MailError> {
    let language = Language::choose(former.locale.as_deref(), &property.locales);
    let (wording, phrases) = (kinds::of(parts.kind).wording(language), language.phrases());
    let notice = Notice {
        language,
        phrases,
        title: wording.title,
        lead: if booking.guest.mail_address().is_some() { wording.lead } else { phrases.address_removed },
        hint: phrases.not_asked_for,
        greeting: language.greeting(&former.called),
        property: one_line(&property.name, MAX_NAME_CHARS),
        address: one_line(&property.address, MAX_ADDRESS_CHARS),
        reference: booking.reference.clone(),
    };
    let headers = Headers {
        sender: context.sender,
        recipient: recipient(None, &former.email)?,
        subject: format!("{} – {} – {}", notice.title, notice.property, notice.reference),
        message_id: parts.message_id,
        booking: Some(booking.id),
        language,
        date: now,
    };
    let body = MultiPart::alternative()
        .singlepart(text_part(&TextBody { mail: &notice })?)
        .singlepart(html_part(&HtmlBody { mail: &notice })?);
    headers.with_body(body)
}
