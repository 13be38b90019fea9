//! API keys, as admins make and revoke them. A key's text is shown once.

use super::forms::ApiKeyForm;
use crate::auth::credentials::Credentials;
use crate::form::read_form;
use crate::http::pagination::{Page, PageQuery};
use crate::http::problem::{self, HandlerResult};
use crate::state::SharedApp;
use crate::store_call;
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use chrono::Utc;
use pvt_domain::ids::PropertyId;
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::api_keys::{ApiKey, ApiRole, NewApiKey, PropertyScope, Scope, ScopeSet};
use pvt_stores::mongo::audit::AuditEntry;
use serde::Serialize;
use uuid::Uuid;

/// A key as shown: without its hash.
#[derive(Serialize)]
struct KeyView {
    id: String,
    name: String,
    role: ApiRole,
    /// Missing: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    properties: Option<Vec<PropertyId>>,
    /// Missing: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
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
pub(crate) async fn list(State(app): State<SharedApp>, uri: Uri) -> HandlerResult {
    let query = PageQuery::read(&uri)?;
    let (mongo, after, wanted) = (app.mongo.clone(), query.after.clone(), query.fetch_limit());
    let keys = store_call::read(async move { mongo.api_keys().list(after.as_deref(), wanted).await }).await?;
    Page::of(keys, &query, |key| key.id.clone()).answer("/api/auth/api-keys", &query, |key| KeyView::new(key, None))
}

/// `POST /api/auth/api-keys` with `role`, `name` and perhaps `properties` and `scopes`: 201 with the key, this once.
pub(crate) async fn create(State(app): State<SharedApp>, request: Request) -> HandlerResult {
    let (parts, body) = request.into_parts();
    let actor = Credentials::of(&parts).caller.actor();
    let (form, _): (ApiKeyForm, _) = read_form(&parts.headers, body).await?;
    let new = NewApiKey::from(form);
    let mongo = app.mongo.clone();
    let (stored, key) = store_call::write(async move {
        let now = Utc::now().into();
        let (stored, key) = mongo.api_keys().create(new, now).await?;
        let entry = AuditEntry::new(Uuid::new_v4(), now, &actor, "api_key.create".to_owned(), &stored.id, &stored.name);
        mongo.audit_log().append(&entry).await?;
        Ok((stored, key))
    })
    .await?;
    Ok((StatusCode::CREATED, Json(KeyView::new(stored, Some(key)))).into_response())
}

/// `DELETE /api/auth/api-keys/{id}`: 204 once the key is void; instances notice within a minute.
pub(crate) async fn revoke(State(app): State<SharedApp>, Path(id): Path<String>, request: Request) -> HandlerResult {
    let (parts, _) = request.into_parts();
    let actor = Credentials::of(&parts).caller.actor();
    let mongo = app.mongo.clone();
    let revoked = store_call::write(async move {
        let now = Utc::now().into();
        let revoked = mongo.api_keys().revoke(&id, now).await?;
        if revoked {
            let entry = AuditEntry::new(Uuid::new_v4(), now, &actor, "api_key.revoke".to_owned(), &id, "");
            mongo.audit_log().append(&entry).await?;
        }
        Ok(revoked)
    });
    if revoked.await? { Ok(StatusCode::NO_CONTENT.into_response()) } else { Err(problem::NOT_FOUND.into()) }
}
