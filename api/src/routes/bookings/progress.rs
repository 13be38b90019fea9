//! What the hostel's staff do with a booking: the guests come, leave, do not come; mistakes are undone; beds are
//! chosen.

use super::forms::{self, Departure, NOTE};
use super::order::{Desk, Instruction};
use super::visitor::Visitor;
use crate::app::SharedApp;
use crate::fingerprint::Fingerprint;
use crate::headers;
use crate::problem::{self, Answer, Problem};
use crate::reader::{Fields, Reader};
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use pvt_domain::booking::{Booking, Status};
use pvt_domain::messages::{
    AssignBeds, BOOKING_ASSIGN, BOOKING_CHECK_IN, BOOKING_CHECK_OUT, BOOKING_CONFIRM, BOOKING_MARK_NO_SHOW,
    BOOKING_REINSTATE, CheckInBooking, CheckOutBooking, ConfirmBooking, MarkNoShow, MessageType, Order,
    ReinstateBooking,
};
use tokio::time::Instant;

/// A request of staff's whose form is good.
struct Asked<T> {
    begun: Instant,
    parts: Parts,
    visitor: Visitor,
    booking: Booking,
    form: T,
    fingerprint: Fingerprint,
    expected_rev: Option<u32>,
}

/// What a command is and where it starts from.
struct Step {
    name: &'static str,
    kind: &'static str,
    from: &'static [Status],
}

impl<T> Asked<T> {
    async fn read(
        app: &SharedApp,
        id: &str,
        request: Request,
        members: (&[&str], &[&str]),
        form: impl for<'n, 'a, 'p> FnOnce(Fields<'n, 'a, 'p>, &mut Reader) -> T,
    ) -> Result<Self, Problem> {
        let begun = Instant::now();
        let (parts, body) = request.into_parts();
        let visitor = Visitor::of(app, id, &parts)?;
        let (form, fingerprint) = forms::read(&parts.headers, body, members, form).await?;
        let expected_rev = headers::optional_if_match(&parts.headers)?;
        let booking = visitor.booking_of_staff(app).await?;
        Ok(Self { begun, parts, visitor, booking, form, fingerprint, expected_rev })
    }

    async fn carry_out<M: MessageType>(
        self,
        app: &SharedApp,
        step: Step,
        reason: Option<String>,
        command: impl FnOnce(Order, T) -> M,
    ) -> Answer {
        let Self { begun, parts, visitor, booking, form, fingerprint, expected_rev } = self;
        let Step { name, kind, from } = step;
        let what =
            Instruction { name, kind, fingerprint, reason, expected_rev, from, otherwise: problem::STATE_CONFLICT };
        Desk { app, visitor: &visitor, parts: &parts, begun }
            .carry_out(booking, what, |order| command(order, form))
            .await
    }
}

/// `POST …/checkin`: the guests are here.
pub(in crate::routes) async fn check_in(
    State(app): State<SharedApp>,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    let asked = Asked::read(&app, &id, request, NOTE, forms::reason).await?;
    let reason = asked.form.clone();
    let step = Step { name: "checkin", kind: BOOKING_CHECK_IN, from: &[Status::Confirmed] };
    asked.carry_out(&app, step, reason, |order, _| CheckInBooking { order }).await
}

/// `POST …/checkout`: the guests leave; nights that they do not sleep are freed.
pub(in crate::routes) async fn check_out(
    State(app): State<SharedApp>,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    let asked = Asked::read(&app, &id, request, forms::DEPARTURE, forms::departure).await?;
    let reason = asked.form.reason.clone();
    let step = Step { name: "checkout", kind: BOOKING_CHECK_OUT, from: &[Status::CheckedIn] };
    let command =
        |order, Departure { allow_open_balance, reprice, .. }| CheckOutBooking { order, allow_open_balance, reprice };
    asked.carry_out(&app, step, reason, command).await
}

/// `POST …/no-show`: nobody came; the beds are free again.
pub(in crate::routes) async fn no_show(
    State(app): State<SharedApp>,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    let asked = Asked::read(&app, &id, request, NOTE, forms::reason).await?;
    let reason = asked.form.clone();
    let step = Step { name: "no-show", kind: BOOKING_MARK_NO_SHOW, from: &[Status::Confirmed] };
    asked.carry_out(&app, step, reason, |order, _| MarkNoShow { order }).await
}

/// `POST …/reinstate`: a check-in or a no-show was a mistake. Needs a reason.
pub(in crate::routes) async fn reinstate(
    State(app): State<SharedApp>,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    let asked = Asked::read(&app, &id, request, NOTE, forms::required_reason).await?;
    let reason = asked.form.clone();
    let step = Step { name: "reinstate", kind: BOOKING_REINSTATE, from: &[Status::CheckedIn, Status::NoShow] };
    asked.carry_out(&app, step, reason, |order, _| ReinstateBooking { order }).await
}

/// `POST …/assign`: staff choose beds, or promise them.
pub(in crate::routes) async fn assign(
    State(app): State<SharedApp>,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    let asked = Asked::read(&app, &id, request, forms::BEDS, forms::beds).await?;
    let reason = asked.form.1.clone();
    let step = Step { name: "assign", kind: BOOKING_ASSIGN, from: &[Status::Confirmed, Status::CheckedIn] };
    asked.carry_out(&app, step, reason, |order, (assignments, _)| AssignBeds { order, assignments }).await
}

/// `POST …/confirm`: staff confirm a booking that is held until it is paid; any other is 409.
pub(in crate::routes) async fn confirm(
    State(app): State<SharedApp>,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    let asked = Asked::read(&app, &id, request, NOTE, forms::reason).await?;
    let reason = asked.form.clone();
    let step = Step { name: "confirm", kind: BOOKING_CONFIRM, from: &[Status::Held] };
    asked.carry_out(&app, step, reason, |order, _| ConfirmBooking { order }).await
}
