//! One payment, for callers who may see its booking.

use super::submit;
use crate::auth::booking_access::BookingAccess;
use crate::auth::credentials::Credentials;
use crate::auth::policy::Caller;
use crate::http::headers;
use crate::http::problem::{self, HandlerResult, Problem};
use crate::resources::payments::view::{PaymentView, payment_of};
use crate::state::SharedApp;
use crate::store_call;
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::IntoResponse;
use chrono::Utc;
use pvt_domain::ids::BookingId;
use pvt_domain::ledger::Ledger;
use serde::Deserialize;
use uuid::Uuid;

/// Longest id of a payment, in bytes: Stripe promises 255.
const MAX_ID_BYTES: usize = 255;

#[derive(Deserialize)]
struct ShowQuery {
    booking_id: Option<String>,
}

/// `GET /api/payments/{id}`; a caller with the booking's token names the booking, too: `?booking_id=…&token=…`.
pub(crate) async fn show(State(app): State<SharedApp>, Path(id): Path<String>, request: Request) -> HandlerResult {
    let (parts, _) = request.into_parts();
    let asked: ShowQuery = headers::query(&parts.uri)?;
    let booking_id: Option<BookingId> = asked.booking_id.and_then(|text| text.parse().ok());
    let access = BookingAccess::at(&app, booking_id, None, &parts)?;
    let id = checked_id(&id)?;
    let caller = Credentials::of(&parts).caller;
    let view = match access.filter(|access| access.token.is_some()) {
        Some(access) => {
            let ledger = submit::ledger(&app, access.id).await?;
            ledger.and_then(|ledger| payment_of(&ledger, id, Utc::now().into()))
        }
        None => visible_payment(&app, &caller, id).await?,
    };
    view.map(|view| Json(view.visible_to(&caller)).into_response()).ok_or_else(|| problem::NOT_FOUND.into())
}

/// The id, if it can be that of a payment.
pub(crate) fn checked_id(id: &str) -> Result<&str, Problem> {
    let stripes = id.starts_with("pi_")
        && id.len() <= MAX_ID_BYTES
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if stripes || Uuid::try_parse(id).is_ok() { Ok(id) } else { Err(problem::NOT_FOUND.into()) }
}

/// The ledger of a payment, as it is stored.
pub(crate) async fn ledger_of(app: &SharedApp, payment: &str) -> Result<Option<Ledger>, Problem> {
    // Ours are stored in lower case; Stripe's are case-sensitive.
    let payment = if payment.starts_with("pi_") {
        payment.to_owned()
    } else {
        Uuid::try_parse(payment).map_or_else(|_| payment.to_owned(), |id| id.to_string())
    };
    let mongo = app.mongo.clone();
    store_call::read(async move { mongo.ledgers().find_by_payment(&payment).await }).await
}

async fn visible_payment(app: &SharedApp, caller: &Caller, id: &str) -> Result<Option<PaymentView>, Problem> {
    let Some(ledger) = ledger_of(app, id).await? else { return Ok(None) };
    if !caller.is_staff_of(&ledger.property_id) {
        let (mongo, booking) = (app.mongo.clone(), ledger.booking_id);
        let booking = store_call::read(async move { mongo.bookings().find(booking).await }).await?;
        if !booking.is_some_and(|booking| caller.may_see(&booking)) {
            return Ok(None);
        }
    }
    Ok(payment_of(&ledger, id, Utc::now().into()))
}
