//! Audit: who changed what, newest first. For administrators: it concerns accounts and every property.

use crate::access::SignedIn;
use crate::app::SharedApp;
use crate::failure::{Failure, page};
use crate::frame::Frame;
use crate::pages::shown;
use crate::store;
use askama::Template;
use axum::extract::{Query, State};
use axum::response::Html;
use pvt_stores::mongo::audit::AuditEntry;
use serde::Deserialize;
use url::form_urlencoded;

/// Entries on one page.
const PAGE_SIZE: usize = 100;
/// Between the parts of a position.
const SEPARATOR: char = '|';

#[derive(Deserialize)]
pub(crate) struct AuditQuery {
    subject: Option<String>,
    /// The entry before the first one of the page: its time and its id.
    before: Option<String>,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    subject: String,
    rows: Vec<AuditRow>,
    /// The query of the next page.
    older: Option<String>,
}

struct AuditRow {
    at: String,
    actor: String,
    action: String,
    subject: String,
    detail: String,
}

/// `GET /audit?subject=&before=`.
pub(crate) async fn show(
    State(app): State<SharedApp>,
    user: SignedIn,
    Query(query): Query<AuditQuery>,
) -> Result<Html<String>, Failure> {
    let user = user.admin()?;
    let subject = query.subject.map(|subject| subject.trim().to_owned()).filter(|subject| !subject.is_empty());
    let (mongo, only, before) = (app.mongo.clone(), subject.clone(), query.before);
    let read = store::read(&app, async move {
        let before = before.as_deref().and_then(|before| before.split_once(SEPARATOR));
        let limit = i64::try_from(PAGE_SIZE).unwrap_or(i64::MAX) + 1;
        mongo.audit_log().list(only.as_deref(), before, limit).await
    });
    let entries = read.await?;
    let older = (entries.len() > PAGE_SIZE).then(|| entries.get(PAGE_SIZE - 1)).flatten();
    let older = older.map(|last| next_page(subject.as_deref(), last));
    page(&AuditPage {
        frame: Frame::new(&user, "Audit", "/audit"),
        subject: subject.unwrap_or_default(),
        rows: entries.into_iter().take(PAGE_SIZE).map(AuditRow::of).collect(),
        older,
    })
}

fn next_page(subject: Option<&str>, last: &AuditEntry) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(subject.map(|subject| ("subject", subject)));
    query.append_pair("before", &format!("{}{SEPARATOR}{}", last.at, last.id)).finish()
}

impl AuditRow {
    fn of(entry: AuditEntry) -> Self {
        let AuditEntry { at, actor, action, subject, detail, .. } = entry;
        Self { at: shown(at), actor: actor.to_string(), action, subject, detail }
    }
}
