//! Events: <https://docs.stripe.com/api/events>. They include those that webhooks have lost.

use super::listing::{self, Rows};
use crate::error::ApiError;
use crate::objects::event::Event;
use crate::params::Params;
use crate::state::State;
use serde_json::Value;

/// Most types of one list, as at Stripe.
const MAX_TYPES: usize = 20;

pub(super) fn retrieve(state: &State, params: &Params, id: &str) -> Result<Value, ApiError> {
    params.only(&["expand"])?;
    state.events.get(id).map(Event::json).ok_or_else(|| ApiError::missing("event", id, "id"))
}

pub(super) fn list(state: &State, params: &Params) -> Result<Value, ApiError> {
    let (kind, kinds) = (params.text("type")?, params.texts("types")?);
    if kinds.len() > MAX_TYPES {
        return Err(ApiError::invalid(format!("You may pass at most {MAX_TYPES} types")).param("types"));
    }
    let undelivered = params.choice("delivery_success", &["true", "false"])?.map(|delivered| delivered == "false");
    let wanted = |event: &Event| {
        kind.as_deref().is_none_or(|kind| matches(kind, &event.kind))
            && (kinds.is_empty() || kinds.contains(&event.kind))
            && undelivered.is_none_or(|undelivered| undelivered == (event.pending > 0))
    };
    listing::page(
        &Rows::All(&state.events),
        params,
        "/v1/events",
        &["type", "types", "delivery_success"],
        wanted,
        Event::json,
    )
}

/// `charge.*` matches every type of charges.
fn matches(wanted: &str, kind: &str) -> bool {
    wanted.strip_suffix('*').map_or(wanted == kind, |prefix| kind.starts_with(prefix))
}
