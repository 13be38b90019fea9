//! What the routes of a property's parts share: whose part it is, and how it is answered.
//!
//! Ids of rooms, beds, types, plans and policies are unique within their property only, so each request names it: in
//! the query, or in the body where something is made.

use crate::auth::credentials::Credentials;
use crate::auth::policy::Caller;
use crate::commands::idempotency::IdempotentRequest;
use crate::http::headers::{self, IDEMPOTENCY_REPLAYED};
use crate::http::problem::{self, HandlerResult, Problem};
use crate::read_models::inventory::Lookup;
use crate::resources::properties::change::{EditOutcome, etag};
use crate::state::App;
use axum::Json;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::IntoResponse;
use pvt_domain::ids::PropertyId;
use pvt_domain::inventory::Inventory;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Deserialize)]
struct OfProperty {
    property_id: Option<String>,
}

/// The property that the query names.
pub(crate) fn property_of(uri: &Uri) -> Result<PropertyId, Problem> {
    let query: OfProperty = headers::query(uri)?;
    let missing = || Problem::new(problem::INVALID_QUERY, "`property_id` is missing; GET /api/properties lists them.");
    query.property_id.map(PropertyId::new).ok_or_else(missing)
}

/// The property as this instance knows it, or as somebody has just made it elsewhere.
pub(crate) async fn known(app: &App, property: &PropertyId) -> Result<Arc<Inventory>, Problem> {
    match app.inventory_cache.find(property.as_str()).await {
        Lookup::Found(house) => Ok(house),
        Lookup::Unknown(_) => Err(problem::NOT_FOUND.into()),
        Lookup::Unavailable => Err(problem::NOT_READY.into()),
    }
}

/// The caller, who must work for this property: whoever does not, must not learn that it exists.
pub(crate) fn worker_of(parts: &Parts, property: &PropertyId) -> Result<Caller, Problem> {
    Credentials::of(parts).caller.staff_of(property)
}

/// A part of this revision of the house.
pub(crate) fn shown(rev: u64, view: impl Serialize) -> HandlerResult {
    Ok(([(header::ETAG, etag(rev))], Json(view)).into_response())
}

/// 201 with what was made, or was there just so.
pub(crate) fn made(rev: u64, new: bool, location: &str, view: impl Serialize) -> HandlerResult {
    let location = HeaderValue::try_from(location).map_err(Problem::internal)?;
    let mut answer =
        (StatusCode::CREATED, [(header::ETAG, etag(rev)), (header::LOCATION, location)], Json(view)).into_response();
    if !new {
        answer.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(answer)
}

/// Adds to a list what is not there yet. `place` is the list's pointer in the inventory. A wish that was fulfilled
/// before adds nothing, whatever became since of what it made.
pub(crate) fn add<T: Clone + PartialEq>(
    list: &mut Vec<T>,
    new: &T,
    once: &IdempotentRequest<'_>,
    same: impl Fn(&T) -> bool,
    place: &str,
) -> Result<EditOutcome, Problem> {
    match list.iter().find(|one| same(one)) {
        Some(there) if there == new || once.is_replay() => Ok(EditOutcome::Unchanged),
        Some(_) => Err(problem::ALREADY_EXISTS.into()),
        None if once.is_replay() => Err(Problem::new(
            problem::NOT_FOUND,
            "It was made under this key, and is gone. Use a new key to make it again.",
        )),
        None => {
            list.push(new.clone());
            Ok(EditOutcome::ChangedAt(format!("{place}/{}", list.len() - 1)))
        }
    }
}
