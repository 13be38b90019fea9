//! Audit log, for administrators.

use crate::auth::guard::{Resource, at, get};
use crate::auth::rules::REPORTS_ADMIN;
use crate::http::extract::QueryParams;
use crate::http::pagination::{Page, PageQuery, Paged};
use crate::http::problem::{self, Problem};
use crate::state::SharedApp;
use crate::store_call;
use axum::extract::State;
use axum::http::Uri;
use chrono::{DateTime, Utc};
use pvt_domain::actor::Actor;
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::audit::AuditEntry;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) fn resource() -> Resource {
    Resource {
        name: "Audit",
        about: "Audit log of changes by staff and administrators.",
        routes: vec![at(
            "/api/audit",
            [get(REPORTS_ADMIN, "list_audit", list).summary("List audit entries, newest first").stored()],
        )],
    }
}

#[derive(Deserialize, JsonSchema)]
struct AuditQuery {
    /// Only entries about this subject.
    subject: Option<String>,
}

/// A change by staff or an administrator.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditEntry")]
struct AuditView {
    id: Uuid,
    #[schemars(with = "DateTime<Utc>")]
    at: Timestamp,
    /// For example `staff:a1b2c3d4e5f6`.
    #[schemars(with = "String")]
    actor: Actor,
    /// For example `room.create`.
    action: String,
    /// What was changed, for example `pvt-quebec|room:q1`.
    subject: String,
    detail: String,
    /// The message or request that caused it.
    cause: Uuid,
}

impl From<AuditEntry> for AuditView {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { id, at, actor, action, subject, detail, cause } = entry;
        Self { id, at, actor, action, subject, detail, cause }
    }
}

/// `GET /api/audit`: everything, the newest first, or what was done to one `subject`.
async fn list(
    State(app): State<SharedApp>,
    uri: Uri,
    query: PageQuery,
    QueryParams(AuditQuery { subject }): QueryParams<AuditQuery>,
) -> Result<Paged<AuditView>, Problem> {
    let before = query.after.as_deref().map(read_cursor).transpose()?;
    let (mongo, wanted) = (app.mongo.clone(), query.fetch_limit());
    let found = store_call::read(async move {
        let before = before.as_ref().map(|(at, id)| (at.as_str(), id.as_str()));
        mongo.audit_log().list(subject.as_deref(), before, wanted).await
    });
    Page::of(found.await?, &query, |entry| format!("{}|{}", entry.at, entry.id)).respond_at(
        &uri,
        &query,
        AuditView::from,
    )
}

fn read_cursor(text: &str) -> Result<(String, String), Problem> {
    let unreadable =
        || Problem::new(problem::INVALID_QUERY, "`cursor` takes what an earlier page gave as next_cursor.");
    let (at, id) = text.split_once('|').ok_or_else(unreadable)?;
    let sound = DateTime::parse_from_rfc3339(at).is_ok() && Uuid::try_parse(id).is_ok();
    if sound { Ok((at.to_owned(), id.to_owned())) } else { Err(unreadable()) }
}
