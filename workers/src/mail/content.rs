//! What a mail says, as finished lines: everything that needs a rule, a format or a clean-up happens here, nothing in a template.

use super::language::{Language, Phrases};
use super::{MailError, wall_clock};
use askama::Template;
use chrono::{DateTime, NaiveDate, Utc};
use pvt_domain::booking::{Booking, PaymentStatus, Stay};
use pvt_domain::inventory::Inventory;
use pvt_domain::messages::NotificationKind;
use pvt_domain::money::Money;
use pvt_domain::pricing::Price;

/// Longest name that is repeated to its bearer, in characters. Anybody may type a name, and a mail that we send must not carry an essay.
pub(super) const MAX_NAME_CHARS: usize = 60;
/// Longest postal address, in characters.
const MAX_ADDRESS_CHARS: usize = 200;

/// A label and what stands beside it.
pub(super) struct Line {
    pub label: String,
    pub value: String,
}

/// One stay.
pub(super) struct StayLine {
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
    pub stays: Vec<StayLine>,
    pub taxes: Vec<Line>,
    pub total: String,
    pub payment: &'static str,
    pub figures: Vec<Line>,
    pub spans: Vec<Span>,
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
    /// The content of a mail of this kind about this booking.
    pub(super) fn of(kind: NotificationKind, booking: &Booking, inventory: &Inventory) -> Result<Self, MailError> {
        let property = &inventory.property;
        let language = Language::choose(booking.guest.locale.as_deref(), &property.locales);
        let say = language.phrases();
        let confirmed = kind == NotificationKind::BookingConfirmed;
        let (title, lead, calendar_hint) = if confirmed {
            (say.confirmed_title, say.confirmed_lead, say.confirmed_calendar)
        } else {
            (say.cancelled_title, say.cancelled_lead, say.cancelled_calendar)
        };
        let arrival = booking.stays.iter().map(|stay| stay.arrival).min();
        let departure = booking.stays.iter().map(|stay| stay.departure).max();
        let moment =
            |date: Option<NaiveDate>, word, time| date.map_or_else(String::new, |date| format!("{}, {word} {}", language.date(date), language.time(time)));
        // What a cancelled stay would have cost beside what was charged for it would only confuse.
        let price = booking.price.as_ref().filter(|_| confirmed);
        Ok(Self {
            language,
            say,
            title,
            lead,
            calendar_hint,
            greeting: greeting(say, &booking.guest.first_name),
            property: one_line(&property.name, MAX_NAME_CHARS),
            address: one_line(&property.address, MAX_ADDRESS_CHARS),
            reference: booking.reference.clone(),
            check_in: moment(arrival, say.from, property.check_in_from),
            check_out: moment(departure, say.until, property.check_out_until),
            stays: (0..).zip(&booking.stays).map(|(index, stay)| stay_line(index, stay, price, inventory, language)).collect(),
            taxes: price.into_iter().flat_map(|price| tax_lines(price, language)).collect(),
            total: price.map_or_else(String::new, |price| language.money(Money::new(price.total, price.currency))),
            payment: match booking.payment_status {
                _ if !confirmed => "",
                PaymentStatus::PayOnArrival => say.pay_on_arrival,
                PaymentStatus::NotDue => say.not_due,
            },
            figures: if confirmed { Vec::new() } else { cancellation_figures(say, language, property.currency) },
            spans: spans(booking, inventory)?,
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

/// Text that others typed, on one line and of a bounded length: control characters cannot start a header or a line of their own.
pub(super) fn one_line(text: &str, max_chars: usize) -> String {
    let shown = text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
    let line = shown.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn stay_line(index: usize, stay: &Stay, price: Option<&Price>, inventory: &Inventory, language: Language) -> StayLine {
    let title = inventory.room_type(&stay.room_type_id).map_or(stay.room_type_id.as_str(), |room_type| &room_type.name);
    let amount = price.and_then(|price| price.nights.get(index).map(|nights| language.money(Money::new(nights.iter().sum(), price.currency))));
    let dates = format!("{} – {}", language.date(stay.arrival), language.date(stay.departure));
    let detail = format!("{dates} · {} · {}", language.nights(stay.nights().count()), language.guests(stay.guests));
    StayLine { title: one_line(title, MAX_NAME_CHARS), detail, amount: amount.unwrap_or_default() }
}

fn tax_lines(price: &Price, language: Language) -> impl Iterator<Item = Line> {
    price.taxes.iter().map(move |tax| Line {
        label: format!("{} ({})", one_line(&tax.name, MAX_NAME_CHARS), language.percent(tax.rate_ppm)),
        value: language.money(Money::new(tax.amount, price.currency)),
    })
}

/// Bookings are paid on arrival so far: a cancellation charges nothing and so returns nothing.
fn cancellation_figures(say: &Phrases, language: Language, currency: pvt_domain::money::Currency) -> Vec<Line> {
    let nothing = language.money(Money::new(0, currency));
    [say.charged, say.fee, say.refund].map(|label| Line { label: label.to_owned(), value: nothing.clone() }).into()
}

/// One span for every different pair of dates, in the order of the stays: a group that comes and goes together is one entry.
fn spans(booking: &Booking, inventory: &Inventory) -> Result<Vec<Span>, MailError> {
    let mut dates: Vec<(NaiveDate, NaiveDate)> = Vec::new();
    for stay in &booking.stays {
        if !dates.contains(&(stay.arrival, stay.departure)) {
            dates.push((stay.arrival, stay.departure));
        }
    }
    let property = &inventory.property;
    let span = |(arrival, departure)| {
        Ok(Span {
            begins: wall_clock::instant(arrival, property.check_in_from, property.time_zone)?,
            ends: wall_clock::instant(departure, property.check_out_until, property.time_zone)?,
        })
    };
    dates.into_iter().map(span).collect()
}
