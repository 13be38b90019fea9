//! The content of a mail as finished text: every rule, format and clean-up is applied here, none in a template.

mod changes;
mod payment_summary;
mod rows;
mod stays;

use super::kinds;
use super::language::{Phrases, Reader, Worded as _};
use super::text::{MAX_ADDRESS_CHARS, MAX_NAME_CHARS, one_line};
use super::{BookingMailParts, Links};
use askama::Template;
use chrono::NaiveDate;
use payment_summary::PaymentSummary;
use pvt_domain::booking::{Booking, Status};
use pvt_domain::inventory::{Inventory, Property};
use pvt_domain::messages::NotificationKind;
use pvt_domain::money::Money;
use pvt_domain::people::writing::Language;
use pvt_domain::pricing::Price;
use pvt_domain::timestamp::Timestamp;
use rows::{Link, Row, StayRow};
use stays::{absent_row, stay_row};

/// All that the templates need.
pub(super) struct Content {
    pub language: Language,
    pub phrases: &'static Phrases,
    pub title: &'static str,
    pub lead: &'static str,
    pub calendar_note: &'static str,
    pub greeting: String,
    pub property: String,
    pub address: String,
    pub reference: String,
    pub check_in: String,
    pub check_out: String,
    /// Until when cancelling costs nothing, in the property's time zone; empty where it costs something.
    pub free_until: String,
    /// What cancelling costs then; empty where it costs nothing.
    pub cancellation_note: String,
    pub stays: Vec<StayRow>,
    pub taxes: Vec<Row>,
    pub total: String,
    /// What is still to be paid; empty where rows say it.
    pub balance_note: &'static str,
    /// What is special about this payment; mostly empty.
    pub payment_note: &'static str,
    pub link: Option<Link>,
    /// Where the guest may change or cancel, while that is possible.
    pub manage: Option<Link>,
    pub payments: Vec<Row>,
    /// The heading of `changes`: they are made, or a payment will make them.
    pub changes_title: &'static str,
    pub changes: Vec<Row>,
}

/// The HTML form.
#[derive(Template)]
#[template(path = "booking.html")]
pub(super) struct HtmlBody<'a> {
    pub mail: &'a Content,
}

/// The plain form.
#[derive(Template)]
#[template(path = "booking.txt")]
pub(super) struct TextBody<'a> {
    pub mail: &'a Content,
}

impl Content {
    /// The content of a mail about this booking, as the booking is `now`.
    pub(super) fn of(
        parts: BookingMailParts<'_>,
        booking: &Booking,
        inventory: &Inventory,
        links: &Links,
        now: Timestamp,
    ) -> Self {
        let (kind, property) = (kinds::of(parts.kind), &inventory.property);
        let language = Language::choose(booking.guest.locale.as_deref(), &property.locales);
        let reader = Reader { language, own: booking.guest.locale.as_deref() };
        let (phrases, wording) = (language.phrases(), kind.wording(language));
        let arrival = booking.stays.iter().map(|stay| stay.arrival).min();
        let departure = booking.stays.iter().map(|stay| stay.departure).max();
        let moment = |date: Option<NaiveDate>, word, time| {
            date.map_or_else(String::new, |date| format!("{}, {word} {}", language.date(date), language.time(time)))
        };
        // The price of a stay that does not take place would only confuse beside its fee.
        let takes_place = booking.status.holds_beds() && !kind.shows.ended;
        let price = booking.price.as_ref().filter(|_| takes_place);
        let pending = kind.shows.pending(booking);
        let compared_with = parts.compared_with.filter(|_| kind.shows.changes);
        let summary = PaymentSummary::of(&kind.shows, parts.rev, booking, (property, now), language);
        Self {
            language,
            phrases,
            title: wording.title,
            lead: match parts.kind {
                NotificationKind::PaymentRefunded if summary.is_refunded_by_hand() => phrases.refunded_by_hand,
                _ => wording.lead,
            },
            calendar_note: phrases.calendar_note(kind.shows.calendar),
            greeting: language.greeting(booking.guest.called()),
            property: one_line(&property.name, MAX_NAME_CHARS),
            address: one_line(&property.address, MAX_ADDRESS_CHARS),
            reference: booking.reference.clone(),
            check_in: moment(arrival, phrases.from, property.check_in_from),
            check_out: moment(departure, phrases.until, property.check_out_until),
            free_until: summary.free_until(),
            cancellation_note: summary.cancellation_note(),
            stays: (0..)
                .zip(&booking.stays)
                .map(|stay| stay_row(stay, price, inventory, &reader))
                .chain(booking.no_shows.iter().map(|absence| absent_row(&absence.stay, inventory, &reader)))
                .collect(),
            taxes: price.into_iter().flat_map(|price| other_price_rows(price, property, &reader)).collect(),
            total: price.map_or_else(String::new, |price| language.money(Money::new(price.total, price.currency))),
            balance_note: if takes_place { summary.balance_note() } else { "" },
            payment_note: summary.payment_note(),
            link: summary.link(links),
            manage: matches!(booking.status, Status::Held | Status::Confirmed)
                .then(|| Link { label: phrases.manage, url: links.manage(booking) }),
            payments: summary.rows(),
            changes_title: if pending.is_some() { phrases.pending_changes } else { phrases.changes },
            changes: match (&pending, compared_with) {
                (Some(pending), _) => changes::planned(booking, pending, inventory, &reader),
                (None, Some(rev)) => changes::since(rev, booking, inventory, &reader),
                (None, None) => Vec::new(),
            },
        }
    }

    /// The subject line.
    pub(super) fn subject(&self) -> String {
        format!("{} – {} – {}", self.title, self.property, self.reference)
    }
}

/// What is owed beside the nights of the stays.
fn other_price_rows(price: &Price, property: &Property, reader: &Reader<'_>) -> impl Iterator<Item = Row> {
    let language = reader.language;
    let unused = (price.unused_nights != 0).then(|| Row {
        label: language.phrases().unused_nights.to_owned(),
        value: language.money(Money::new(price.unused_nights, price.currency)),
    });
    let taxes = price.taxes.iter().map(move |tax| Row {
        label: format!(
            "{} ({})",
            one_line(property.tax_name(tax, reader.languages()), MAX_NAME_CHARS),
            language.tax_basis(tax, price.currency)
        ),
        value: language.money(Money::new(tax.amount, price.currency)),
    });
    unused.into_iter().chain(taxes)
}
