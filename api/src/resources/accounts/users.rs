//! What admins see of accounts, and whom they give which role.

use super::forms::RoleForm;
use super::profile::{UserView, current, shown};
use crate::auth::credentials::Credentials;
use crate::auth::policy::Caller;
use crate::form::read_form;
use crate::http::headers;
use crate::http::pagination::{Page, PageQuery};
use crate::http::problem::{self, HandlerResult, Problem};
use crate::state::SharedApp;
use crate::store_call;
use axum::extract::{Path, Request, State};
use axum::http::Uri;
use chrono::Utc;
use pvt_domain::accounts::UserId;
use pvt_stores::mongo::audit::AuditEntry;
use uuid::Uuid;

/// `GET /api/auth/users`: all of them by id, which is by age, a page at a time.
pub(crate) async fn list(State(app): State<SharedApp>, uri: Uri) -> HandlerResult {
    let query = PageQuery::read(&uri)?;
    let (mongo, after, wanted) = (app.mongo.clone(), query.after.clone(), query.fetch_limit());
    let users = store_call::read(async move { mongo.users().list(after.as_deref(), wanted).await }).await?;
    Page::of(users, &query, |user| user.id.to_string()).answer("/api/auth/users", &query, |user| UserView::from(&user))
}

/// `PATCH /api/auth/users/{id}/role` with `role` and, for staff, `properties`. Access tokens that are out keep the old
/// role until they run out.
pub(crate) async fn set_role(State(app): State<SharedApp>, Path(id): Path<String>, request: Request) -> HandlerResult {
    let (parts, body) = request.into_parts();
    let caller = Credentials::of(&parts).caller;
    let id: UserId = id.parse().map_err(|_| Problem::from(problem::NOT_FOUND))?;
    let rev = headers::if_match(&parts.headers)?;
    let (RoleForm { role, properties }, _) = read_form(&parts.headers, body).await?;
    let properties = properties.unwrap_or_default();
    if matches!(&caller, Caller::User(user) if user.id == id) {
        // Or the last admin could lock everybody out by a slip of the hand.
        return Err(Problem::new(problem::FORBIDDEN, "Ask another admin: nobody changes their own role."));
    }
    let mongo = app.mongo.clone();
    let exists = store_call::read(async move { mongo.users().find(id).await }).await?;
    if exists.is_none() {
        return Err(problem::NOT_FOUND.into());
    }
    let (mongo, actor) = (app.mongo.clone(), caller.actor());
    let changed = store_call::write(async move {
        let changed = current(mongo.users().set_role(id, rev, role, &properties).await)?;
        if changed.is_some() {
            let detail = format!(
                "{} {}",
                role.as_str(),
                properties.iter().map(|property| property.as_str()).collect::<Vec<_>>().join(",")
            );
            let entry = AuditEntry::new(
                Uuid::new_v4(),
                Utc::now().into(),
                &actor,
                "account.role".to_owned(),
                &id.to_string(),
                detail.trim(),
            );
            mongo.audit_log().append(&entry).await?;
        }
        Ok(changed)
    });
    changed.await?.as_ref().map(shown).ok_or_else(|| Problem::from(problem::PRECONDITION_FAILED))
}
