//! Commands about a stored booking: sent through the property's queue, awaited for a while, answered with what is
//! stored.
//!
//! A command's id is a function of booking, caller and `Idempotency-Key`, so that the worker recognises a replay.
//! Nothing here changes a booking.

use super::view::{BookingView, PendingView};
use super::{advice, refusal};
use crate::auth::booking_access::BookingAccess;
use crate::commands::booking_watch::Awaited;
use crate::commands::idempotency;
use crate::commands::pending_replies::ReplySlot;
use crate::commands::submit::Submission;
use crate::form::fingerprint::Fingerprint;
use crate::http::extract::{OptionalIdempotencyKey, PreferredWait};
use crate::http::middleware::RequestContext;
use crate::http::problem::{self, Problem, ProblemKind};
use crate::http::response::{Either, JsonResponse, Location, RetryAfter, Tagged, etag};
use crate::openapi::schemas::Schemas;
use crate::openapi::{DescribeInput, Operation};
use crate::state::{App, SharedApp};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use chrono::Utc;
use pvt_domain::booking::{Booking, Status};
use pvt_domain::messages::{CommandHeader, MessageType, RefusalDetail, Reply, ReplyOutcome};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

/// When to look for the result, in seconds.
const RETRY_AFTER_SECS: u32 = 1;

/// A command about a stored booking.
pub(super) struct CommandSpec {
    /// Its name in the answer while it is pending.
    pub(super) name: &'static str,
    /// Wire name of its command.
    pub(super) kind: &'static str,
    /// Of its body, to notice a reused key.
    pub(super) fingerprint: Fingerprint,
    /// The reason that the caller gives.
    pub(super) reason: Option<String>,
    /// The revision that the command is meant for, if it names one.
    pub(super) expected_rev: Option<u32>,
    /// The states in which it is possible.
    pub(super) from: &'static [Status],
    /// The problem of any other state.
    pub(super) conflict_problem: &'static ProblemKind,
    /// Whether the booking is already as the command would leave it: then nothing is sent.
    pub(super) is_settled: bool,
}

/// One request to change a stored booking.
pub(super) struct BookingCommand {
    pub(super) access: BookingAccess,
    pub(super) key: Option<String>,
    context: RequestContext,
    wait: PreferredWait,
}

impl FromRequestParts<SharedApp> for BookingCommand {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &SharedApp) -> Result<Self, Response> {
        let access = BookingAccess::from_request_parts(parts, app).await?;
        let key = OptionalIdempotencyKey::from_request_parts(parts, app).await;
        let OptionalIdempotencyKey(key) = key.map_err(|problem| problem.into_response())?;
        let Ok(wait) = PreferredWait::from_request_parts(parts, app).await;
        Ok(Self { access, key, context: RequestContext::of_request(parts), wait })
    }
}

impl DescribeInput for BookingCommand {
    fn describe(operation: Operation, schemas: &mut Schemas) -> Operation {
        let operation = OptionalIdempotencyKey::describe(BookingAccess::describe(operation, schemas), schemas);
        PreferredWait::describe(operation, schemas)
    }
}

/// 200 with the current booking.
pub(super) type CurrentBooking = Tagged<BookingView<'static>>;
/// 202 while the command is not decided.
type PendingBooking = JsonResponse<202, PendingView<'static>, (Location, RetryAfter)>;
/// The answer to a command.
pub(super) type Submitted = Either<CurrentBooking, PendingBooking>;
/// The same, unless it is refused.
pub(super) type CommandResult = Result<Submitted, Problem>;

/// The outcome of a command, as far as it is known in time.
enum Outcome {
    Replied(Reply),
    /// Its revision is in the store.
    Stored(Box<Booking>),
    /// The revision of another command is, after the one that the caller saw.
    Superseded(Box<Booking>),
    Unknown,
}

