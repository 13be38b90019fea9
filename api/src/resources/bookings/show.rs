//! One booking, decided or still pending.

use super::cancellation_view::is_outdated;
use super::refusal::currency_of;
use super::view::{BookingView, RequestedView};
use crate::auth::booking_access::BookingAccess;
use crate::commands::booking_watch::Awaited;
use crate::http::extract::{IfNoneMatch, QueryParams, QueryWait};
use crate::http::problem::Problem;
use crate::http::response::{Either, JsonResponse, NotModified, RetryAfter, Tagged, etag};
use crate::state::{App, SharedApp};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use chrono::Utc;
use pvt_domain::booking::Booking;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::Instant;

/// When to poll again for a booking that is not decided, in seconds.
const RETRY_AFTER_SECS: u16 = 1;

#[derive(Deserialize, JsonSchema)]
pub(super) struct ShowQuery {
    /// Holds the answer until the booking is decided, at most 30 s: `20s`, `20` or `500ms`.
    wait: Option<QueryWait>,
}

type Decided = Either<Tagged<BookingView<'static>>, NotModified>;
type Pending = JsonResponse<200, RequestedView<'static>, RetryAfter>;

/// `GET /api/bookings/{id}`: the booking, or that it is still being decided. `?wait=20s` holds the answer until it is
/// decided.
pub(super) async fn show(
    State(app): State<SharedApp>,
    access: BookingAccess,
    QueryParams(ShowQuery { wait }): QueryParams<ShowQuery>,
    known: IfNoneMatch,
) -> Result<Either<Decided, Pending>, Problem> {
    let started = Instant::now();
    if let Some(booking) = access.booking(&app).await? {
        return Ok(Either::This(response(&app, &booking, &access, &known)));
    }
    let awaited = Awaited { id: access.id, rev: 1, reply_expected: false };
    let decided = match wait.and_then(|QueryWait(wait)| app.booking_watch.wait_for(awaited).zip(Some(wait))) {
        Some((waiting, wait)) => waiting.until(started + wait).await,
        None => None,
    };
    Ok(match decided {
        Some(booking) => Either::This(response(&app, &booking, &access, &known)),
        None => {
            let view = RequestedView::new(access.id, None, access.links());
            Either::That(Pending::new(&view).with(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS)))
        }
    })
}

/// 200 with the booking, or 304 when the caller has this revision already and nothing in it has become wrong by time.
fn response(app: &App, booking: &Booking, access: &BookingAccess, known: &IfNoneMatch) -> Decided {
    let etag = etag(booking.rev);
    let inventories = app.inventory_cache.all();
    let property = inventories.get(&booking.property_id).map(|inventory| &inventory.property);
    let is_outdated = property.is_some_and(|property| is_outdated(booking, property, Utc::now().into()));
    if known.holds(&etag) && !is_outdated {
        return Either::That(NotModified(etag));
    }
    let view = BookingView::new(booking, access.links(), None).with_cancellation(app, booking);
    let view = match currency_of(app, &booking.property_id) {
        Some(currency) => view.with_alternatives(booking, currency),
        None => view,
    };
    let view = if access.sees_contact_data(booking) { view } else { view.without_contact_data() };
    Either::This(Tagged::at(booking.rev, &view))
}
