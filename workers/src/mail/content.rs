//! What a mail says, as finished lines: everything that needs a rule, a format or a clean-up happens here, nothing in a
//! template.

mod changes;
mod payment_summary;

use super::language::{Language, Phrases};
use super::{Links, MailError, local_time};
use askama::Template;
use chrono::{DateTime, NaiveDate, Utc};
use payment_summary::PaymentSummary;
use pvt_domain::booking::history::RevisionState;
use pvt_domain::booking::{Booking, Stay};
use pvt_domain::inventory::Inventory;
use pvt_domain::messages::NotificationKind;
use pvt_domain::money::Money;
use pvt_domain::pricing::Price;

/// Longest name that is repeated to its bearer, in characters. Anybody may type a name, and a mail that we send must
/// not carry an essay.
pub(super) const MAX_NAME_CHARS: usize = 60;
/// Longest postal address, in characters.
const MAX_ADDRESS_CHARS: usize = 200;

/// A label and what stands beside it.
pub(super) struct Row {
    pub label: String,
    pub value: String,
}

/// A button.
pub(super) struct Link {
    pub label: &'static str,
    pub url: String,
}

/// One stay.
pub(super) struct StayRow {
    pub title: String,
    pub detail: String,
    pub amount: String,
}

/// A span for the calendar: from check-in to check-out.
pub(super) struct Span {
    pub begins: DateTime<Utc>,
    pub ends: DateTime<Utc>,
}

/// All that templates and calendar need.
pub(super) struct Content {
    pub language: Language,
    pub say: &'static Phrases,
    pub title: &'static str,
    pub lead: &'static str,
    pub calendar_hint: &'static str,
    pub greeting: String,
    pub property: String,
    pub address: String,
    pub reference: String,
    pub check_in: String,
    pub check_out: String,
    pub stays: Vec<StayRow>,
    pub taxes: Vec<Row>,
    pub total: String,
    pub payment: &'static str,
    /// What is special about this payment; empty for nothing.
    pub note: &'static str,
    pub link: Option<Link>,
    pub figures: Vec<Row>,
    pub changes: Vec<Row>,
    pub spans: Vec<Span>,
    /// Spans of an earlier revision that calendars may still show beyond those of `spans`.
    pub dropped_spans: Vec<Span>,
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
    /// The content of a mail of this kind that tells of revision `rev` of this booking, as the booking is now.
    pub(super) fn of(
        kind: NotificationKind,
        rev: u32,
        booking: &Booking,
        inventory: &Inventory,
        links: &Links,
    ) -> Result<Self, MailError> {
        let property = &inventory.property;
        let language = Language::choose(booking.guest.locale.as_deref(), &property.locales);
        let say = language.phrases();
        let wording = say.wording(kind);
        let arrival = booking.stays.iter().map(|stay| stay.arrival).min();
        let departure = booking.stays.iter().map(|stay| stay.departure).max();
        let moment = |date: Option<NaiveDate>, word, time| {
            date.map_or_else(String::new, |date| format!("{}, {word} {}", language.date(date), language.time(time)))
        };
        // What a stay that will not be would have cost beside what is charged for it would only confuse.
        let takes_place = booking.status.holds_beds()
            && !matches!(kind, NotificationKind::BookingCancelled | NotificationKind::BookingNoShow);
        let price = booking.price.as_ref().filter(|_| takes_place);
        let before = (kind == NotificationKind::BookingModified && rev > 1).then(|| booking.state_at(rev - 1));
        let figures = PaymentSummary::of(kind, rev, booking, property, language);
        let spans = spans(&booking.stays, inventory)?;
        Ok(Self {
            language,
            say,
            title: wording.title,
            lead: wording.lead,
            calendar_hint: wording.calendar,
            greeting: greeting(say, &booking.guest.first_name),
            property: one_line(&property.name, MAX_NAME_CHARS),
            address: one_line(&property.address, MAX_ADDRESS_CHARS),
            reference: booking.reference.clone(),
            check_in: moment(arrival, say.from, property.check_in_from),
            check_out: moment(departure, say.until, property.check_out_until),
            stays: (0..)
                .zip(&booking.stays)
                .map(|(index, stay)| stay_row(index, stay, price, inventory, language))
                .collect(),
            taxes: price.into_iter().flat_map(|price| tax_rows(price, language)).collect(),
            total: price.map_or_else(String::new, |price| language.money(Money::new(price.total, price.currency))),
            payment: if takes_place { figures.payment() } else { "" },
            note: figures.note(),
            link: figures.link(links),
            figures: figures.rows(),
            changes: before
                .as_ref()
                .map_or_else(Vec::new, |before| changes::since(before, rev, booking, inventory, language)),
            dropped_spans: before
                .as_ref()
                .map_or_else(|| Ok(Vec::new()), |before| dropped(before, spans.len(), inventory))?,
            spans,
        })
    }

