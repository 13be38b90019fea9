//! List of bookings: staff see those of their properties, other callers their own. The newest requests are first.

use super::view::{BookingView, Links};
use crate::auth::policy::Caller;
use crate::http::extract::QueryParams;
use crate::http::pagination::{Page, PageQuery, Paged};
use crate::http::problem::{self, Problem};
use crate::state::SharedApp;
use crate::store_call;
use axum::extract::State;
use axum::http::Uri;
use chrono::NaiveDate;
use pvt_domain::booking::{Booking, Status};
use pvt_domain::ids::{BookingId, PropertyId};
use pvt_domain::intake::MAX_EMAIL_BYTES;
use pvt_domain::people::email;
use pvt_stores::mongo::bookings::{BookingFilter, BookingScope};
use schemars::JsonSchema;
use serde::Deserialize;

/// Between the parts of a cursor.
const SEPARATOR: char = '|';

#[derive(Deserialize, JsonSchema)]
pub(super) struct ListQuery {
    /// Only of this property.
    property_id: Option<String>,
    /// Only in this state.
    #[schemars(with = "Option<Status>")]
    status: Option<String>,
    /// Only arriving on this day or later.
    #[schemars(with = "Option<NaiveDate>")]
    arrival_from: Option<String>,
    /// Only arriving on this day or earlier.
    #[schemars(with = "Option<NaiveDate>")]
    arrival_until: Option<String>,
    /// Only of the guest with this address, in whatever capitals.
    #[schemars(length(max = MAX_EMAIL_BYTES))]
    email: Option<String>,
    /// Only with this code, for example PVT-0123456789.
    reference: Option<String>,
}

/// `GET /api/bookings`, filtered by `property_id`, `status`, `arrival_from` and `arrival_until` (both included),
/// `email`, `reference`.
pub(super) async fn list(
    State(app): State<SharedApp>,
    caller: Caller,
    uri: Uri,
    query: PageQuery,
    QueryParams(requested): QueryParams<ListQuery>,
) -> Result<Paged<BookingView<'static>>, Problem> {
    let properties: Vec<PropertyId> =
        app.inventory_cache.all().keys().filter(|property| caller.is_staff_of(property)).cloned().collect();
    let whose = match (&requested.property_id, caller.client()) {
        // Neither the bookings of another property are shown, nor whether there are any.
        (Some(wanted), _) if properties.iter().any(|property| property.as_str() == wanted) => {
            BookingScope::Properties(vec![wanted.as_str().into()])
        }
        (Some(_), _) if !properties.is_empty() => return Err(problem::NOT_FOUND.into()),
        (None, _) if !properties.is_empty() => BookingScope::Properties(properties),
        (_, Some(client)) => BookingScope::Client(client.to_owned()),
        (_, None) => return Err(problem::UNAUTHENTICATED.into()),
    };
    let filter = read(requested, whose)?;
    let after = query.after.as_deref().map(position).transpose()?;
    let (mongo, wanted) = (app.mongo.clone(), query.fetch_limit());
    let found = store_call::read(async move { mongo.bookings().list(&filter, after.as_ref(), wanted).await }).await?;
    let page = Page::of(found, &query, |booking: &Booking| format!("{}{SEPARATOR}{}", booking.created_at, booking.id));
    page.as_ref().respond_at(&uri, &query, |booking| {
        BookingView::new(booking, Links::new(booking.id, None), None).with_cancellation(&app, booking)
    })
}

fn read(requested: ListQuery, scope: BookingScope) -> Result<BookingFilter, Problem> {
    let invalid = |what: &'static str| Problem::new(problem::INVALID_QUERY, what);
    let date = |text: Option<String>| match text {
        Some(text) => text
            .parse::<NaiveDate>()
            .map(Some)
            .map_err(|_| invalid("`arrival_from` and `arrival_until` take dates such as 2027-01-10.")),
        None => Ok(None),
    };
    let status = requested.status.map(|text| {
        Status::parse(&text).ok_or_else(|| invalid("`status` takes the name of a state, such as confirmed."))
    });
    let ids = requested.reference.map(|text| {
        BookingId::range_of_reference(&text).ok_or_else(|| invalid("`reference` takes a code such as PVT-0123456789."))
    });
    let email = requested.email.as_deref().map(with_plus_signs);
    if email.as_ref().is_some_and(|email| email.len() > MAX_EMAIL_BYTES) {
        return Err(invalid("`email` takes an address."));
    }
    Ok(BookingFilter {
        scope,
        property_id: requested.property_id.map(|id| id.as_str().into()),
        status: status.transpose()?,
        arrival_from: date(requested.arrival_from)?,
        arrival_until: date(requested.arrival_until)?,
        // What is no address is searched as it is, and found nowhere.
        email: email.map(|text| email::parse(&text).unwrap_or(text)),
        ids: ids.transpose()?,
    })
}

/// An address as it was meant: clients leave `+` as it is, which a query means as a space. Addresses have no spaces.
fn with_plus_signs(email: &str) -> String {
    email.trim().replace(' ', "+")
}

/// The end of the previous page: when its last booking was requested, and its id.
fn position(cursor: &str) -> Result<(String, BookingId), Problem> {
    let parts = cursor.split_once(SEPARATOR).and_then(|(at, id)| Some((at.to_owned(), id.parse().ok()?)));
    parts
        .ok_or_else(|| Problem::new(problem::INVALID_QUERY, "`cursor` takes what an earlier page gave as next_cursor."))
}

#[cfg(test)]
mod tests {
    use super::{ListQuery, position, read};
    use crate::http::headers;
    use pvt_stores::mongo::bookings::BookingScope;

    #[test]
    fn plus_sign_of_an_address_may_be_sent_raw() {
        for query in ["email=ada+pvt@example.com", "email=ada%2Bpvt%40example.com", "email=%20ada+pvt@example.com+"] {
            let query: ListQuery = headers::query(&format!("/api/bookings?{query}").parse().unwrap()).unwrap();
            let filter = read(query, BookingScope::Properties(vec![])).unwrap();
            assert_eq!(filter.email.as_deref(), Some("ada+pvt@example.com"));
        }
    }

    #[test]
    fn malformed_cursors_are_refused() {
        assert!(position("2026-12-01T12:00:00.000Z|11111111-2222-5333-8444-555555555555").is_ok());
        assert!(["", "|", "2026-12-01T12:00:00.000Z|1"].iter().all(|bad| position(bad).is_err()));
    }
}
