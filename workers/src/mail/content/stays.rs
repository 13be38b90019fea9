//! Stays as rows.

use super::rows::StayRow;
use crate::mail::language::{Reader, Worded as _};
use crate::mail::text::{MAX_NAME_CHARS, one_line};
use pvt_domain::booking::Stay;
use pvt_domain::inventory::{Inventory, RoomType};
use pvt_domain::money::Money;
use pvt_domain::people::writing::Language;
use pvt_domain::pricing::Price;

pub(super) fn stay_row(
    (index, stay): (usize, &Stay),
    price: Option<&Price>,
    inventory: &Inventory,
    reader: &Reader<'_>,
) -> StayRow {
    let language = reader.language;
    let amount = price.and_then(|price| {
        price.nights.get(index).map(|nights| language.money(Money::new(nights.iter().sum(), price.currency)))
    });
    StayRow {
        title: title(stay, inventory, reader),
        detail: detail(stay, language),
        amount: amount.unwrap_or_default(),
    }
}

/// A stay of guests who did not arrive while others did.
pub(super) fn absent_row(stay: &Stay, inventory: &Inventory, reader: &Reader<'_>) -> StayRow {
    let title = format!("{} – {}", reader.language.phrases().absent, title(stay, inventory, reader));
    StayRow { title, detail: detail(stay, reader.language), amount: String::new() }
}

/// The name of the room type.
pub(super) fn title(stay: &Stay, inventory: &Inventory, reader: &Reader<'_>) -> String {
    let named = |room_type: &'_ RoomType| room_type.names.in_language(reader.languages(), &room_type.name).to_owned();
    let name = &inventory.room_type(&stay.room_type_id).map_or_else(|| stay.room_type_id.to_string(), named);
    one_line(name, MAX_NAME_CHARS)
}

/// Dates, nights and guests.
pub(super) fn detail(stay: &Stay, language: Language) -> String {
    let dates = format!("{} – {}", language.date(stay.arrival), language.date(stay.departure));
    format!("{dates} · {} · {}", language.nights(stay.nights().count()), language.guests(stay.guests))
}
