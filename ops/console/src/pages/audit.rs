//! Audit: who changed what, newest first, and beside it who moved guests to other beds, which the histories of bookings
//! say. For administrators: it concerns accounts and every property.

mod bed_changes;
mod filter;

use crate::access::SignedIn;
use crate::actors::{self, ActorNames};
use crate::app::SharedApp;
use crate::failure::{Failure, page};
use crate::frame::{Choice, Frame};
use crate::pages::shown;
use crate::store;
use askama::Template;
use axum::extract::{Query, State};
use axum::response::Html;
use bed_changes::ChangeRow;
use filter::{AuditQuery, Selection};
use pvt_stores::mongo::audit::AuditEntry;
use url::form_urlencoded;

/// Entries on one page.
const PAGE_SIZE: usize = 100;
/// Most bookings whose histories are looked through, and most changes of beds that are shown.
const MAX_BOOKINGS: usize = 500;
const MAX_CHANGES: usize = 200;
/// Between the parts of a position.
const SEPARATOR: char = '|';

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    query: AuditQuery,
    properties: Vec<Choice>,
    /// None where they cannot be read.
    changes: Option<Vec<ChangeRow>>,
    /// What the changes of beds are limited to, or why they are not shown.
    extent: String,
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

/// `GET /audit?property=&bed=&booking=&actor=&day=&subject=&before=`.
pub(crate) async fn show(
    State(app): State<SharedApp>,
    user: SignedIn,
    Query(query): Query<AuditQuery>,
) -> Result<Html<String>, Failure> {
    let user = user.admin()?;
    let all = user.properties(&app).await?;
    let selection = Selection::read(&app, &query, &all).await?;
    let (mongo, before, log) = (app.mongo.clone(), query.before.clone(), selection.log.clone());
    let entries = store::read(&app, async move {
        let before = before.as_deref().and_then(|before| before.split_once(SEPARATOR));
        let limit = i64::try_from(PAGE_SIZE).unwrap_or(i64::MAX) + 1;
        mongo.audit_log().search(&log, before, limit).await
    });
    let (mongo, beds) = (app.mongo.clone(), selection.beds.clone());
    let changed = store::read(&app, async move {
        mongo.bookings().changed_within(&beds, i64::try_from(MAX_BOOKINGS).unwrap_or(i64::MAX).saturating_add(1)).await
    });
    let (entries, changed) = tokio::join!(entries, changed);
    let entries = entries?;
    // The log is of use without them.
    let (found, extent) = match &changed {
        Ok(changed) => {
            let found = bed_changes::of(changed, &selection, MAX_BOOKINGS);
            let is_cut = found.len() > MAX_CHANGES || bed_changes::is_cut(changed, &selection, MAX_BOOKINGS);
            (Some(found), selection.extent(is_cut))
        }
        Err(failure) => (None, format!("Changes of beds cannot be shown. {}", failure.text())),
    };
    let found = found.map(|found| found.into_iter().take(MAX_CHANGES).collect::<Vec<_>>());
    let actors = entries.iter().map(|entry| &entry.actor);
    let names = actors::names(&app, actors.chain(found.iter().flatten().map(|change| &change.entry.actor))).await;
    let changes = found.map(|found| found.iter().map(|change| change.row(&names)).collect());
    let older = (entries.len() > PAGE_SIZE).then(|| entries.get(PAGE_SIZE - 1)).flatten();
    let older = older.map(|last| next_page(&query, last));
    let mut properties = vec![Choice { value: String::new(), is_chosen: AuditQuery::value(&query.property).is_none() }];
    properties.extend(all.iter().map(|id| Choice {
        value: id.to_string(),
        is_chosen: AuditQuery::value(&query.property) == Some(id.as_str()),
    }));
    page(&AuditPage {
        frame: Frame::new(&user, "Audit", "/audit"),
        properties,
        changes,
        extent,
        rows: entries.into_iter().take(PAGE_SIZE).map(|entry| AuditRow::of(entry, &names)).collect(),
        older,
        query,
    })
}

fn next_page(query: &AuditQuery, last: &AuditEntry) -> String {
    let mut text = form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(query.pairs());
    text.append_pair("before", &format!("{}{SEPARATOR}{}", last.at, last.id)).finish()
}

impl AuditRow {
    fn of(entry: AuditEntry, names: &ActorNames) -> Self {
        let AuditEntry { at, actor, action, subject, detail, .. } = entry;
        Self { at: shown(at), actor: names.of(&actor), action, subject, detail }
    }
}
