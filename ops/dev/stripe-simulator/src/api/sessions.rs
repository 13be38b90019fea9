//! Checkout Sessions: <https://docs.stripe.com/api/checkout/sessions>.

use super::listing::{self, Rows};
use super::{check_amount, currency};
use crate::error::ApiError;
use crate::ids;
use crate::objects::intent::CaptureMethod;
use crate::objects::session::{LineItem, Session, SessionStatus};
use crate::params::Params;
use crate::state::{Cause, State};
use serde_json::{Value, json};
use url::Url;

/// Shortest and longest lifetime of a session, in seconds.
const MIN_OPEN_S: i64 = 30 * 60;
const MAX_OPEN_S: i64 = 24 * 3_600;
/// Most line items, as at Stripe.
const MAX_LINES: usize = 100;
/// Tolerance for the time that a request is in transit.
const TOLERANCE_S: i64 = 1;

const NAMES: [&str; 17] = [
    "mode",
    "line_items",
    "metadata",
    "payment_intent_data",
    "success_url",
    "cancel_url",
    "customer_email",
    "client_reference_id",
    "expires_at",
    "locale",
    "payment_method_types",
    "customer_creation",
    "submit_type",
    "billing_address_collection",
    "phone_number_collection",
    "ui_mode",
    "expand",
];

pub(super) fn create(state: &mut State, cause: &Cause, params: &Params) -> Result<Value, ApiError> {
    params.only(&NAMES)?;
    if params.choice("mode", &["payment"])?.is_none() {
        return Err(ApiError::required("mode"));
    }
    params.choice("ui_mode", &["hosted"])?;
    let data = params.child("payment_intent_data")?;
    data.only(&[
        "metadata",
        "description",
        "capture_method",
        "receipt_email",
        "statement_descriptor",
        "statement_descriptor_suffix",
        "setup_future_usage",
    ])?;
    let (currency, lines) = lines(params)?;
    let amount_total =
        lines.iter().try_fold(0_i64, |sum, line| sum.checked_add(line.unit_amount.checked_mul(line.quantity)?));
    let amount_total =
        amount_total.ok_or_else(|| ApiError::invalid("The total amount is too large").param("line_items"))?;
    check_amount(amount_total, &currency, "line_items")?;
    let session = Session {
        id: ids::session(),
        created: cause.now(),
        expires_at: expiry(cause.now(), params)?,
        status: SessionStatus::Open,
        paid: false,
        currency,
        amount_total,
        lines,
        metadata: params.metadata()?,
        intent_metadata: data.metadata()?,
        intent_description: data.text("description")?,
        capture: CaptureMethod::of(data.choice("capture_method", &CaptureMethod::NAMES)?.as_deref()),
        success_url: url(params, "success_url")?.ok_or_else(|| ApiError::required("success_url"))?,
        cancel_url: url(params, "cancel_url")?,
        customer_email: email(params)?,
        client_reference_id: params.text("client_reference_id")?,
        locale: params.text("locale")?,
        payment_intent: None,
        key: cause.key.clone(),
    };
    let answer = session.json(&state.base);
    state.add_session(cause, session);
    Ok(answer)
}

fn expiry(now: i64, params: &Params) -> Result<i64, ApiError> {
    let Some(at) = params.integer("expires_at")? else { return Ok(now + MAX_OPEN_S) };
    if at < now + MIN_OPEN_S - TOLERANCE_S {
        return Err(ApiError::invalid(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.",
        )
        .param("expires_at"));
    }
    if at > now + MAX_OPEN_S + TOLERANCE_S {
        return Err(ApiError::invalid(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
        )
        .param("expires_at"));
    }
    Ok(at)
}

fn lines(params: &Params) -> Result<(String, Vec<LineItem>), ApiError> {
    let given = params.children("line_items")?;
    if given.is_empty() {
        return Err(ApiError::required("line_items"));
    }
    if given.len() > MAX_LINES {
        return Err(ApiError::invalid(format!("At most {MAX_LINES} line items")).param("line_items"));
    }
    let mut lines = Vec::with_capacity(given.len());
    let mut first = None;
    for line in &given {
        line.only(&["price_data", "quantity"])?;
        let price = line.child("price_data")?;
        price.only(&["currency", "unit_amount", "product_data", "tax_behavior"])?;
        let product = price.child("product_data")?;
        product.only(&["name", "description", "images", "metadata", "tax_code"])?;
        let currency = currency(&price, "currency")?;
        if first.get_or_insert_with(|| currency.clone()) != &currency {
            return Err(ApiError::invalid("All prices must be in the same currency.").param(&price.name("currency")));
        }
        let unit_amount =
            price.integer("unit_amount")?.ok_or_else(|| ApiError::required(&price.name("unit_amount")))?;
        if unit_amount < 0 {
            return Err(ApiError::invalid("Invalid non-negative integer")
                .code("parameter_invalid_integer")
                .param(&price.name("unit_amount")));
        }
        let quantity = line.positive("quantity")?.ok_or_else(|| ApiError::required(&line.name("quantity")))?;
        lines.push(LineItem {
            id: ids::short("li"),
            name: product.required("name")?,
            description: product.text("description")?,
            unit_amount,
            quantity,
        });
    }
    Ok((first.unwrap_or_default(), lines))
}

/// An absolute URL, `http` or `https` only: the page redirects to it.
fn url(params: &Params, name: &str) -> Result<Option<String>, ApiError> {
    let Some(text) = params.text(name)? else { return Ok(None) };
    match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Some(text)),
        _ => Err(ApiError::invalid("Not a valid URL").code("url_invalid").param(name)),
    }
}

fn email(params: &Params) -> Result<Option<String>, ApiError> {
    match params.text("customer_email")? {
        Some(email) if !email.contains('@') => Err(ApiError::invalid(format!("Invalid email address: {email}"))
            .code("email_invalid")
            .param("customer_email")),
        email => Ok(email),
    }
}

pub(super) fn retrieve(state: &State, params: &Params, id: &str) -> Result<Value, ApiError> {
    params.only(&["expand"])?;
    Ok(state.session(id)?.json(&state.base))
}

pub(super) fn list(state: &State, params: &Params) -> Result<Value, ApiError> {
    let (intent, status) = (params.text("payment_intent")?, params.choice("status", &["open", "complete", "expired"])?);
    let rows = match &intent {
        Some(id) => Rows::of(
            &state.sessions,
            state.intents.get(id).and_then(|intent| intent.session.as_ref()).map_or(&[], std::slice::from_ref),
        ),
        None => Rows::All(&state.sessions),
    };
    let wanted = |session: &Session| status.as_deref().is_none_or(|status| session.status.as_str() == status);
    listing::page(&rows, params, "/v1/checkout/sessions", &["payment_intent", "status"], wanted, |session| {
        session.json(&state.base)
    })
}

pub(super) fn line_items(state: &State, params: &Params, id: &str) -> Result<Value, ApiError> {
    params.only(&listing::NAMES)?;
    Ok(json!({ "object": "list", "data": state.session(id)?.line_items(), "has_more": false,
            "url": format!("/v1/checkout/sessions/{id}/line_items") }))
}

pub(super) fn expire(state: &mut State, cause: &Cause, params: &Params, id: &str) -> Result<Value, ApiError> {
    params.only(&["expand"])?;
    state.expire_session(cause, id)?;
    retrieve(state, params, id)
}
