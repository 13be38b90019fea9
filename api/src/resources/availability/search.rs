//! Searching all properties for a stay.

use super::search_query::SearchQuery;
use super::search_view::PropertyView;
use crate::http::pagination::PageQuery;
use crate::http::problem::{HandlerResult, Problem};
use crate::state::SharedApp;
use axum::extract::State;
use axum::http::{HeaderValue, Uri, header};
use axum::response::IntoResponse;
use pvt_domain::ids::PropertyId;
use serde::Serialize;
use std::ops::Bound;
use tokio::task::spawn_blocking;

#[derive(Serialize)]
struct Results<'a> {
    items: Vec<PropertyView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<&'a str>,
}

/// `GET /api/rooms/search`: what each property has for the stay, by property, a page at a time. A page may show fewer
/// properties than its limit: those that have nothing of what is asked for are left out.
pub(crate) async fn search(State(app): State<SharedApp>, uri: Uri) -> HandlerResult {
    let query = SearchQuery::read(&uri)?;
    let page = PageQuery::read(&uri)?;
    let all = app.inventory_cache.all();
    let from = page.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = all
        .range::<str, _>((from, Bound::Unbounded))
        .filter(|(_, inventory)| query.wants_property(inventory))
        .map(|(id, _)| id);
    let shown: Vec<PropertyId> = rest.by_ref().take(page.limit()).cloned().collect();
    let next = rest.next().and(shown.last()).map(|last| page.next(&uri, last.as_str()));
    let found = app.occupancy.of_all(shown).await?;
    let cursor = next.as_ref().map(|(cursor, _)| cursor.clone());
    // Seldom long, but a full house can take a while to be looked through.
    let answered = spawn_blocking(move || {
        let items = found.iter().filter_map(|occupancy| PropertyView::of(occupancy, &query)).collect();
        serde_json::to_vec(&Results { items, next_cursor: cursor.as_deref() })
    });
    let body = answered.await.map_err(Problem::internal)?.map_err(Problem::internal)?;
    let mut answer = ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response();
    if let Some((_, link)) = next {
        answer.headers_mut().insert(header::LINK, HeaderValue::try_from(link).map_err(Problem::internal)?);
    }
    Ok(answer)
}
