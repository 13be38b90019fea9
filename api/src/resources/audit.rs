//! Who did what, for administrators.

use crate::http::headers;
use crate::http::pagination::{Page, PageQuery};
use crate::http::problem::{self, HandlerResult, Problem};
use crate::state::SharedApp;
use crate::store_call;
use axum::extract::State;
use axum::http::Uri;
use chrono::DateTime;
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::audit::AuditEntry;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Deserialize)]
struct AuditQuery {
    subject: Option<String>,
}

#[derive(Serialize)]
struct AuditView {
    id: Uuid,
    at: Timestamp,
    actor: String,
    action: String,
    subject: String,
    detail: String,
    cause: Uuid,
}

impl From<AuditEntry> for AuditView {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { id, at, actor, action, subject, detail, cause } = entry;
        Self { id, at, actor, action, subject, detail, cause }
    }
}

/// `GET /api/audit`: everything, the newest first, or what was done to one `subject`.
pub(crate) async fn list(State(app): State<SharedApp>, uri: Uri) -> HandlerResult {
    let (query, asked): (PageQuery, AuditQuery) = (PageQuery::read(&uri)?, headers::query(&uri)?);
    let before = query.after.as_deref().map(read_cursor).transpose()?;
    let (mongo, wanted) = (app.mongo.clone(), query.fetch_limit());
    let subject = asked.subject.clone();
    let found = store_call::read(async move {
        let before = before.as_ref().map(|(at, id)| (at.as_str(), id.as_str()));
        mongo.list_audit(subject.as_deref(), before, wanted).await
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
