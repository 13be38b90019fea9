//! Search of all properties for a stay.

use super::search_query::{SearchParameters, SearchQuery};
use super::search_view::PropertyView;
use crate::http::extract::{QueryParams, VerifiedCaller};
use crate::http::language::PreferredLanguage;
use crate::http::pagination::{PageQuery, PageView, Paged};
use crate::http::problem::Problem;
use crate::state::SharedApp;
use axum::extract::State;
use axum::http::{HeaderValue, Uri, header};
use chrono::Utc;
use pvt_domain::availability::Occupancy;
use pvt_domain::ids::PropertyId;
use pvt_domain::timestamp::Timestamp;
use std::ops::Bound;
use tokio::task::spawn_blocking;

/// `GET /api/rooms/search`: what each property has for the stay, by property.
pub(super) async fn search(
    State(app): State<SharedApp>,
    uri: Uri,
    VerifiedCaller(caller): VerifiedCaller,
    QueryParams(parameters): QueryParams<SearchParameters>,
    PreferredLanguage(language): PreferredLanguage,
    page: PageQuery,
) -> Result<Paged<PropertyView<'static>>, Problem> {
    let query = SearchQuery::new(parameters, language)?;
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
    let now = Timestamp::from(Utc::now());
    // Seldom long, but a large property can take a while to be searched.
    let page = spawn_blocking(move || -> Paged<PropertyView<'static>> {
        let by_staff = |occupancy: &Occupancy| caller.is_staff_of(&occupancy.grid().inventory().property.id);
        let items = found
            .iter()
            .filter_map(|occupancy| PropertyView::of(occupancy, &query, now, by_staff(occupancy)))
            .collect();
        Paged::new(&PageView::new(items, cursor))
    });
    let page = page.await.map_err(Problem::internal)?;
    let page = page.with(header::VARY, HeaderValue::from_name(header::ACCEPT_LANGUAGE));
    Ok(match next {
        Some((_, link)) => page.with(header::LINK, HeaderValue::try_from(link).map_err(Problem::internal)?),
        None => page,
    })
}
