//! Expansion by `expand[]`: an id in a response is replaced by the object.
//! <https://docs.stripe.com/api/expanding_objects>

use crate::error::ApiError;
use crate::state::State;
use serde_json::{Value, json};

/// Deepest path, as at Stripe.
const MAX_DEPTH: usize = 4;

/// Expands one path, for example `data.latest_charge.balance_transaction`.
pub(super) fn expand(state: &State, answer: &mut Value, path: &str) -> Result<(), ApiError> {
    let steps: Vec<&str> = path.split('.').collect();
    if steps.len() > MAX_DEPTH {
        return Err(ApiError::invalid(format!(
            "You cannot expand more than {MAX_DEPTH} levels of a property. Property: {path}"
        )));
    }
    match walk(state, answer, &steps) {
        true => Ok(()),
        false => Err(ApiError::invalid(format!("This property cannot be expanded ({path})."))),
    }
}

fn walk(state: &State, at: &mut Value, steps: &[&str]) -> bool {
    let Some((step, rest)) = steps.split_first() else { return true };
    if let (Some("checkout.session"), "line_items") = (at["object"].as_str(), *step) {
        let url = format!("/v1/checkout/sessions/{}/line_items", at["id"].as_str().unwrap_or_default());
        let lines = at["id"].as_str().and_then(|id| state.sessions.get(id)).map(|session| session.line_items());
        at["line_items"] = json!({ "object": "list", "data": lines, "has_more": false, "url": url });
        return rest.is_empty();
    }
    let Some(value) = at.get_mut(step) else { return false };
    match value {
        Value::Null => true,
        Value::Array(list) => list.iter_mut().all(|one| walk(state, one, rest)),
        Value::Object(_) => walk(state, value, rest),
        Value::String(id) => match state.json(id) {
            Some(object) => {
                *value = object;
                walk(state, value, rest)
            }
            None => false,
        },
        _ => false,
    }
}
