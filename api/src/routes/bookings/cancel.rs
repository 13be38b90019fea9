//! Cancelling a booking: `DELETE` and `POST …/cancel` are the same. `dry_run` says what it would cost and changes
//! nothing.

use super::forms::{self, CANCELLATION, Cancellation};
use super::order::{Desk, Instruction};
use super::visitor::Visitor;
use crate::app::{App, SharedApp};
use crate::booking_form::staff_only;
use crate::catalogue::Lookup;
use crate::headers;
use crate::problem::{self, Answer, Problem};
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::header;
use axum::response::IntoResponse;
use chrono::Utc;
use pvt_domain::booking::{Booking, Status};
use pvt_domain::ids::BookingId;
use pvt_domain::messages::{BOOKING_CANCEL, CancelBooking};
use pvt_domain::money::Money;
use pvt_domain::rates::cancellation::cancellation_fee;
use pvt_domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// States that a cancellation starts from.
const FROM: &[Status] = &[Status::Held, Status::Confirmed];

#[derive(Debug, Deserialize)]
struct CancelQuery {
    dry_run: Option<bool>,
}

/// What cancelling would cost.
#[derive(Serialize)]
struct FeeView<'a> {
    id: BookingId,
    reference: &'a str,
    status: Status,
    rev: u32,
    dry_run: bool,
    /// When the fee is looked at; it grows towards arrival.
    at: Timestamp,
    /// The policy as it was when the booking was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fee: Option<Money>,
    /// What would be given back of what was paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    refund: Option<Money>,
}

/// 200 with the cancelled booking, or 202 when it takes longer than the caller waits; with `dry_run` 200 with the fee.
pub(in crate::routes) async fn cancel(
    State(app): State<SharedApp>,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    let begun = Instant::now();
    let (parts, body) = request.into_parts();
    let visitor = Visitor::of(&app, &id, &parts)?;
    let query: CancelQuery = headers::query(&parts.uri)?;
    let (asked, fingerprint) = forms::read(&parts.headers, body, CANCELLATION, forms::cancellation).await?;
    let expected_rev = headers::optional_if_match(&parts.headers)?;
    // Also where it is not needed: a key that is none is a mistake of the caller's.
    headers::optional_idempotency_key(&parts.headers)?;
    let booking = visitor.decided_booking(&app).await?;
    let Cancellation { reason, dry_run, waive_fee } = asked;
    if waive_fee && !visitor.is_staff_of(&booking) {
        return Err(Problem::fields(vec![staff_only("/waive_fee")]));
    }
    let desk = Desk { app: &app, visitor: &visitor, parts: &parts, begun };
    if dry_run || query.dry_run.unwrap_or_default() {
        if !FROM.contains(&booking.status) {
            return Err(desk.overtaken(problem::NOT_CANCELLABLE, &booking));
        }
        return quote(&app, &booking, waive_fee).await;
    }
    if booking.status == Status::Cancelled {
        return Ok(desk.shown(&booking, None));
    }
    let what = Instruction {
        name: "cancel",
        kind: BOOKING_CANCEL,
        fingerprint,
        reason,
        expected_rev,
        from: FROM,
        otherwise: problem::NOT_CANCELLABLE,
    };
    desk.carry_out(booking, what, |order| CancelBooking { order, waive_fee }).await
}

async fn quote(app: &App, booking: &Booking, waived: bool) -> Answer {
    let Lookup::Found(inventory) = app.catalogue.find(booking.property_id.as_str()).await else {
        return Err(problem::NOT_READY.into());
    };
    let now = Timestamp::new(Utc::now());
    // Who was not confirmed yet owes nothing for leaving.
    let fee =
        if waived || booking.status == Status::Held { 0 } else { cancellation_fee(booking, &inventory.property, now) };
    let money = |amount| booking.price.as_ref().map(|price| Money::new(amount, price.currency));
    let view = FeeView {
        id: booking.id,
        reference: &booking.reference,
        status: booking.status,
        rev: booking.rev,
        dry_run: true,
        at: now,
        policy: booking.cancellation_policy.as_ref().map(|policy| policy.name.as_str()),
        fee: money(fee),
        refund: money((booking.payment.ledger().kept() - fee).max(0)),
    };
    Ok(([(header::ETAG, super::etag(booking.rev))], Json(view)).into_response())
}
