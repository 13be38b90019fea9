//! Staff actions on a booking: check in, check out, no-show, reinstate, assign beds, confirm.

use super::command_forms::{AssignForm, CheckOutForm, ReasonForm, ReinstateForm};
use super::submit::{BookingCommand, CommandSpec};
use crate::auth::booking_access::BookingAccess;
use crate::form::fingerprint::Fingerprint;
use crate::form::{RequestForm, read_form};
use crate::http::headers;
use crate::http::problem::{self, HandlerResult, Problem};
use crate::state::SharedApp;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use pvt_domain::booking::{Booking, Status};
use pvt_domain::messages::{
    AssignBeds, BOOKING_ASSIGN, BOOKING_CHECK_IN, BOOKING_CHECK_OUT, BOOKING_CONFIRM, BOOKING_MARK_NO_SHOW,
    BOOKING_REINSTATE, CheckInBooking, CheckOutBooking, CommandHeader, ConfirmBooking, MarkNoShow, MessageType,
    ReinstateBooking,
};
use tokio::time::Instant;

/// A valid request of staff.
struct StaffRequest<T> {
    started: Instant,
    parts: Parts,
    access: BookingAccess,
    booking: Booking,
    form: T,
    fingerprint: Fingerprint,
    expected_rev: Option<u32>,
}

/// A command and the states from which it is possible.
struct StaffAction {
    name: &'static str,
    kind: &'static str,
    from: &'static [Status],
}

impl<T: RequestForm> StaffRequest<T> {
    async fn read(app: &SharedApp, id: &str, request: Request) -> Result<Self, Problem> {
        let started = Instant::now();
        let (parts, body) = request.into_parts();
        let access = BookingAccess::of(app, id, &parts)?;
        let (form, fingerprint) = read_form(&parts.headers, body).await?;
        let expected_rev = headers::optional_if_match(&parts.headers)?;
        let booking = access.booking_for_staff(app).await?;
        Ok(Self { started, parts, access, booking, form, fingerprint, expected_rev })
    }

    async fn submit<M: MessageType>(
        self,
        app: &SharedApp,
        action: StaffAction,
        reason: Option<String>,
        command: impl FnOnce(CommandHeader, T) -> M,
    ) -> HandlerResult {
        let Self { started, parts, access, booking, form, fingerprint, expected_rev } = self;
        let StaffAction { name, kind, from } = action;
        let spec = CommandSpec {
            name,
            kind,
            fingerprint,
            reason,
            expected_rev,
            from,
            conflict_problem: problem::STATE_CONFLICT,
        };
        BookingCommand { app, access: &access, parts: &parts, started }
            .submit(booking, spec, |order| command(order, form))
            .await
    }
}

/// `POST …/checkin`: the guests have arrived.
pub(crate) async fn check_in(State(app): State<SharedApp>, Path(id): Path<String>, request: Request) -> HandlerResult {
    let request = StaffRequest::<ReasonForm>::read(&app, &id, request).await?;
    let reason = request.form.reason.clone();
    let action = StaffAction { name: "checkin", kind: BOOKING_CHECK_IN, from: &[Status::Confirmed] };
    request.submit(&app, action, reason, |order, _| CheckInBooking { header: order }).await
}

/// `POST …/checkout`: the guests depart; unused nights are released.
pub(crate) async fn check_out(State(app): State<SharedApp>, Path(id): Path<String>, request: Request) -> HandlerResult {
    let request = StaffRequest::<CheckOutForm>::read(&app, &id, request).await?;
    let reason = request.form.reason.clone();
    let action = StaffAction { name: "checkout", kind: BOOKING_CHECK_OUT, from: &[Status::CheckedIn] };
    let command = |order, CheckOutForm { allow_open_balance, reprice, .. }| CheckOutBooking {
        header: order,
        allow_open_balance,
        reprice,
    };
    request.submit(&app, action, reason, command).await
}

/// `POST …/no-show`: the guests did not arrive; the beds are released.
pub(crate) async fn no_show(State(app): State<SharedApp>, Path(id): Path<String>, request: Request) -> HandlerResult {
    let request = StaffRequest::<ReasonForm>::read(&app, &id, request).await?;
    let reason = request.form.reason.clone();
    let action = StaffAction { name: "no-show", kind: BOOKING_MARK_NO_SHOW, from: &[Status::Confirmed] };
    request.submit(&app, action, reason, |order, _| MarkNoShow { header: order }).await
}

/// `POST …/reinstate`: undoes a check-in or a no-show. Needs a reason.
pub(crate) async fn reinstate(State(app): State<SharedApp>, Path(id): Path<String>, request: Request) -> HandlerResult {
    let request = StaffRequest::<ReinstateForm>::read(&app, &id, request).await?;
    let reason = Some(request.form.reason.clone());
    let action = StaffAction { name: "reinstate", kind: BOOKING_REINSTATE, from: &[Status::CheckedIn, Status::NoShow] };
    request.submit(&app, action, reason, |order, _| ReinstateBooking { header: order }).await
}

/// `POST …/assign`: assigns beds, or pins them.
pub(crate) async fn assign(State(app): State<SharedApp>, Path(id): Path<String>, request: Request) -> HandlerResult {
    let request = StaffRequest::<AssignForm>::read(&app, &id, request).await?;
    let reason = request.form.reason.clone();
    let action = StaffAction { name: "assign", kind: BOOKING_ASSIGN, from: &[Status::Confirmed, Status::CheckedIn] };
    request
        .submit(&app, action, reason, |order, AssignForm { assignments, .. }| AssignBeds { header: order, assignments })
        .await
}

/// `POST …/confirm`: confirms a booking that is held for a payment; any other is 409.
pub(crate) async fn confirm(State(app): State<SharedApp>, Path(id): Path<String>, request: Request) -> HandlerResult {
    let request = StaffRequest::<ReasonForm>::read(&app, &id, request).await?;
    let reason = request.form.reason.clone();
    let action = StaffAction { name: "confirm", kind: BOOKING_CONFIRM, from: &[Status::Held] };
    request.submit(&app, action, reason, |order, _| ConfirmBooking { header: order }).await
}
