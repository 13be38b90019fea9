//! What people see and change of their own account.

use super::etag;
use super::forms::ProfileForm;
use crate::auth::credentials::Credentials;
use crate::form::read_form;
use crate::http::headers;
use crate::http::problem::{self, HandlerResult, Problem};
use crate::state::SharedApp;
use crate::store_call;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use pvt_domain::accounts::{Profile, Role, User, UserId};
use pvt_domain::ids::PropertyId;
use pvt_domain::timestamp::Timestamp;
use pvt_stores::StoreError;
use serde::Serialize;

/// An account as shown: never with anything about its password.
#[derive(Serialize)]
pub(crate) struct UserView {
    id: UserId,
    email: String,
    name: String,
    role: Role,
    properties: Vec<PropertyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<String>,
    rev: u32,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_at: Option<Timestamp>,
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        let User { id, email, name, role, properties, locale, rev, created_at, disabled_at } = user.clone();
        Self { id, email: email.as_str().to_owned(), name, role, properties, locale, rev, created_at, disabled_at }
    }
}

/// An account with its revision as entity tag.
pub(crate) fn shown(user: &User) -> Response {
    ([(header::ETAG, etag(user.rev))], Json(UserView::from(user))).into_response()
}

/// What came of a change that was meant for one revision.
pub(crate) fn current<T>(changed: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match changed {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::Stale(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `GET /api/auth/profile`.
pub(crate) async fn show(State(app): State<SharedApp>, request: Request) -> HandlerResult {
    let (parts, _) = request.into_parts();
    let id = Credentials::of(&parts).caller.signed_in_user()?.id;
    let mongo = app.mongo.clone();
    let user = store_call::read(async move { mongo.users().find(id).await }).await?;
    // The token outlives an account for minutes.
    user.as_ref().map(shown).ok_or_else(|| problem::UNAUTHENTICATED.into())
}

/// `PUT /api/auth/profile` with `name` and `locale`.
pub(crate) async fn change(State(app): State<SharedApp>, request: Request) -> HandlerResult {
    let (parts, body) = request.into_parts();
    let id = Credentials::of(&parts).caller.signed_in_user()?.id;
    let rev = headers::if_match(&parts.headers)?;
    let (ProfileForm { name, locale }, _) = read_form(&parts.headers, body).await?;
    let profile = Profile { name, locale };
    let mongo = app.mongo.clone();
    let changed = store_call::write(async move { current(mongo.users().set_profile(id, rev, &profile).await) }).await?;
    changed.as_ref().map(shown).ok_or_else(|| Problem::from(problem::PRECONDITION_FAILED))
}
