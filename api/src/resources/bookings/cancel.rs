//! Cancellation of a booking: `DELETE` and `POST …/cancel` are the same. `dry_run` returns the fee and changes nothing.

use super::command_forms::CancelForm;
use super::submit::{BookingCommand, CommandSpec};
use crate::auth::booking_access::BookingAccess;
use crate::form::read_form;
use crate::http::headers;
use crate::http::problem::{self, HandlerResult, Problem};
use crate::read_models::inventory::Lookup;
use crate::resources::bookings::form::staff_only;
use crate::state::{App, SharedApp};
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

/// States from which a booking can be cancelled.
const CANCELLABLE: &[Status] = &[Status::Held, Status::Confirmed];

#[derive(Debug, Deserialize)]
struct CancelQuery {
    dry_run: Option<bool>,
}

/// The fee of a cancellation.
#[derive(Serialize)]
struct FeeView<'a> {
    id: BookingId,
    reference: &'a str,
    status: Status,
    rev: u32,
    dry_run: bool,
    /// The instant of the quote; the fee grows towards arrival.
    at: Timestamp,
    /// The policy as it was when the booking was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fee: Option<Money>,
    /// What would be refunded of what was paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    refund: Option<Money>,
}

/// 200 with the cancelled booking, or 202 when it takes longer than the caller waits; with `dry_run` 200 with the fee.
pub(crate) async fn cancel(State(app): State<SharedApp>, Path(id): Path<String>, request: Request) -> HandlerResult {
    let started = Instant::now();
    let (parts, body) = request.into_parts();
    let access = BookingAccess::of(&app, &id, &parts)?;
    let query: CancelQuery = headers::query(&parts.uri)?;
    let (CancelForm { reason, dry_run, waive_fee }, fingerprint) = read_form(&parts.headers, body).await?;
    let expected_rev = headers::optional_if_match(&parts.headers)?;
    // Checked even where it is not used: a malformed key is the client's mistake.
    headers::optional_idempotency_key(&parts.headers)?;
    let booking = access.decided_booking(&app).await?;
    if waive_fee && !access.is_staff_of(&booking) {
        return Err(Problem::fields(vec![staff_only("/waive_fee")]));
    }
    let command = BookingCommand { app: &app, access: &access, parts: &parts, started };
    if dry_run || query.dry_run.unwrap_or_default() {
        if !CANCELLABLE.contains(&booking.status) {
            return Err(command.conflict(problem::NOT_CANCELLABLE, &booking));
        }
        return quote(&app, &booking, waive_fee).await;
    }
    if booking.status == Status::Cancelled {
        return Ok(command.booking_response(&booking, None));
    }
    let spec = CommandSpec {
        name: "cancel",
        kind: BOOKING_CANCEL,
        fingerprint,
        reason,
        expected_rev,
        from: CANCELLABLE,
        conflict_problem: problem::NOT_CANCELLABLE,
    };
    command.submit(booking, spec, |order| CancelBooking { header: order, waive_fee }).await
}

async fn quote(app: &App, booking: &Booking, waived: bool) -> HandlerResult {
    let Lookup::Found(inventory) = app.inventory_cache.find(booking.property_id.as_str()).await else {
        return Err(problem::NOT_READY.into());
    };
    let now = Timestamp::new(Utc::now());
    let (policy, price) = (booking.cancellation_policy.as_ref(), booking.price.as_ref());
    // A held booking is cancelled free of charge.
    let fee = if waived || booking.status == Status::Held {
        0
    } else {
        cancellation_fee(policy, price, &booking.stays, &inventory.property, now)
    };
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
