//! Cancellation of a booking: `DELETE` and `POST …/cancel` are the same. `dry_run` returns the fee and changes nothing.

use super::cancellation_view::free_until;
use super::command_forms::CancelForm;
use super::form::staff_only;
use super::preview_head::PreviewHead;
use super::submit::{BookingCommand, CommandSpec, Submitted};
use crate::http::extract::{Form, OptionalIfMatch, QueryParams};
use crate::http::problem::{self, Problem};
use crate::http::response::{Either, Tagged};
use crate::read_models::inventory::Lookup;
use crate::state::{App, SharedApp};
use axum::extract::State;
use chrono::{DateTime, FixedOffset, Utc};
use pvt_domain::booking::{Booking, Status};
use pvt_domain::messages::{BOOKING_CANCEL, CancelBooking};
use pvt_domain::money::Money;
use pvt_domain::timestamp::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// States from which a booking can be cancelled.
const CANCELLABLE: &[Status] = &[Status::Held, Status::Confirmed];

#[derive(Deserialize, JsonSchema)]
pub(super) struct CancelQuery {
    /// Only return the fee.
    dry_run: Option<bool>,
}

/// The fee of a cancellation.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CancellationFee")]
pub(super) struct FeeView<'a> {
    #[serde(flatten)]
    head: PreviewHead<'a>,
    /// The policy as it was when the booking was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fee: Option<Money>,
    /// Until when it costs nothing, at the property's offset from UTC; missing where `fee` is due now, and once that
    /// time has passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    free_until: Option<DateTime<FixedOffset>>,
    /// What would be refunded of what was paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    refund: Option<Money>,
    /// The part of `refund` that cannot be returned through Stripe, of cash for example: staff return it.
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_manual: Option<Money>,
    /// The part of `refund` that is disputed: it is returned when the dispute ends, unless it is lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_disputed: Option<Money>,
}

/// 200 with the cancelled booking, or 202 when it takes longer than the caller waits; with `dry_run` 200 with the fee.
pub(super) async fn cancel(
    State(app): State<SharedApp>,
    request: BookingCommand,
    QueryParams(query): QueryParams<CancelQuery>,
    OptionalIfMatch(revisions): OptionalIfMatch,
    Form { value: CancelForm { reason, dry_run, waive_fee }, fingerprint }: Form<CancelForm>,
) -> Result<Either<Submitted, Tagged<FeeView<'static>>>, Problem> {
    let booking = request.access.decided_booking(&app).await?;
    if waive_fee && !request.access.is_staff_of(&booking) {
        return Err(Problem::fields(vec![staff_only("/waive_fee")]));
    }
    if dry_run || query.dry_run.unwrap_or_default() {
        if !CANCELLABLE.contains(&booking.status) {
            let needed = (BOOKING_CANCEL, CANCELLABLE);
            return Err(request.wrong_status(&app, problem::NOT_CANCELLABLE, needed, &booking));
        }
        return quote(&app, &booking, waive_fee).await.map(Either::That);
    }
    let waives_nothing = !waive_fee || booking.cancellation_fee.is_none_or(|fee| fee == 0);
    let spec = CommandSpec {
        name: "cancel",
        kind: BOOKING_CANCEL,
        fingerprint,
        reason,
        expected_rev: revisions.expected(booking.rev),
        from: CANCELLABLE,
        conflict_problem: problem::NOT_CANCELLABLE,
        is_settled: booking.status == Status::Cancelled && waives_nothing,
    };
    request.submit(&app, booking, spec, |header| CancelBooking { header, waive_fee }).await.map(Either::This)
}

async fn quote(app: &App, booking: &Booking, waived: bool) -> Result<Tagged<FeeView<'static>>, Problem> {
    let Lookup::Found(inventory) = app.inventory_cache.find(booking.property_id.as_str()).await else {
        return Err(problem::NOT_READY.into());
    };
    let now = Timestamp::new(Utc::now());
    let fee = if waived { 0 } else { booking.cancellation_fee_at(&inventory.property, now) };
    let money = |amount| booking.price.as_ref().map(|price| Money::new(amount, price.currency));
    let refunds = booking.payment.ledger().refunds_due(booking.total_to_refund_if_owed(fee));
    let view = FeeView {
        head: PreviewHead::new(booking, now),
        policy: booking.cancellation_policy.as_ref().map(|policy| policy.name.as_str()),
        fee: money(fee),
        free_until: free_until(booking, &inventory.property, now),
        refund: money(refunds.total()),
        refund_manual: money(refunds.manual).filter(|part| part.amount > 0),
        refund_disputed: money(refunds.disputed).filter(|part| part.amount > 0),
    };
    Ok(Tagged::at(booking.rev, &view))
}