    /// The subject line.
    pub(super) fn subject(&self) -> String {
        format!("{} – {} – {}", self.title, self.property, self.reference)
    }
}

/// `Hello Ada,`, or `Hello,` to who has no name.
pub(super) fn greeting(say: &Phrases, first_name: &str) -> String {
    match one_line(first_name, MAX_NAME_CHARS) {
        name if name.is_empty() => format!("{},", say.hello),
        name => format!("{} {name},", say.hello),
    }
}

/// Text that others typed, on one line and of a bounded length: control characters cannot start a header or a line of
/// their own.
pub(super) fn one_line(text: &str, max_chars: usize) -> String {
    let shown = text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
    let line = shown.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn stay_row(index: usize, stay: &Stay, price: Option<&Price>, inventory: &Inventory, language: Language) -> StayRow {
    let amount = price.and_then(|price| {
        price.nights.get(index).map(|nights| language.money(Money::new(nights.iter().sum(), price.currency)))
    });
    StayRow { title: title(stay, inventory), detail: detail(stay, language), amount: amount.unwrap_or_default() }
}

/// The name of what was sold.
fn title(stay: &Stay, inventory: &Inventory) -> String {
    one_line(
        inventory.room_type(&stay.room_type_id).map_or(stay.room_type_id.as_str(), |room_type| &room_type.name),
        MAX_NAME_CHARS,
    )
}

/// Dates, nights and guests.
fn detail(stay: &Stay, language: Language) -> String {
    let dates = format!("{} – {}", language.date(stay.arrival), language.date(stay.departure));
    format!("{dates} · {} · {}", language.nights(stay.nights().count()), language.guests(stay.guests))
}

fn tax_rows(price: &Price, language: Language) -> impl Iterator<Item = Row> {
    price.taxes.iter().map(move |tax| Row {
        label: format!("{} ({})", one_line(&tax.name, MAX_NAME_CHARS), language.percent(tax.rate_ppm)),
        value: language.money(Money::new(tax.amount, price.currency)),
    })
}

/// One span for every different pair of dates, in the order of the stays: a group that comes and goes together is one
/// entry.
fn spans(stays: &[Stay], inventory: &Inventory) -> Result<Vec<Span>, MailError> {
    let mut dates: Vec<(NaiveDate, NaiveDate)> = Vec::new();
    for stay in stays {
        if !dates.contains(&(stay.arrival, stay.departure)) {
            dates.push((stay.arrival, stay.departure));
        }
    }
    let property = &inventory.property;
    let span = |(arrival, departure)| {
        Ok(Span {
            begins: local_time::instant(arrival, property.check_in_from, property.time_zone)?,
            ends: local_time::instant(departure, property.check_out_until, property.time_zone)?,
        })
    };
    dates.into_iter().map(span).collect()
}

/// The spans that the booking had before and that no span of now, of which there are `kept`, has taken the place of.
fn dropped(before: &RevisionState, kept: usize, inventory: &Inventory) -> Result<Vec<Span>, MailError> {
    let mut spans = spans(&before.stays, inventory)?;
    Ok(spans.split_off(kept.min(spans.len())))
}