impl BookingCommand {
    /// Sends the command and answers: 200 with the booking, 202 when it takes longer than the caller waits, 409 or 412
    /// with the current booking when it was refused.
    pub(super) async fn submit<M: MessageType>(
        &self,
        app: &SharedApp,
        booking: Booking,
        spec: CommandSpec,
        command: impl FnOnce(CommandHeader) -> M,
    ) -> CommandResult {
        let actor = self.access.actor(&booking);
        let command_id = match &self.key {
            Some(key) => idempotency::booking_command_id(booking.id, spec.kind, &actor, key),
            None => Uuid::new_v4(),
        };
        let named = self.key.is_some();
        let reserved = named.then(|| app.idempotency.take(command_id, spec.fingerprint)).transpose()?;
        if booking.entry_of(command_id).is_some() {
            return Ok(Either::This(current(app, &self.access, &booking).replayed(true)));
        }
        if spec.is_settled {
            if named {
                app.idempotency.confirm(command_id, spec.fingerprint);
            }
            return Ok(Either::This(current(app, &self.access, &booking)));
        }
        if spec.expected_rev.is_some_and(|expected| expected != booking.rev) {
            return Err(self.conflict(app, problem::PRECONDITION_FAILED, &booking));
        }
        if !spec.from.contains(&booking.status) {
            return Err(self.wrong_status(app, spec.conflict_problem, (spec.kind, spec.from), &booking));
        }
        let wait = self.wait.command;
        let slot = app.booking_replies.wait_for(command_id).filter(|_| !wait.is_zero());
        let header = self.header(&booking, spec.expected_rev, spec.reason.clone());
        let reply_to = slot.as_ref().and_then(|_| app.reply_queue.queue());
        let reply_expected = reply_to.is_some();
        let submission = Submission {
            command: &command(header),
            id: command_id,
            property: booking.property_id.as_str(),
            subject: booking.id.as_uuid(),
            actor,
            context: &self.context,
            record: self.key.as_ref().map(|_| (command_id, spec.fingerprint)),
        };
        if let Some((_, reserved)) = reserved {
            reserved.keep();
        }
        submission.send(app, reply_to).await?;
        let outcome = match slot {
            Some(slot) => outcome(app, slot, &booking, spec.expected_rev, reply_expected, self.wait.since + wait).await,
            None => Outcome::Unknown,
        };
        self.respond(app, outcome, command_id, &booking, &spec).await
    }

    /// The header of a command that this caller sends now.
    pub(super) fn header(&self, booking: &Booking, expected_rev: Option<u32>, reason: Option<String>) -> CommandHeader {
        CommandHeader {
            booking_id: booking.id,
            property_id: booking.property_id.clone(),
            expected_rev,
            actor: self.access.actor(booking),
            as_admin: self.access.caller.is_admin(),
            reason,
            requested_at: Utc::now().into(),
        }
    }

    async fn respond(
        &self,
        app: &SharedApp,
        outcome: Outcome,
        command_id: Uuid,
        before: &Booking,
        spec: &CommandSpec,
    ) -> CommandResult {
        let decided = |access: &BookingAccess, booking: &Booking| {
            Ok(Either::This(current(app, access, booking).applied(self.wait.applied())))
        };
        let not_found = || Problem::from(problem::NOT_FOUND);
        let reply = match outcome {
            Outcome::Unknown => return self.pending(before, spec.name).map(Either::That),
            Outcome::Stored(booking) => {
                let access = self.access.renewed(app, &booking, command_id);
                return if access.opens(&booking) { decided(&access, &booking) } else { Err(not_found()) };
            }
            Outcome::Superseded(booking) if !self.access.opens(&booking) => return Err(not_found()),
            Outcome::Superseded(booking) => return Err(self.conflict(app, problem::PRECONDITION_FAILED, &booking)),
            Outcome::Replied(reply) => reply,
        };
        let (now, access) = self.access.after_command(app, command_id).await?;
        match (reply.outcome, reply.detail) {
            (ReplyOutcome::Decided, _) => decided(&access, &now),
            (ReplyOutcome::Stale, _) => Err(self.conflict(app, problem::PRECONDITION_FAILED, &now)),
            (ReplyOutcome::Refused, Some(why)) => Err(self.refused(app, &now, (spec.kind, &why))),
            (ReplyOutcome::KeyReused, _) => Err(problem::IDEMPOTENCY_KEY_REUSED.into()),
            // The status allowed it when the command was sent.
            (ReplyOutcome::Conflict | ReplyOutcome::Refused, _) => {
                Err(self.wrong_status(app, problem::CONCURRENT_CHANGE, (spec.kind, spec.from), &now))
            }
        }
    }

