//! Stays as rows and as calendar entries.

use super::rows::{Span, StayRow};
use crate::mail::language::Language;
use crate::mail::text::{MAX_NAME_CHARS, one_line};
use crate::mail::{MailError, local_time};
use pvt_domain::booking::{Booking, CalendarEntry, Stay};
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

/// The calendar entries, and those that calendars may still show although the booking no longer has them.
pub(super) fn spans(booking: &Booking, inventory: &Inventory) -> Result<Vec<Span>, MailError> {
    let property = &inventory.property;
    let span = |entry: CalendarEntry| {
        Ok(Span {
            uid: entry.uid,
            is_dropped: entry.is_dropped,
            begins: local_time::instant(entry.arrival, property.check_in_from, property.time_zone)?,
            ends: local_time::instant(entry.departure, property.check_out_until, property.time_zone)?,
        })
    };
    booking.calendar_entries().into_iter().map(span).collect()
}
