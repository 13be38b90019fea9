//! Stays as rows and as calendar entries.

use super::rows::{Span, StayRow};
use crate::mail::language::Language;
use crate::mail::text::{MAX_NAME_CHARS, one_line};
use crate::mail::{MailError, local_time};
use chrono::NaiveDate;
use pvt_domain::booking::Stay;
use pvt_domain::booking::history::RevisionState;
use pvt_domain::inventory::Inventory;
use pvt_domain::money::Money;
use pvt_domain::pricing::Price;

pub(super) fn stay_row(
    index: usize,
    stay: &Stay,
    price: Option<&Price>,
    inventory: &Inventory,
    language: Language,
) -> StayRow {
    let amount = price.and_then(|price| {
        price.nights.get(index).map(|nights| language.money(Money::new(nights.iter().sum(), price.currency)))
    });
    StayRow { title: title(stay, inventory), detail: detail(stay, language), amount: amount.unwrap_or_default() }
}

/// The name of the room type.
pub(super) fn title(stay: &Stay, inventory: &Inventory) -> String {
    let name = inventory.room_type(&stay.room_type_id).map_or(stay.room_type_id.as_str(), |room_type| &room_type.name);
    one_line(name, MAX_NAME_CHARS)
}

/// Dates, nights and guests.
pub(super) fn detail(stay: &Stay, language: Language) -> String {
    let dates = format!("{} – {}", language.date(stay.arrival), language.date(stay.departure));
    format!("{dates} · {} · {}", language.nights(stay.nights().count()), language.guests(stay.guests))
}

/// One calendar entry for every distinct pair of dates, in the order of the stays: a group that travels together has
/// one.
pub(super) fn spans(stays: &[Stay], inventory: &Inventory) -> Result<Vec<Span>, MailError> {
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

/// The calendar entries of the booking before a modification that none of the `kept` entries of now replaces.
pub(super) fn dropped_spans(
    before: &RevisionState,
    kept: usize,
    inventory: &Inventory,
) -> Result<Vec<Span>, MailError> {
    let mut spans = spans(&before.stays, inventory)?;
    Ok(spans.split_off(kept.min(spans.len())))
}
