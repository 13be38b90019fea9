//! Profile of the caller's own account.

use super::forms::ProfileForm;
use crate::auth::policy::Caller;
use crate::http::extract::{Form, IfMatch};
use crate::http::problem::{self, Problem};
use crate::http::response::Tagged;
use crate::state::SharedApp;
use crate::store_call;
use axum::extract::State;
use pvt_domain::accounts::{Profile, Role, User, UserId};
use pvt_domain::ids::PropertyId;
use pvt_domain::timestamp::Timestamp;
use pvt_stores::StoreError;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

/// An account.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Account", example = account_example())]
pub(super) struct UserView {
    id: UserId,
    email: String,
    name: String,
    role: Role,
    /// The properties of staff.
    properties: Vec<PropertyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<String>,
    #[schemars(range(min = 1))]
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
pub(super) fn shown(user: &User) -> Tagged<UserView> {
    Tagged::at(user.rev, &UserView::from(user))
}

/// What came of a change that was meant for one revision.
pub(super) fn current<T>(changed: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match changed {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::Stale(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `GET /api/auth/profile`.
pub(super) async fn show(State(app): State<SharedApp>, caller: Caller) -> Result<Tagged<UserView>, Problem> {
    let id = caller.signed_in_user()?.id;
    Ok(shown(&find(&app, id).await?))
}

/// The caller's account. The token outlives it for minutes.
async fn find(app: &SharedApp, id: UserId) -> Result<User, Problem> {
    let mongo = app.mongo.clone();
    let user = store_call::read(async move { mongo.users().find(id).await }).await?;
    user.ok_or_else(|| problem::UNAUTHENTICATED.into())
}

/// `PUT /api/auth/profile` with `name` and `locale`.
pub(super) async fn change(
    State(app): State<SharedApp>,
    caller: Caller,
    IfMatch(revisions): IfMatch,
    form: Form<ProfileForm>,
) -> Result<Tagged<UserView>, Problem> {
    let id = caller.signed_in_user()?.id;
    let ProfileForm { name, locale } = form.value;
    let profile = Profile { name, locale };
    let newest = find(&app, id).await?.rev;
    let rev = revisions.expected(newest).unwrap_or(newest);
    let mongo = app.mongo.clone();
    let changed = store_call::write(async move { current(mongo.users().set_profile(id, rev, &profile).await) }).await?;
    changed.as_ref().map(shown).ok_or_else(|| Problem::from(problem::PRECONDITION_FAILED))
}

/// An account, as the document shows it.
pub(super) fn account_example() -> Value {
    json!({
        "id": "0195d3c0-7a61-7e55-9f0e-6a7f2a9d1c11", "email": "ada@example.com", "name": "Ada Lovelace",
        "role": "guest", "properties": [], "locale": "en", "rev": 1, "created_at": "2026-12-01T12:00:00.000Z",
    })
}
