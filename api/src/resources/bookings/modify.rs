//! Modification of a booking: dates, guests, room types, beds, rate plan, or the guest. `PATCH` changes what is sent;
//! `PUT` takes stays and guest as a whole.
//!
//! Guests may change a stay before it begins, at today's prices. Beds, old prices and overrides of restrictions are for
//! staff.

use super::modify_form::{Modification, ModificationForm};
use super::submit::{BookingCommand, CommandResult, CommandSpec};
use crate::http::extract::{Form, IfMatch};
use crate::http::problem::{self, Problem};
use crate::read_models::inventory::Lookup;
use crate::state::{App, SharedApp};
use axum::extract::State;
use chrono::Utc;
use pvt_domain::booking::{Booking, Status, Stay, StayRequest};
use pvt_domain::messages::{BOOKING_MODIFY, ModifyBooking};
use pvt_domain::rates::quote::Quote;
use pvt_domain::timestamp::Timestamp;

/// When to try again while the property is not cached yet, in seconds.
const NOT_READY_RETRY_AFTER_SECS: u32 = 2;

/// `PATCH /api/bookings/{id}`: what is missing stays as it is. `PUT`, with `WHOLE`: stays and guest are what is sent.
pub(super) async fn modify<const WHOLE: bool>(
    State(app): State<SharedApp>,
    request: BookingCommand,
    IfMatch(rev): IfMatch,
    Form { value: form, fingerprint }: Form<ModificationForm<WHOLE>>,
) -> CommandResult {
    let booking = request.access.decided_booking(&app).await?;
    let by_staff = request.access.is_staff_of(&booking);
    let Lookup::Found(inventory) = app.inventory_cache.find(booking.property_id.as_str()).await else {
        return Err(Problem::from(problem::NOT_READY).retry_after(NOT_READY_RETRY_AFTER_SECS));
    };
    let from: &'static [Status] = if by_staff { &[Status::Confirmed, Status::CheckedIn] } else { &[Status::Confirmed] };
    // A request against an old revision is outdated as a whole; its other violations do not matter.
    if rev != booking.rev && request.key.is_none() {
        return Err(request.conflict(problem::PRECONDITION_FAILED, &booking));
    }
    let today = Timestamp::new(Utc::now()).local_date(inventory.property.time_zone);
    let modification = form.validate(&booking, &inventory, today, by_staff).map_err(Problem::fields)?;
    let quote = verified_quote(&app, &booking, &modification)?;
    let Modification { stays, guest, rate_plan_id, reprice, override_restrictions, quote: _, reason } = modification;
    let spec = CommandSpec {
        name: "modify",
        kind: BOOKING_MODIFY,
        fingerprint,
        reason,
        expected_rev: Some(rev),
        from,
        conflict_problem: problem::STATE_CONFLICT,
    };
    request
        .submit(&app, booking, spec, |header| ModifyBooking {
            header,
            stays,
            rate_plan_id,
            guest,
            reprice,
            quote,
            override_restrictions,
        })
        .await
}

/// The quote sent with a change, if it covers all stays as they are to be.
fn verified_quote(app: &App, booking: &Booking, modification: &Modification) -> Result<Option<Quote>, Problem> {
    let Some(text) = modification.quote.as_deref() else { return Ok(None) };
    let stays: Vec<StayRequest> = match &modification.stays {
        Some(changes) => changes.iter().map(|change| change.stay.clone()).collect(),
        None => booking.stays.iter().map(Stay::as_request).collect(),
    };
    let plan = modification.rate_plan_id.as_ref().unwrap_or(&booking.rate_plan_id);
    app.quote_key.of(text, (&booking.property_id, plan, &stays)).map(Some)
}
