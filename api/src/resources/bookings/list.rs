//! List of bookings: staff see those of their properties, other callers their own. The newest requests are first.

use crate::auth::credentials::Credentials;
use crate::http::headers;
use crate::http::pagination::{Page, PageQuery};
use crate::http::problem::{self, HandlerResult, Problem};
use crate::resources::bookings::view::{BookingView, Links};
use crate::state::SharedApp;
use crate::store_call;
use axum::extract::{Request, State};
use chrono::NaiveDate;
use pvt_domain::booking::{Booking, Status};
use pvt_domain::ids::{BookingId, PropertyId};
use pvt_stores::mongo::bookings::{BookingFilter, BookingScope};
use serde::Deserialize;

/// Longest text of a filter, in bytes.
const MAX_TEXT_BYTES: usize = 254;
/// Between the parts of a cursor.
const SEPARATOR: char = '|';

#[derive(Debug, Deserialize)]
struct ListQuery {
    property_id: Option<String>,
    status: Option<String>,
    arrival_from: Option<String>,
    arrival_until: Option<String>,
    email: Option<String>,
    reference: Option<String>,
}

/// `GET /api/bookings`, filtered by `property_id`, `status`, `arrival_from` and `arrival_until` (both included),
/// `email`, `reference`.
pub(crate) async fn list(State(app): State<SharedApp>, request: Request) -> HandlerResult {
    let (parts, _) = request.into_parts();
    let caller = Credentials::of(&parts).caller;
    let query = PageQuery::read(&parts.uri)?;
    let asked: ListQuery = headers::query(&parts.uri)?;
    let properties: Vec<PropertyId> =
        app.inventory_cache.all().keys().filter(|property| caller.is_staff_of(property)).cloned().collect();
    let whose = match (&asked.property_id, caller.client()) {
        // Neither the bookings of another property are shown, nor whether there are any.
        (Some(wanted), _) if properties.iter().any(|property| property.as_str() == wanted) => {
            BookingScope::Properties(vec![wanted.as_str().into()])
        }
        (Some(_), _) if !properties.is_empty() => return Err(problem::NOT_FOUND.into()),
        (None, _) if !properties.is_empty() => BookingScope::Properties(properties),
        (_, Some(client)) => BookingScope::Client(client.to_owned()),
        (_, None) => return Err(problem::UNAUTHENTICATED.into()),
    };
    let filter = read(asked, whose)?;
    let after = query.after.as_deref().map(position).transpose()?;
    let (mongo, wanted) = (app.mongo.clone(), query.fetch_limit());
    let found = store_call::read(async move { mongo.bookings().list(&filter, after.as_ref(), wanted).await }).await?;
    let page = Page::of(found, &query, |booking: &Booking| format!("{}{SEPARATOR}{}", booking.created_at, booking.id));
    page.answer(&path_of(parts.uri.query()), &query, |booking| {
        // A view of texts and numbers always serializes.
        serde_json::to_value(BookingView::new(&booking, Links::new(booking.id, None), None)).unwrap_or_default()
    })
}

fn read(asked: ListQuery, scope: BookingScope) -> Result<BookingFilter, Problem> {
    let invalid = |what: &'static str| Problem::new(problem::INVALID_QUERY, what);
    let date = |text: Option<String>| match text {
        Some(text) => text
            .parse::<NaiveDate>()
            .map(Some)
            .map_err(|_| invalid("`arrival_from` and `arrival_until` take dates such as 2027-01-10.")),
        None => Ok(None),
    };
    let status = asked.status.map(|text| {
        Status::parse(&text).ok_or_else(|| invalid("`status` takes the name of a state, such as confirmed."))
    });
    let ids = asked.reference.map(|text| {
        BookingId::range_of_reference(&text).ok_or_else(|| invalid("`reference` takes a code such as PVT-0123456789."))
    });
    if asked.email.as_ref().is_some_and(|email| email.len() > MAX_TEXT_BYTES) {
        return Err(invalid("`email` takes an address."));
    }
    Ok(BookingFilter {
        scope,
        property_id: asked.property_id.map(|id| id.as_str().into()),
        status: status.transpose()?,
        arrival_from: date(asked.arrival_from)?,
        arrival_until: date(asked.arrival_until)?,
        email: asked.email,
        ids: ids.transpose()?,
    })
}

/// The end of the previous page: when its last booking was requested, and its id.
fn position(cursor: &str) -> Result<(String, BookingId), Problem> {
    let parts = cursor.split_once(SEPARATOR).and_then(|(at, id)| Some((at.to_owned(), id.parse().ok()?)));
    parts
        .ok_or_else(|| Problem::new(problem::INVALID_QUERY, "`cursor` takes what an earlier page gave as next_cursor."))
}

/// The list's address with its filters, for the link to the next page.
fn path_of(query: Option<&str>) -> String {
    let paging = |pair: &&str| !["limit=", "cursor="].iter().any(|name| pair.starts_with(name));
    let filters: Vec<&str> =
        query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).filter(paging).collect();
    if filters.is_empty() { "/api/bookings".to_owned() } else { format!("/api/bookings?{}", filters.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::{path_of, position};

    #[test]
    fn next_link_keeps_filters() {
        assert_eq!(path_of(None), "/api/bookings");
        assert_eq!(
            path_of(Some("limit=2&status=confirmed&cursor=abc&email=a%40b.example")),
            "/api/bookings?status=confirmed&email=a%40b.example"
        );
    }

    #[test]
    fn malformed_cursors_are_refused() {
        assert!(position("2026-12-01T12:00:00.000Z|11111111-2222-5333-8444-555555555555").is_ok());
        assert!(["", "|", "2026-12-01T12:00:00.000Z|1"].iter().all(|bad| position(bad).is_err()));
    }
}
