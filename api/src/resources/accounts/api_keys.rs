//! API keys: created, listed and revoked by administrators. The text of a key is shown once.

use super::forms::ApiKeyForm;
use crate::auth::policy::Caller;
use crate::http::extract::{Form, PathId};
use crate::http::pagination::{Page, PageQuery, Paged};
use crate::http::problem::{self, Problem};
use crate::http::response::{JsonResponse, NoContent};
use crate::openapi::schemas::one_of;
use crate::state::SharedApp;
use crate::store_call;
use axum::extract::State;
use chrono::Utc;
use pvt_domain::ids::PropertyId;
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::api_keys::{ApiKey, ApiRole, NewApiKey, PropertyScope, Scope, ScopeSet};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Value, json};

/// An API key.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ApiKey", example = example())]
pub(super) struct KeyView {
    id: String,
    name: String,
    #[schemars(schema_with = "role_schema")]
    role: ApiRole,
    /// Missing: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    properties: Option<Vec<PropertyId>>,
    /// Missing: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "scopes_schema")]
    scopes: Option<Vec<Scope>>,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<Timestamp>,
    /// The whole key, when it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl KeyView {
    fn new(stored: ApiKey, key: Option<String>) -> Self {
        let ApiKey { id, name, role, properties, scopes, created_at, revoked_at, hash: _ } = stored;
        let properties = match properties {
            PropertyScope::All => None,
            PropertyScope::Only(listed) => Some(listed),
        };
        let scopes = match scopes {
            ScopeSet::All => None,
            ScopeSet::Only(listed) => Some(listed),
        };
        Self { id, name, role, properties, scopes, created_at, revoked_at, key }
    }
}

/// `GET /api/auth/api-keys`: all of them by id, revoked ones too, a page at a time.
pub(super) async fn list(State(app): State<SharedApp>, query: PageQuery) -> Result<Paged<KeyView>, Problem> {
    let (mongo, after, wanted) = (app.mongo.clone(), query.after.clone(), query.fetch_limit());
    let keys = store_call::read(async move { mongo.api_keys().list(after.as_deref(), wanted).await }).await?;
    Page::of(keys, &query, |key| key.id.clone()).respond("/api/auth/api-keys", &query, |key| KeyView::new(key, None))
}

/// `POST /api/auth/api-keys` with `role`, `name` and perhaps `properties` and `scopes`: 201 with the key, this once.
pub(super) async fn create(
    State(app): State<SharedApp>,
    caller: Caller,
    form: Form<ApiKeyForm>,
) -> Result<JsonResponse<201, KeyView>, Problem> {
    let (actor, new) = (caller.actor(), NewApiKey::from(form.value));
    let mongo = app.mongo.clone();
    let created = store_call::write(async move { mongo.api_keys().create(new, actor, Utc::now().into()).await });
    let (stored, key) = created.await?;
    Ok(JsonResponse::new(&KeyView::new(stored, Some(key))))
}

/// `DELETE /api/auth/api-keys/{id}`: 204 once the key is void; instances notice within a minute.
pub(super) async fn revoke(
    State(app): State<SharedApp>,
    PathId(id): PathId<String>,
    caller: Caller,
) -> Result<NoContent, Problem> {
    let actor = caller.actor();
    let mongo = app.mongo.clone();
    let revoked = store_call::write(async move { mongo.api_keys().revoke(&id, actor, Utc::now().into()).await });
    if revoked.await? { Ok(NoContent) } else { Err(problem::NOT_FOUND.into()) }
}

fn role_schema(_: &mut SchemaGenerator) -> Schema {
    one_of(&ApiRole::ALL)
}

fn scopes_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": one_of(&Scope::ALL) })
}

fn example() -> Value {
    json!({
        "id": "a1b2c3d4e5f6", "name": "Booking site", "role": "client", "scopes": ["bookings:read", "bookings:write"],
        "created_at": "2026-12-01T12:00:00.000Z", "key": "pvt_a1b2c3d4e5f6_…",
    })
}
