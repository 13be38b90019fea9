//! One booking, decided or still pending.

use super::etag;
use super::refusal::currency_of;
use crate::auth::booking_access::BookingAccess;
use crate::commands::booking_watch::Awaited;
use crate::http::problem::HandlerResult;
use crate::resources::bookings::view::{BookingView, RequestedView};
use crate::state::{App, SharedApp};
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pvt_domain::booking::Booking;
use tokio::time::Instant;

/// When to poll again for a booking that is not decided, in seconds.
const RETRY_AFTER_SECS: u16 = 1;

/// `GET /api/bookings/{id}`: the booking, or that it is still being decided. `?wait=20s` holds the answer until it is
/// decided.
pub(crate) async fn show(State(app): State<SharedApp>, Path(id): Path<String>, request: Request) -> HandlerResult {
    let started = Instant::now();
    let (parts, _) = request.into_parts();
    let access = BookingAccess::of(&app, &id, &parts)?;
    if let Some(booking) = access.booking(&app).await? {
        return Ok(response(&app, &booking, &access, &parts));
    }
    let waiting =
        access.wait.and_then(|_| app.booking_watch.wait_for(Awaited { id: access.id, rev: 1, reply_expected: false }));
    let decided = match waiting {
        Some(waiting) => waiting.until(started + access.wait.unwrap_or_default()).await,
        None => None,
    };
    match decided {
        Some(booking) => Ok(response(&app, &booking, &access, &parts)),
        None => {
            let view = RequestedView::new(access.id, None, access.links());
            Ok(([(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS))], Json(view)).into_response())
        }
    }
}

/// 200 with the booking, or 304 when the caller has this revision already.
fn response(app: &App, booking: &Booking, access: &BookingAccess, parts: &Parts) -> Response {
    let etag = etag(booking.rev);
    let known = parts
        .headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let mut known = known.map(|tag| tag.trim().trim_start_matches("W/"));
    if known.any(|tag| tag == "*" || tag.as_bytes() == etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response();
    }
    let view = BookingView::new(booking, access.links(), None);
    let view = match currency_of(app, &booking.property_id) {
        Some(currency) => view.with_alternatives(booking, currency),
        None => view,
    };
    ([(header::ETAG, etag)], Json(view)).into_response()
}
