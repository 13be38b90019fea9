//! One payment, for callers who may see its booking.

use super::submit;
use crate::auth::booking_access::{BookingAccess, BookingCredentials};
use crate::auth::policy::Caller;
use crate::http::extract::{PathId, PathParameter, QueryParams};
use crate::http::problem::{self, Problem};
use crate::http::response::Shown;
use crate::openapi::{Operation, schema};
use crate::resources::payments::view::{PaymentView, payment_of};
use crate::state::SharedApp;
use crate::store_call;
use axum::extract::State;
use chrono::Utc;
use pvt_domain::ids::BookingId;
use pvt_domain::ledger::Ledger;
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

/// Longest id of a payment, in bytes: Stripe promises 255.
const MAX_ID_BYTES: usize = 255;

/// The id of a payment: ours, or Stripe's `pi_…`.
pub(super) struct PaymentId(pub(super) String);

impl PathParameter for PaymentId {
    fn read(text: String) -> Option<Self> {
        let is_stripes = text.starts_with("pi_")
            && text.len() <= MAX_ID_BYTES
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (is_stripes || Uuid::try_parse(&text).is_ok()).then_some(Self(text))
    }

    fn describe(operation: Operation) -> Operation {
        operation.part("id", schema::text_of(1, MAX_ID_BYTES), "Our id, or Stripe's `pi_…`.")
    }
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct ShowQuery {
    /// Its booking; needed with the booking's token.
    #[schemars(with = "Option<Uuid>")]
    booking_id: Option<String>,
}

/// `GET /api/payments/{id}`; a caller with the booking's token names the booking, too: `?booking_id=…&token=…`.
pub(super) async fn show(
    State(app): State<SharedApp>,
    QueryParams(query): QueryParams<ShowQuery>,
    credentials: BookingCredentials,
    PathId(PaymentId(id)): PathId<PaymentId>,
) -> Result<Shown<PaymentView>, Problem> {
    let booking_id = booking_filter(query.booking_id)?;
    let access = credentials.access(&app, booking_id, None)?;
    let caller = &credentials.caller;
    let view = match access.filter(BookingAccess::has_token) {
        Some(access) => {
            access.decided_booking(&app).await?;
            let ledger = submit::ledger(&app, access.id).await?;
            ledger.and_then(|ledger| payment_of(&ledger, &id, Utc::now().into()))
        }
        None => visible_payment(&app, caller, &id).await?,
    };
    view.map(|view| Shown::new(&view.visible_to(caller))).ok_or_else(|| problem::NOT_FOUND.into())
}

/// The booking that a query names.
pub(super) fn booking_filter(text: Option<String>) -> Result<Option<BookingId>, Problem> {
    let booking = text.map(|text| text.parse::<BookingId>()).transpose();
    booking.map_err(|_| Problem::new(problem::INVALID_QUERY, "`booking_id` takes a booking's id, a UUID."))
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
