//! Stripe's HTTP API as a function of the state: method, path and parameters in, JSON or Stripe's error out. It uses no
//! network and no clock.

mod events;
mod expand;
mod intents;
mod listing;
mod money;
mod sessions;

use crate::error::ApiError;
use crate::params::Params;
use crate::state::{Cause, State};
use serde_json::Value;

/// Largest amount, in minor units, of most currencies.
const MAX_AMOUNT: i64 = 99_999_999;

/// One request, authenticated and parsed.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) method: &'a str,
    /// After `/v1`.
    pub(crate) path: &'a str,
    pub(crate) params: &'a Params,
}

/// The response to one request.
pub(crate) fn answer(state: &mut State, cause: &Cause, call: &Call<'_>) -> Result<Value, ApiError> {
    let paths = call.params.texts("expand")?;
    let mut answer = route(state, cause, call)?;
    for path in &paths {
        expand::expand(state, &mut answer, path)?;
    }
    Ok(answer)
}

fn route(state: &mut State, cause: &Cause, call: &Call<'_>) -> Result<Value, ApiError> {
    let segments: Vec<&str> = call.path.trim_matches('/').split('/').collect();
    let params = call.params;
    match (call.method, segments.as_slice()) {
        ("POST", ["checkout", "sessions"]) => sessions::create(state, cause, params),
        ("GET", ["checkout", "sessions"]) => sessions::list(state, params),
        ("GET", ["checkout", "sessions", id]) => sessions::retrieve(state, params, id),
        ("GET", ["checkout", "sessions", id, "line_items"]) => sessions::line_items(state, params, id),
        ("POST", ["checkout", "sessions", id, "expire"]) => sessions::expire(state, cause, params, id),
        ("POST", ["payment_intents"]) => intents::create(state, cause, params),
        ("GET", ["payment_intents"]) => intents::list(state, params),
        ("GET", ["payment_intents", id]) => intents::retrieve(state, params, id),
        ("POST", ["payment_intents", id, "confirm"]) => intents::confirm(state, cause, params, id),
        ("POST", ["payment_intents", id, "capture"]) => intents::capture(state, cause, params, id),
        ("POST", ["payment_intents", id, "cancel"]) => intents::cancel(state, cause, params, id),
        ("GET", ["charges"]) => money::list_charges(state, params),
        ("GET", ["charges", id]) => money::retrieve(state, params, id, "charge"),
        ("POST", ["refunds"]) => money::refund(state, cause, params),
        ("GET", ["refunds"]) => money::list_refunds(state, params),
        ("GET", ["refunds", id]) => money::retrieve(state, params, id, "refund"),
        ("GET", ["disputes"]) => money::list_disputes(state, params),
        ("GET", ["disputes", id]) => money::retrieve(state, params, id, "dispute"),
        ("POST", ["disputes", id]) => money::answer_dispute(state, cause, params, id),
        ("POST", ["disputes", id, "close"]) => money::close_dispute(state, cause, params, id),
        ("GET", ["balance_transactions"]) => money::list_balance(state, params),
        ("GET", ["balance_transactions", id]) => money::retrieve(state, params, id, "balance transaction"),
        ("GET", ["events"]) => events::list(state, params),
        ("GET", ["events", id]) => events::retrieve(state, params, id),
        (method, _) => Err(ApiError::no_route(method, &format!("/v1{}", call.path))),
    }
}

/// A currency code as Stripe writes it.
fn currency(params: &Params, name: &str) -> Result<String, ApiError> {
    let given = params.required(name)?.to_ascii_lowercase();
    if given.len() == 3 && given.bytes().all(|letter| letter.is_ascii_lowercase()) {
        return Ok(given);
    }
    Err(ApiError::invalid(format!("Invalid currency: {given}.")).param(&params.name(name)))
}

/// Refuses amounts that Stripe does not charge.
fn check_amount(amount: i64, currency: &str, param: &str) -> Result<(), ApiError> {
    let least = least(currency);
    if amount < least {
        let words = format!("Amount must be at least {}", crate::objects::shown(least, currency));
        return Err(ApiError::invalid(words).code("amount_too_small").param(param));
    }
    let most = match currency {
        "idr" => 999_999_999_999,
        "cop" => 9_999_999_999,
        "inr" => 999_999_999,
        _ => MAX_AMOUNT,
    };
    if amount > most {
        let words = format!("Amount must be no more than {}", crate::objects::shown(most, currency));
        return Err(ApiError::invalid(words).code("amount_too_large").param(param));
    }
    check_step(amount, currency, param)
}

/// Smallest amount in minor units: <https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts>.
fn least(currency: &str) -> i64 {
    match currency {
        "gbp" => 30,
        "usd" | "ars" | "aud" | "brl" | "cad" | "chf" | "cop" | "eur" | "idr" | "ils" | "inr" | "nzd" | "php"
        | "rub" | "sgd" | "zar" | "jpy" | "krw" => 50,
        "aed" | "myr" | "pln" | "ron" => 200,
        "dkk" => 250,
        "nok" | "sek" => 300,
        "hkd" => 400,
        "mxn" | "thb" => 1_000,
        "czk" => 1_500,
        "huf" => 17_500,
        _ => 1,
    }
}

/// Refuses fractions that Stripe does not charge or refund: the last digit of three, and those of ISK and UGX.
fn check_step(amount: i64, currency: &str, param: &str) -> Result<(), ApiError> {
    let step = match currency {
        "bhd" | "jod" | "kwd" | "omr" | "tnd" => 10,
        "isk" | "ugx" => 100,
        _ => 1,
    };
    if amount % step != 0 {
        let words = format!("Invalid integer: {amount}. Amounts in {currency} must be evenly divisible by {step}.");
        return Err(ApiError::invalid(words).code("parameter_invalid_integer").param(param));
    }
    Ok(())
}
