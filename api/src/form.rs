//! Reading the body of a request into a value: every fault named at once, nothing accepted that has one.

use crate::body::{read_json, read_node, refuse_card_numbers};
use crate::fingerprint::Fingerprint;
use crate::json::Node;
use crate::problem::Problem;
use crate::reader::{At, Field, Fields, Reader};
use axum::body::Body;
use axum::http::HeaderMap;

/// What a body says, and its fingerprint.
pub(crate) async fn read<T>(
    headers: &HeaderMap,
    body: Body,
    read: impl FnOnce(&Node<'_>, &mut Reader) -> Option<T>,
) -> Result<(T, Fingerprint), Problem> {
    let body = read_json(headers, body).await?;
    let node = read_node(&body)?;
    refuse_card_numbers(&node, "")?;
    let mut reader = Reader::default();
    let value = read(&node, &mut reader);
    let faults = reader.into_faults();
    match value {
        Some(value) if faults.is_empty() => Ok((value, Fingerprint::of(&node))),
        _ => Err(Problem::fields(faults)),
    }
}

/// A text that must be there.
pub(crate) fn text<'n>(fields: Fields<'n, '_, '_>, key: &'static str, reader: &mut Reader) -> Option<&'n str> {
    reader.required(fields, key).and_then(|field| reader.text(field))
}

/// A text that may be missing.
pub(crate) fn optional_text<'n>(fields: Fields<'n, '_, '_>, key: &'static str, reader: &mut Reader) -> Option<&'n str> {
    fields.optional(key).and_then(|field| reader.text(field))
}

/// The texts of a list that may be missing, at most so many.
pub(crate) fn texts<T: for<'t> From<&'t str>>(fields: Fields<'_, '_, '_>, key: &'static str, most: usize, reader: &mut Reader) -> Option<Vec<T>> {
    let field = fields.optional(key)?;
    let (at, items) = (field.at(), reader.list(field)?);
    if items.len() > most {
        reader.fault(&at, "too_many", format!("at most {most}"));
    }
    Some(items.iter().take(most).enumerate().filter_map(|(index, item)| reader.item_text(item, &At::Index(&at, index)).map(T::from)).collect())
}

/// Each item of a list that must be there, read by `read`; at most so many.
pub(crate) fn items<T>(
    fields: Fields<'_, '_, '_>,
    key: &'static str,
    most: usize,
    reader: &mut Reader,
    read: impl Fn(&Node<'_>, &At<'_>, &mut Reader) -> Option<T>,
) -> Option<Vec<T>> {
    let field = reader.required(fields, key)?;
    let (at, items) = (field.at(), reader.list(field)?);
    if items.len() > most {
        reader.fault(&at, "too_many", format!("at most {most}"));
    }
    Some(items.iter().take(most).enumerate().filter_map(|(index, item)| read(item, &At::Index(&at, index), reader)).collect())
}

/// A text that is a value of its own kind, such as a time zone or a time.
pub(crate) fn parsed<T>(fields: Fields<'_, '_, '_>, key: &'static str, reader: &mut Reader, what: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    let field: Field<'_, '_, '_> = fields.optional(key)?;
    let value = read(reader.text(field)?);
    if value.is_none() {
        reader.fault(&field.at(), "invalid_value", format!("must be {what}"));
    }
    value
}
