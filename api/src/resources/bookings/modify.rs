//! Modification of a booking: dates, guests, room types, beds, rate plan, or the guest. `PATCH` changes what is sent;
//! `PUT` takes stays and guest as a whole.
//!
//! Guests may change a stay before it begins, at today's prices; what they give up costs what cancelling it would.
//! Beds, old prices and overrides of restrictions are for staff.

use super::modify_form::{Modification, ModificationForm};
use super::modify_view::ChangePreviewView;
use super::submit::{BookingCommand, CommandSpec, Submitted};
use crate::http::extract::{Form, IfMatch, QueryParams};
use crate::http::problem::{self, Problem};
use crate::http::response::{Either, Tagged};
use crate::read_models::inventory::Lookup;
use crate::state::{App, SharedApp};
use crate::store_call;
use axum::extract::State;
use chrono::Utc;
use pvt_domain::booking::{Action, Booking, Status, Stay, StayRequest};
use pvt_domain::business_day::first_bookable_night;
use pvt_domain::decide::preview_modification;
use pvt_domain::inventory::Inventory;
use pvt_domain::messages::{BOOKING_MODIFY, ModifyBooking};
use pvt_domain::rates::quote::Quote;
use pvt_domain::timestamp::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// When to try again while the property is not cached yet, in seconds.
const NOT_READY_RETRY_AFTER_SECS: u32 = 2;

#[derive(Deserialize, JsonSchema)]
pub(super) struct ModifyQuery {
    /// Only return what the change would cost.
    dry_run: Option<bool>,
}

/// `PATCH /api/bookings/{id}`: what is missing stays as it is. `PUT`, with `WHOLE`: stays and guest are what is sent.
pub(super) async fn modify<const WHOLE: bool>(
    State(app): State<SharedApp>,
    request: BookingCommand,
    IfMatch(revisions): IfMatch,
    QueryParams(query): QueryParams<ModifyQuery>,
    Form { value: form, fingerprint }: Form<ModificationForm<WHOLE>>,
) -> Result<Either<Submitted, Tagged<ChangePreviewView<'static>>>, Problem> {
    let dry_run = form.dry_run || query.dry_run.unwrap_or_default();
    let booking = request.access.decided_booking(&app).await?;
    let by_staff = request.access.is_staff_of(&booking);
    let Lookup::Found(inventory) = app.inventory_cache.find(booking.property_id.as_str()).await else {
        return Err(Problem::from(problem::NOT_READY).retry_after(NOT_READY_RETRY_AFTER_SECS));
    };
    // The newest revision is the one that the change is checked against here.
    let rev = revisions.expected(booking.rev).unwrap_or(booking.rev);
    // A request against an old revision is outdated as a whole; its other violations do not matter.
    if rev != booking.rev && request.key.is_none() {
        return Err(request.conflict(&app, problem::PRECONDITION_FAILED, &booking));
    }
    let first_night = first_bookable_night(&inventory.property, Timestamp::new(Utc::now()), by_staff);
    let modification = form.validate(&booking, &inventory, first_night, by_staff).map_err(Problem::fields)?;
    let quote = verified_quote(&app, &booking, &modification)?;
    let from = changeable_from(modification.is_guest_alone(), by_staff);
    let Modification {
        stays,
        guest,
        rate_plan_id,
        reprice,
        override_restrictions,
        waive_change_fees,
        quote: _,
        reason,
    } = modification;
    let command = |header| ModifyBooking {
        header,
        stays,
        rate_plan_id,
        guest,
        reprice,
        quote,
        override_restrictions,
        waive_change_fees,
    };
    if dry_run {
        if !from.contains(&booking.status) {
            return Err(request.wrong_status(&app, problem::WRONG_STATUS, (BOOKING_MODIFY, from), &booking));
        }
        let header = request.header(&booking, Some(rev), reason);
        return preview(&app, &request, &booking, inventory, command(header)).await.map(Either::That);
    }
    let spec = CommandSpec {
        name: "modify",
        kind: BOOKING_MODIFY,
        fingerprint,
        reason,
        expected_rev: Some(rev),
        from,
        conflict_problem: problem::WRONG_STATUS,
        is_settled: false,
    };
    request.submit(&app, booking, spec, command).await.map(Either::This)
}

/// The statuses in which a booking may be changed.
fn changeable_from(guest_alone: bool, by_staff: bool) -> &'static [Status] {
    use Status::{CheckedIn, Confirmed, Held};
    match (guest_alone, by_staff) {
        (true, true) => &Status::WITH_GUEST,
        (true, false) => &[Held, Confirmed],
        (false, true) => &[Confirmed, CheckedIn],
        (false, false) => &[Confirmed],
    }
}

/// The change as it would be decided now, apart from whether beds are free.
async fn preview(
    app: &SharedApp,
    request: &BookingCommand,
    booking: &Booking,
    inventory: Arc<Inventory>,
    modify: ModifyBooking,
) -> Result<Tagged<ChangePreviewView<'static>>, Problem> {
    let (mongo, property) = (app.mongo.clone(), booking.property_id.clone());
    let rates = store_call::read(async move { mongo.rates().of_property(&property).await }).await?;
    let now = modify.header.requested_at;
    match preview_modification(booking, inventory, Arc::new(rates), modify, now) {
        Ok(Some(decided)) => {
            let mut changed = decided.clone();
            // A change that an earlier request left pending is no part of this one.
            let is_held = decided.history.last().is_some_and(|entry| entry.action == Action::HoldChange);
            if decided.rev > booking.rev && is_held {
                changed.apply_pending();
            }
            Ok(Tagged::at(booking.rev, &ChangePreviewView::new(booking, &decided, &changed, now)))
        }
        Ok(None) => Err(request.conflict(app, problem::PRECONDITION_FAILED, booking)),
        Err(why) => Err(request.refused(app, booking, (BOOKING_MODIFY, &why))),
    }
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
