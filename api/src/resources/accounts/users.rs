//! Accounts and their roles, for administrators.

use super::forms::RoleForm;
use super::profile::{UserView, current, shown};
use crate::auth::policy::Caller;
use crate::http::extract::{Form, IfMatch, PathId};
use crate::http::pagination::{Page, PageQuery, Paged};
use crate::http::problem::{self, Problem};
use crate::http::response::Tagged;
use crate::state::SharedApp;
use crate::store_call;
use axum::extract::State;
use chrono::Utc;
use pvt_domain::accounts::UserId;
use pvt_stores::mongo::audit::AuditEntry;
use uuid::Uuid;

/// `GET /api/auth/users`: all of them by id, which is by age, a page at a time.
pub(super) async fn list(State(app): State<SharedApp>, query: PageQuery) -> Result<Paged<UserView>, Problem> {
    let (mongo, after, wanted) = (app.mongo.clone(), query.after.clone(), query.fetch_limit());
    let users = store_call::read(async move { mongo.users().list(after.as_deref(), wanted).await }).await?;
    Page::of(users, &query, |user| user.id.to_string()).respond("/api/auth/users", &query, |user| UserView::from(&user))
}

/// `PATCH /api/auth/users/{id}/role` with `role` and, for staff, `properties`. Access tokens that are out keep the old
/// role until they run out.
pub(super) async fn set_role(
    State(app): State<SharedApp>,
    PathId(id): PathId<UserId>,
    caller: Caller,
    IfMatch(revisions): IfMatch,
    form: Form<RoleForm>,
) -> Result<Tagged<UserView>, Problem> {
    let RoleForm { role, properties } = form.value;
    let properties = properties.unwrap_or_default();
    if matches!(&caller, Caller::User(user) if user.id == id) {
        // Or the last administrator could lock out all of them by mistake.
        return Err(Problem::new(problem::FORBIDDEN, "Ask another administrator: you cannot change your own role."));
    }
    let mongo = app.mongo.clone();
    let user = store_call::read(async move { mongo.users().find(id).await }).await?;
    let newest = user.ok_or_else(|| Problem::from(problem::NOT_FOUND))?.rev;
    let rev = revisions.expected(newest).unwrap_or(newest);
    let (mongo, actor) = (app.mongo.clone(), caller.actor());
    let changed = store_call::write(async move {
        let listed = properties.iter().map(|property| property.as_str()).collect::<Vec<_>>().join(",");
        let detail = format!("{} {listed}", role.as_str());
        let (now, action) = (Utc::now().into(), "account.role".to_owned());
        let entry = AuditEntry::new(Uuid::new_v4(), now, &actor, action, &id.to_string(), detail.trim());
        current(mongo.users().set_role(id, rev, (role, &properties), &entry).await)
    });
    changed.await?.as_ref().map(shown).ok_or_else(|| Problem::from(problem::PRECONDITION_FAILED))
}
