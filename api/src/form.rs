//! Reading the body of a request into a value: every fault named at once, nothing accepted that has one.

pub(crate) mod card_numbers;
pub(crate) mod declare;
pub(crate) mod fingerprint;
pub(crate) mod json;
pub(crate) mod presence;
pub(crate) mod query;
pub(crate) mod reader;
pub(crate) mod types;

use crate::form::declare::RequestForm;
use crate::form::fingerprint::Fingerprint;
use crate::form::json::Node;
use crate::form::reader::{Field, Fields, Pointer, Reader};
use crate::http::body::{read_json, read_node, read_optional_json, refuse_card_numbers};
use crate::http::problem::Problem;
use axum::body::Body;
use axum::http::HeaderMap;
use pvt_domain::ids::BookingId;
use pvt_domain::intake::FieldError;
use pvt_domain::inventory::Inventory;
use pvt_domain::inventory::check::MAX_NIGHTLY;
use pvt_domain::money::{Currency, Money};

/// Longest reason that somebody gives, in characters.
pub(crate) const MAX_FREE_TEXT_CHARS: usize = 500;

/// What a body says, and its fingerprint.
pub(crate) async fn read<T>(
    headers: &HeaderMap,
    body: Body,
    read: impl FnOnce(&Node<'_>, &mut Reader) -> Option<T>,
) -> Result<(T, Fingerprint), Problem> {
    let body = read_json(headers, body).await?;
    parse(&body, &[], read)
}

/// As [`read`], of a body that has come; `exempt` are the places of texts that may look like a card number.
pub(crate) fn parse<T>(
    body: &[u8],
    exempt: &[&str],
    read: impl FnOnce(&Node<'_>, &mut Reader) -> Option<T>,
) -> Result<(T, Fingerprint), Problem> {
    let node = read_node(body)?;
    refuse_card_numbers(&node, exempt)?;
    let mut reader = Reader::default();
    let value = read(&node, &mut reader);
    let violations = reader.into_violations();
    match value {
        Some(value) if violations.is_empty() => Ok((value, Fingerprint::of(&node))),
        _ => Err(Problem::fields(violations)),
    }
}

/// Reads a body as this form.
pub(crate) async fn read_form<T: RequestForm>(headers: &HeaderMap, body: Body) -> Result<(T, Fingerprint), Problem> {
    let bytes =
        if T::OPTIONAL { read_optional_json(headers, body).await? } else { Some(read_json(headers, body).await?) };
    parse_form(bytes.as_deref().unwrap_or(b"{}"))
}

/// As [`read_form`], of a body that has been received.
pub(crate) fn parse_form<T: RequestForm>(body: &[u8]) -> Result<(T, Fingerprint), Problem> {
    parse(body, T::CARD_CHECK_EXEMPT, |node, reader| T::read(node, &Pointer::Root, reader))
}

/// A text that must be there.
pub(crate) fn text<'n>(fields: Fields<'n, '_, '_>, key: &'static str, reader: &mut Reader) -> Option<&'n str> {
    reader.required(fields, key).and_then(|field| reader.text(field))
}

/// A text that may be missing.
pub(crate) fn optional_text<'n>(fields: Fields<'n, '_, '_>, key: &'static str, reader: &mut Reader) -> Option<&'n str> {
    fields.optional(key).and_then(|field| reader.text(field))
}

/// What somebody writes to be read by people: 1 to [`MAX_FREE_TEXT_CHARS`] characters, in lines. `code` is the fault of
/// anything else.
pub(crate) fn free_text(field: Field<'_, '_, '_>, code: &'static str, reader: &mut Reader) -> Option<String> {
    let text = reader.text(field)?;
    let readable = !text.chars().any(|c| c.is_control() && c != '\n');
    if text.trim().is_empty() || text.chars().count() > MAX_FREE_TEXT_CHARS || !readable {
        reader.violation(&field.at(), code, format!("1 to {MAX_FREE_TEXT_CHARS} characters, no control characters"));
    }
    Some(text.to_owned())
}

/// The booking that a body is about, as its member `booking_id` names it.
pub(crate) fn booking_id(fields: Fields<'_, '_, '_>, reader: &mut Reader) -> Option<BookingId> {
    let field = reader.required(fields, "booking_id")?;
    let id = reader.text(field)?.parse().ok();
    if id.is_none() {
        reader.violation(&field.at(), "invalid_id", "must be a booking's id, a UUID");
    }
    id
}

/// As [`items`], where the list may be missing.
pub(crate) fn optional_items<T>(
    fields: Fields<'_, '_, '_>,
    key: &'static str,
    most: usize,
    reader: &mut Reader,
    read: impl Fn(&Node<'_>, &Pointer<'_>, &mut Reader) -> Option<T>,
) -> Option<Vec<T>> {
    fields.optional(key).and_then(|field| each(field, most, reader, read))
}

/// Each item of a list that must be there, read by `read`; at most so many.
pub(crate) fn items<T>(
    fields: Fields<'_, '_, '_>,
    key: &'static str,
    most: usize,
    reader: &mut Reader,
    read: impl Fn(&Node<'_>, &Pointer<'_>, &mut Reader) -> Option<T>,
) -> Option<Vec<T>> {
    reader.required(fields, key).and_then(|field| each(field, most, reader, read))
}

fn each<T>(
    field: Field<'_, '_, '_>,
    most: usize,
    reader: &mut Reader,
    read: impl Fn(&Node<'_>, &Pointer<'_>, &mut Reader) -> Option<T>,
) -> Option<Vec<T>> {
    let (at, items) = (field.at(), reader.list(field)?);
    if items.len() > most {
        reader.violation(&at, "too_many", format!("at most {most}"));
    }
    Some(
        items
            .iter()
            .take(most)
            .enumerate()
            .filter_map(|(index, item)| read(item, &Pointer::Index(&at, index), reader))
            .collect(),
    )
}

/// A text that is a value of its own kind, such as a time zone or a time.
pub(crate) fn parsed<T>(
    fields: Fields<'_, '_, '_>,
    key: &'static str,
    reader: &mut Reader,
    what: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let field: Field<'_, '_, '_> = fields.optional(key)?;
    let value = read(reader.text(field)?);
    if value.is_none() {
        reader.violation(&field.at(), "invalid_value", format!("must be {what}"));
    }
    value
}

/// Money as it is written: `{"amount": 4200, "currency": "CAD"}`, in minor units.
pub(crate) fn money(field: Field<'_, '_, '_>, reader: &mut Reader) -> Option<Money> {
    let at = field.at();
    let fields = reader.object(field.node(), &at, &["amount", "currency"])?;
    let amount = reader.required(fields, "amount").and_then(|field| reader.integer(field, 0..=MAX_NIGHTLY));
    reader.required(fields, "currency");
    let currency = parsed(fields, "currency", reader, "an ISO 4217 code such as CAD", Currency::from_code);
    Some(Money::new(amount?, currency?))
}

/// The amount of money that must be in the currency of the house.
///
/// # Errors
/// 422 for another currency; `place` is its pointer.
pub(crate) fn amount(money: Money, house: &Inventory, place: impl Fn() -> String) -> Result<i64, Problem> {
    let currency = house.property.currency;
    if money.currency == currency {
        return Ok(money.amount);
    }
    let message = format!("the property's prices are in {}", currency.code());
    Err(Problem::fields(vec![FieldError::new(format!("{}/currency", place()), "wrong_currency", message)]))
}
