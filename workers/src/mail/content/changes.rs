//! The changes of a modification, made or pending, as rows of before and after.
//!
//! Beds are left out: no guest is promised one.

use super::rows::Row;
use super::stays::{detail, title};
use crate::mail::language::{Reader, Worded as _};
use pvt_domain::booking::history::RevisionState;
use pvt_domain::booking::mails::changes_address;
use pvt_domain::booking::{Booking, Stay, stay_id};
use pvt_domain::inventory::Inventory;
use pvt_domain::money::Money;
use pvt_domain::pricing::Price;

/// The difference between what was booked at revision `rev` and what is booked now.
pub(super) fn since(rev: u32, booking: &Booking, inventory: &Inventory, reader: &Reader<'_>) -> Vec<Row> {
    let mut rows = differences(&booking.state_at(rev), booking, inventory, reader);
    let entries = || booking.history.iter().filter(|entry| entry.rev > rev);
    let phrases = reader.language.phrases();
    let row = |label: &str, value: &str| Row { label: label.to_owned(), value: value.to_owned() };
    if entries().filter_map(|entry| entry.changes.as_ref()).any(|changes| changes.guest) {
        rows.push(row(phrases.details, phrases.updated));
    }
    if entries().any(changes_address) {
        rows.push(row(phrases.email, phrases.email_changed));
    }
    rows
}

/// The difference between what is booked now and the booking after its pending change.
pub(super) fn planned(booking: &Booking, changed: &Booking, inventory: &Inventory, reader: &Reader<'_>) -> Vec<Row> {
    differences(&booking.state_at(booking.rev), changed, inventory, reader)
}

fn differences(before: &RevisionState, after: &Booking, inventory: &Inventory, reader: &Reader<'_>) -> Vec<Row> {
    let language = reader.language;
    let phrases = language.phrases();
    let arrow = |was: String, is: String| format!("{was} → {is}");
    let shown = |stay: Option<&Stay>| {
        stay.map_or_else(
            || phrases.nothing.to_owned(),
            |stay| format!("{}, {}", title(stay, inventory, reader), detail(stay, language)),
        )
    };
    // A stay that is gone shifts those behind it: each is compared with itself.
    let known = |stays: &[Stay], id: u32| (0..stays.len()).find(|index| stay_id(stays, *index) == id);
    let had = (0..before.stays.len()).map(|index| stay_id(&before.stays, index));
    let added = (0..after.stays.len()).map(|index| stay_id(&after.stays, index));
    let ids: Vec<u32> = had.chain(added.filter(|id| known(&before.stays, *id).is_none())).collect();
    let mut rows = Vec::new();
    for (index, id) in ids.iter().enumerate() {
        let was = known(&before.stays, *id).and_then(|index| before.stays.get(index));
        let is = known(&after.stays, *id).and_then(|index| after.stays.get(index));
        let is_same = was.zip(is).is_some_and(|(was, is)| was.as_request().is_sold_as(&is.as_request()));
        if !is_same {
            let label =
                if ids.len() == 1 { phrases.stay.to_owned() } else { format!("{} {}", phrases.stay_number, index + 1) };
            rows.push(Row { label, value: arrow(shown(was), shown(is)) });
        }
    }
    let total = |price: Option<&Price>| {
        price
            .map_or_else(|| phrases.nothing.to_owned(), |price| language.money(Money::new(price.total, price.currency)))
    };
    let (was, is) = (total(before.price.as_ref()), total(after.price.as_ref()));
    if was != is {
        rows.push(Row { label: phrases.total.to_owned(), value: arrow(was, is) });
    }
    rows
}
