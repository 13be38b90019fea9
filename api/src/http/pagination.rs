//! Pagination of lists: an opaque cursor, a bounded number of items, and a `Link` to the next page.

use crate::http::headers;
use crate::http::problem::{self, Problem};
use crate::http::response::{JsonResponse, Link};
use axum::http::{HeaderValue, Uri, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Items of one page unless the caller says otherwise, and at most.
const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 200;

#[derive(Debug, Deserialize)]
struct PageParameters {
    limit: Option<String>,
    cursor: Option<String>,
}

/// The requested page.
#[derive(Debug)]
pub(crate) struct PageQuery {
    limit: usize,
    /// What the page before ended with.
    pub(crate) after: Option<String>,
}

impl PageQuery {
    /// Reads `limit` and `cursor`.
    ///
    /// # Errors
    /// 400 when either cannot be read.
    pub(crate) fn read(uri: &Uri) -> Result<Self, Problem> {
        let parameters: PageParameters = headers::query(uri)?;
        let limit = parameters
            .limit
            .map_or(Some(DEFAULT_LIMIT), |text| text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit)));
        let limit = limit.ok_or_else(|| {
            Problem::new(problem::INVALID_QUERY, format!("`limit` takes a number from 1 to {MAX_LIMIT}."))
        })?;
        let after = parameters
            .cursor
            .map(|text| URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok()));
        let unreadable =
            || Problem::new(problem::INVALID_QUERY, "`cursor` takes what an earlier page gave as next_cursor.");
        Ok(Self { limit, after: after.map(|after| after.ok_or_else(unreadable)).transpose()? })
    }

    /// Most items of the page.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// The next page of the list at `uri`, everything else it asks for kept: cursor and `Link`.
    pub(crate) fn next(&self, uri: &Uri, last: &str) -> (String, String) {
        let cursor = URL_SAFE_NO_PAD.encode(last);
        let link = self.link(&unpaged(uri), &cursor);
        (cursor, link)
    }

    fn link(&self, path: &str, cursor: &str) -> String {
        let and = if path.contains('?') { '&' } else { '?' };
        format!("<{path}{and}limit={}&cursor={cursor}>; rel=\"next\"", self.limit)
    }

    /// One item more than the page shows: whether it is there tells whether there is a next page.
    pub(crate) fn fetch_limit(&self) -> i64 {
        i64::try_from(self.limit).unwrap_or(i64::MAX).saturating_add(1)
    }
}

/// The parameters of a list without those of the page.
fn unpaged(uri: &Uri) -> String {
    let pairs = uri.query().unwrap_or_default().split('&');
    let kept: Vec<&str> =
        pairs.filter(|pair| !pair.is_empty() && !pair.starts_with("cursor=") && !pair.starts_with("limit=")).collect();
    if kept.is_empty() { uri.path().to_owned() } else { format!("{}?{}", uri.path(), kept.join("&")) }
}

/// The answer of a list: a page of these views.
pub(crate) type Paged<V> = JsonResponse<200, PageView<V>, Link>;

/// A page's items.
pub(crate) struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

/// A page of a list.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct PageView<V> {
    items: Vec<V>,
    /// Leads to the next page; missing on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl<V> PageView<V> {
    /// These items, and where the next page begins.
    pub(crate) fn new(items: Vec<V>, next_cursor: Option<String>) -> Self {
        Self { items, next_cursor }
    }
}

impl<T> Page<T> {
    /// From what was found for [`PageQuery::fetch_limit`]; `key` is what the list is ordered by.
    pub(crate) fn of(mut found: Vec<T>, query: &PageQuery, key: impl Fn(&T) -> String) -> Self {
        let more = found.len() > query.limit;
        found.truncate(query.limit);
        let next_cursor = found.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(key(last)));
        Self { items: found, next_cursor }
    }

    /// A page that was cut elsewhere; `last` is where the next one begins, if there may be one.
    pub(crate) fn with_cursor(items: Vec<T>, last: Option<String>) -> Self {
        Self { items, next_cursor: last.map(|last| URL_SAFE_NO_PAD.encode(last)) }
    }

    /// The same page of references, for views that borrow.
    pub(crate) fn as_ref(&self) -> Page<&T> {
        Page { items: self.items.iter().collect(), next_cursor: self.next_cursor.clone() }
    }

    /// The answer of the list at `uri`, whatever else that asks for.
    ///
    /// # Errors
    /// 500 for an address that cannot be a header.
    pub(crate) fn respond_at<V: Serialize>(
        self,
        uri: &Uri,
        query: &PageQuery,
        view: impl Fn(T) -> V,
    ) -> Result<Paged<V>, Problem> {
        self.respond(&unpaged(uri), query, view)
    }

    /// The answer of the list at `path`, which may have a query of its own.
    ///
    /// # Errors
    /// As [`Page::respond_at`].
    pub(crate) fn respond<V: Serialize>(
        self,
        path: &str,
        query: &PageQuery,
        view: impl Fn(T) -> V,
    ) -> Result<Paged<V>, Problem> {
        let link = self.next_cursor.as_ref().map(|cursor| query.link(path, cursor));
        let view = PageView { items: self.items.into_iter().map(view).collect(), next_cursor: self.next_cursor };
        let page = Paged::new(&view);
        Ok(match link {
            Some(link) => page.with(header::LINK, HeaderValue::try_from(link).map_err(Problem::internal)?),
            None => page,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Page, PageQuery, unpaged};

    fn query(text: &str) -> Result<PageQuery, &'static str> {
        PageQuery::read(&format!("/list{text}").parse().unwrap()).map_err(|problem| problem.code())
    }

    #[test]
    fn cursor_leads_to_next_page_until_the_last() {
        let first = query("?limit=2").unwrap();
        assert_eq!((first.fetch_limit(), first.after.as_deref()), (3, None));
        let page = Page::of(vec!["a", "b", "c"], &first, |item| (*item).to_owned());
        let cursor = page.next_cursor.unwrap();
        assert_eq!(
            (page.items, query(&format!("?cursor={cursor}")).unwrap().after.as_deref()),
            (vec!["a", "b"], Some("b"))
        );
        assert!(Page::of(vec!["c"], &first, |item| (*item).to_owned()).next_cursor.is_none());
    }

    #[test]
    fn next_link_keeps_filters() {
        let kept = |uri: &str| unpaged(&uri.parse().unwrap());
        assert_eq!(kept("/api/bookings"), "/api/bookings");
        assert_eq!(
            kept("/api/bookings?limit=2&status=confirmed&cursor=abc&email=a%40b.example"),
            "/api/bookings?status=confirmed&email=a%40b.example"
        );
    }

    #[test]
    fn invalid_parameters_are_refused() {
        for bad in ["?limit=0", "?limit=201", "?limit=x", "?cursor=%25", "?cursor=_w"] {
            assert_eq!(query(bad).err(), Some("invalid_query"), "{bad}");
        }
    }
}