    /// A refusal of a command, with the current booking.
    pub(super) fn refused(&self, app: &App, now: &Booking, refused: (&str, &RefusalDetail)) -> Problem {
        let problem = refusal::refusal_problem(app, &now.property_id, refused, self.access.is_staff_of(now));
        self.with_current(app, problem, now)
    }

    /// A conflict, with the current booking.
    pub(super) fn conflict(&self, app: &App, kind: &'static ProblemKind, now: &Booking) -> Problem {
        self.with_current(app, kind.into(), now)
    }

    /// The status does not allow the command: which one it is, and which ones would.
    pub(super) fn wrong_status(
        &self,
        app: &App,
        kind: &'static ProblemKind,
        (command, needed): (&str, &[Status]),
        now: &Booking,
    ) -> Problem {
        let names: Vec<&str> = needed.iter().map(|status| status.as_str()).collect();
        let advice = match needed.contains(&now.status) {
            true => "It is possible again: look at `current`, and decide again.",
            false => advice::on_status(command, now.status, self.access.is_staff_of(now)),
        };
        let detail = format!("The booking is {}; this needs {}. {advice}", now.status, names.join(" or "));
        let problem =
            Problem::new(kind, detail).with_member("booking_status", &now.status).with_member("needed", &needed);
        self.with_current(app, problem, now)
    }

    fn with_current(&self, app: &App, problem: Problem, now: &Booking) -> Problem {
        problem.with_header(header::ETAG, etag(now.rev)).with_member("current", &view(app, &self.access, now))
    }

    fn pending(&self, booking: &Booking, name: &'static str) -> Result<PendingBooking, Problem> {
        let links = self.access.links();
        let location = HeaderValue::try_from(links.this()).map_err(Problem::internal)?;
        let Booking { id, reference, status, .. } = booking;
        let view = PendingView { id: *id, reference, status: *status, pending: name, links };
        Ok(JsonResponse::new(&view)
            .with(header::LOCATION, location)
            .with(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS)))
    }
}

/// 200 with the booking, as this caller may see it.
fn current(app: &App, access: &BookingAccess, booking: &Booking) -> CurrentBooking {
    Tagged::at(booking.rev, &view(app, access, booking))
}

fn view<'a>(app: &App, access: &BookingAccess, booking: &'a Booking) -> BookingView<'a> {
    BookingView::new(booking, access.links(), None).with_cancellation(app, booking)
}

/// Waits for the reply, and watches the stored booking in case the reply is lost.
async fn outcome(
    app: &SharedApp,
    mut slot: ReplySlot<Reply>,
    booking: &Booking,
    expected_rev: Option<u32>,
    reply_expected: bool,
    deadline: Instant,
) -> Outcome {
    let (mut rev, mut lost) = (booking.rev, false);
    let command_id = slot.command();
    loop {
        let waiting = app.booking_watch.wait_for(Awaited { id: booking.id, rev: rev + 1, reply_expected });
        let stored = async {
            match waiting {
                Some(waiting) => waiting.until(deadline).await,
                None => {
                    sleep_until(deadline).await;
                    None
                }
            }
        };
        tokio::select! {
            reply = &mut slot.reply, if !lost => match reply {
                Ok(reply) => return Outcome::Replied(reply),
                Err(_) => lost = true,
            },
            stored = stored => match stored {
                Some(now) if now.entry_of(command_id).is_some() =>
                    return Outcome::Stored(Box::new(now.as_ref().clone())),
                Some(now) if expected_rev.is_some_and(|expected| expected < now.rev) =>
                    return Outcome::Superseded(Box::new(now.as_ref().clone())),
                Some(now) => rev = rev.max(now.rev),
                None => return Outcome::Unknown,
            },
        }
    }
}
