//! Staff actions on a booking: check in, check out, no-show, reinstate, assign beds, confirm, revoke links.

use super::command_forms::{ArrivalForm, AssignForm, CheckOutForm, ReasonForm, ReinstateForm};
use super::submit::{BookingCommand, CommandResult, CommandSpec};
use crate::form::fingerprint::Fingerprint;
use crate::http::entity_tags::Revisions;
use crate::http::extract::{Form, OptionalIfMatch};
use crate::http::problem;
use crate::state::SharedApp;
use axum::extract::State;
use pvt_domain::booking::Status;
use pvt_domain::messages::{
    AssignBeds, BOOKING_ASSIGN, BOOKING_CHECK_IN, BOOKING_CHECK_OUT, BOOKING_CONFIRM, BOOKING_MARK_NO_SHOW,
    BOOKING_REINSTATE, BOOKING_REVOKE_LINKS, CheckInBooking, CheckOutBooking, CommandHeader, ConfirmBooking,
    MarkNoShow, MessageType, ReinstateBooking, RevokeLinks,
};

/// A command and the states from which it is possible.
struct StaffAction {
    name: &'static str,
    kind: &'static str,
    from: &'static [Status],
}

impl StaffAction {
    async fn submit<M: MessageType>(
        self,
        app: &SharedApp,
        request: BookingCommand,
        (revisions, fingerprint, reason): (Revisions, Fingerprint, Option<String>),
        command: impl FnOnce(CommandHeader) -> M,
    ) -> CommandResult {
        let Self { name, kind, from } = self;
        let booking = request.access.booking_for_staff(app).await?;
        let (expected_rev, conflict_problem) = (revisions.expected(booking.rev), problem::WRONG_STATUS);
        let is_settled = false;
        let spec = CommandSpec { name, kind, fingerprint, reason, expected_rev, from, conflict_problem, is_settled };
        request.submit(app, booking, spec, command).await
    }
}

/// `POST …/checkin`: the guests have arrived.
pub(super) async fn check_in(
    State(app): State<SharedApp>,
    request: BookingCommand,
    OptionalIfMatch(revisions): OptionalIfMatch,
    Form { value: ArrivalForm { reason, stays }, fingerprint }: Form<ArrivalForm>,
) -> CommandResult {
    StaffAction { name: "checkin", kind: BOOKING_CHECK_IN, from: &[Status::Confirmed, Status::CheckedIn] }
        .submit(&app, request, (revisions, fingerprint, reason), |header| CheckInBooking { header, stays })
        .await
}

/// `POST …/checkout`: the guests depart; unused nights are released.
pub(super) async fn check_out(
    State(app): State<SharedApp>,
    request: BookingCommand,
    OptionalIfMatch(revisions): OptionalIfMatch,
    Form { value: CheckOutForm { allow_open_balance, reason, reprice, stays }, fingerprint }: Form<CheckOutForm>,
) -> CommandResult {
    let command = |header| CheckOutBooking { header, allow_open_balance, reprice, stays };
    StaffAction { name: "checkout", kind: BOOKING_CHECK_OUT, from: &[Status::CheckedIn] }
        .submit(&app, request, (revisions, fingerprint, reason), command)
        .await
}

/// `POST …/no-show`: the guests did not arrive; the beds are released.
pub(super) async fn no_show(
    State(app): State<SharedApp>,
    request: BookingCommand,
    OptionalIfMatch(revisions): OptionalIfMatch,
    Form { value: ArrivalForm { reason, stays }, fingerprint }: Form<ArrivalForm>,
) -> CommandResult {
    StaffAction { name: "no-show", kind: BOOKING_MARK_NO_SHOW, from: &[Status::Confirmed, Status::CheckedIn] }
        .submit(&app, request, (revisions, fingerprint, reason), |header| MarkNoShow { header, stays })
        .await
}

/// `POST …/reinstate`: undoes a check-in or a no-show. Needs a reason.
pub(super) async fn reinstate(
    State(app): State<SharedApp>,
    request: BookingCommand,
    OptionalIfMatch(revisions): OptionalIfMatch,
    Form { value: ReinstateForm { reason, stays }, fingerprint }: Form<ReinstateForm>,
) -> CommandResult {
    StaffAction {
        name: "reinstate",
        kind: BOOKING_REINSTATE,
        from: &[Status::Confirmed, Status::CheckedIn, Status::NoShow],
    }
    .submit(&app, request, (revisions, fingerprint, Some(reason)), |header| ReinstateBooking { header, stays })
    .await
}

/// `POST …/assign`: assigns beds, or pins them.
pub(super) async fn assign(
    State(app): State<SharedApp>,
    request: BookingCommand,
    OptionalIfMatch(revisions): OptionalIfMatch,
    Form { value: AssignForm { reason, assignments }, fingerprint }: Form<AssignForm>,
) -> CommandResult {
    StaffAction { name: "assign", kind: BOOKING_ASSIGN, from: &[Status::Confirmed, Status::CheckedIn] }
        .submit(&app, request, (revisions, fingerprint, reason), |header| AssignBeds { header, assignments })
        .await
}

/// `POST …/confirm`: confirms a booking that is held for a payment; any other is 409.
pub(super) async fn confirm(
    State(app): State<SharedApp>,
    request: BookingCommand,
    OptionalIfMatch(revisions): OptionalIfMatch,
    Form { value: ReasonForm { reason }, fingerprint }: Form<ReasonForm>,
) -> CommandResult {
    StaffAction { name: "confirm", kind: BOOKING_CONFIRM, from: &[Status::Held] }
        .submit(&app, request, (revisions, fingerprint, reason), |header| ConfirmBooking { header })
        .await
}

/// The statuses of stored bookings.
const STORED: &[Status] = &[
    Status::Held,
    Status::Confirmed,
    Status::CheckedIn,
    Status::CheckedOut,
    Status::NoShow,
    Status::Rejected,
    Status::Cancelled,
    Status::Expired,
];

/// `POST …/revoke-links`: every token issued so far stops working.
pub(super) async fn revoke_links(
    State(app): State<SharedApp>,
    request: BookingCommand,
    OptionalIfMatch(revisions): OptionalIfMatch,
    Form { value: ReasonForm { reason }, fingerprint }: Form<ReasonForm>,
) -> CommandResult {
    StaffAction { name: "revoke-links", kind: BOOKING_REVOKE_LINKS, from: STORED }
        .submit(&app, request, (revisions, fingerprint, reason), |header| RevokeLinks { header })
        .await
}
