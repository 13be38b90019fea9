//! Request forms: bodies read strictly, every violation reported at once, nothing accepted that has one.
//!
//! A form is declared once, by [`declare::form!`]: the declaration is its reader and its JSON schema.

pub(crate) mod card_numbers;
pub(crate) mod csv;
pub(crate) mod declare;
pub(crate) mod fingerprint;
pub(crate) mod json;
pub(crate) mod names;
pub(crate) mod people;
pub(crate) mod presence;
pub(crate) mod query;
pub(crate) mod reader;
pub(crate) mod types;

pub(crate) use crate::form::declare::{RequestForm, form};
use crate::form::fingerprint::Fingerprint;
use crate::form::json::Node;
use crate::form::reader::{Pointer, Reader};
use crate::http::body::{read_json, read_node, read_optional_json, refuse_card_numbers};
use crate::http::problem::Problem;
use axum::body::Body;
use axum::http::HeaderMap;
use pvt_domain::intake::FieldError;
use pvt_domain::inventory::Inventory;
use pvt_domain::money::Money;

/// Reads a body as this form.
pub(crate) async fn read_form<T: RequestForm>(headers: &HeaderMap, body: Body) -> Result<(T, Fingerprint), Problem> {
    let bytes =
        if T::OPTIONAL { read_optional_json(headers, body).await? } else { Some(read_json(headers, body).await?) };
    parse_form(bytes.as_deref().unwrap_or(b"{}"))
}

/// As [`read_form`], of a body that has been received.
pub(crate) fn parse_form<T: RequestForm>(body: &[u8]) -> Result<(T, Fingerprint), Problem> {
    let node = read_node(body)?;
    refuse_card_numbers(&node, T::CARD_CHECK_EXEMPT)?;
    read_node_as(&node).map_err(Problem::fields)
}

/// The form that a body, in which no card number was found, stands for.
///
/// # Errors
/// Every violation.
pub(crate) fn read_node_as<T: RequestForm>(node: &Node<'_>) -> Result<(T, Fingerprint), Vec<FieldError>> {
    let mut reader = Reader::default();
    let form = T::read(node, &Pointer::Root, &mut reader);
    let fingerprint = reader.fingerprints(node).canonical;
    let violations = reader.into_violations();
    form.filter(|_| violations.is_empty()).map(|form| (form, fingerprint)).ok_or(violations)
}

/// An amount of money, which must be in the currency of the property.
///
/// # Errors
/// 422 for another currency; `place` is its pointer.
pub(crate) fn amount_in_currency(
    money: Money,
    property: &Inventory,
    place: impl Fn() -> String,
) -> Result<i64, Problem> {
    let currency = property.property.currency;
    if money.currency == currency {
        return Ok(money.amount);
    }
    let message = format!("the property's prices are in {}", currency.code());
    Err(Problem::fields(vec![FieldError::new(format!("{}/currency", place()), "wrong_currency", message)]))
}
