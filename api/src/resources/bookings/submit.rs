//! Commands about a stored booking: sent through the property's queue, awaited for a while, answered with what is
//! stored.
//!
//! A command's id is a function of booking, caller and `Idempotency-Key`, so that the worker recognises a replay.
//! Nothing here changes a booking.

use super::etag;
use super::refusal;
use crate::auth::booking_access::BookingAccess;
use crate::commands::booking_watch::Awaited;
use crate::commands::idempotency_cache::KeyState;
use crate::commands::pending_replies::ReplySlot;
use crate::form::fingerprint::Fingerprint;
use crate::http::headers::{self, IDEMPOTENCY_REPLAYED, PREFERENCE_APPLIED};
use crate::http::middleware::RequestContext;
use crate::http::problem::{self, HandlerResult, Problem, ProblemKind};
use crate::resources::bookings::view::{BookingView, PendingView};
use crate::state::SharedApp;
use axum::Json;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use pvt_domain::booking::{Booking, Status};
use pvt_domain::messages::{CommandHeader, MessageType, Reply, ReplyOutcome};
use pvt_messaging::Outgoing;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

/// When to look for the result, in seconds.
const RETRY_AFTER_SECS: u32 = 1;

/// A command about a stored booking.
pub(crate) struct CommandSpec {
    /// Its name in the answer while it is pending.
    pub(crate) name: &'static str,
    /// Wire name of its command.
    pub(crate) kind: &'static str,
    /// Of its body, to notice a reused key.
    pub(crate) fingerprint: Fingerprint,
    /// The reason that the caller gives.
    pub(crate) reason: Option<String>,
    /// The revision that the command is meant for, if it names one.
    pub(crate) expected_rev: Option<u32>,
    /// The states in which it is possible.
    pub(crate) from: &'static [Status],
    /// The problem of any other state.
    pub(crate) conflict_problem: &'static ProblemKind,
}

/// One request about a stored booking.
pub(crate) struct BookingCommand<'a> {
    pub(crate) app: &'a SharedApp,
    pub(crate) access: &'a BookingAccess,
    pub(crate) parts: &'a Parts,
    pub(crate) started: Instant,
}

/// The outcome of a command, as far as it is known in time.
enum Outcome {
    Replied(Reply),
    /// Its revision is in the store.
    Stored(Box<Booking>),
    /// The revision of another command is, after the one that the caller saw.
    Superseded(Box<Booking>),
    Unknown,
}

impl BookingCommand<'_> {
    /// Sends the command and answers: 200 with the booking, 202 when it takes longer than the caller waits, 409 or 412
    /// with the current booking when it was refused.
    pub(crate) async fn submit<M: MessageType>(
        &self,
        booking: Booking,
        spec: CommandSpec,
        command: impl FnOnce(CommandHeader) -> M,
    ) -> HandlerResult {
        let key = headers::optional_idempotency_key(&self.parts.headers)?;
        let actor = self.access.actor();
        let command_id = match key {
            Some(key) => Uuid::new_v5(&booking.id.as_uuid(), format!("{}\n{actor}\n{key}", spec.kind).as_bytes()),
            None => Uuid::new_v4(),
        };
        if key.is_some() && self.app.idempotency.reserve(command_id, spec.fingerprint) == KeyState::Reused {
            return Err(problem::IDEMPOTENCY_KEY_REUSED.into());
        }
        let reserved = self.app.idempotency.hold_reservation(command_id);
        if booking.entry_of(command_id).is_some() {
            let mut answer = self.booking_response(&booking, None);
            answer.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
            return Ok(answer);
        }
        if spec.expected_rev.is_some_and(|expected| expected != booking.rev) {
            return Err(self.conflict(problem::PRECONDITION_FAILED, &booking));
        }
        if !spec.from.contains(&booking.status) {
            return Err(self.conflict(spec.conflict_problem, &booking));
        }
        let wait = headers::command_wait(&self.parts.headers);
        let place = self.app.booking_replies.wait_for(command_id).filter(|_| !wait.is_zero());
        let order = CommandHeader {
            booking_id: booking.id,
            property_id: booking.property_id.clone(),
            expected_rev: spec.expected_rev,
            actor: actor.clone(),
            as_admin: self.access.caller.is_admin(),
            reason: spec.reason.clone(),
            requested_at: Utc::now().into(),
        };
        let routing_key = self.app.topology.command_key(spec.kind, booking.property_id.as_str());
        let reply_to = place.as_ref().and_then(|_| self.app.reply_queue.queue());
        let reply_expected = reply_to.is_some();
        let message = Outgoing::command(routing_key, command_id, &command(order)).map(|message| {
            let message = message
                .with_correlation_id(booking.id.as_uuid())
                .with_traceparent(RequestContext::traceparent(self.parts))
                .with_actor(actor);
            message.with_reply_to(reply_to)
        });
        let (remember, fingerprint, named) = (self.app.clone(), spec.fingerprint, key.is_some());
        let ended = move |confirmed: bool| match (named, confirmed) {
            (false, _) => {}
            (true, true) => remember.idempotency.confirm(command_id, fingerprint),
            (true, false) => remember.idempotency.release(command_id),
        };
        reserved.keep();
        self.app.publish(message, ended).await?;
        let outcome = match place {
            Some(place) => self.outcome(place, &booking, spec.expected_rev, reply_expected, self.started + wait).await,
            None => Outcome::Unknown,
        };
        self.respond(outcome, &booking, &spec).await
    }

    /// Waits for the reply, and watches the stored booking in case the reply is lost.
    async fn outcome(
        &self,
        mut place: ReplySlot<Reply>,
        booking: &Booking,
        expected_rev: Option<u32>,
        reply_expected: bool,
        deadline: Instant,
    ) -> Outcome {
        let (mut rev, mut lost) = (booking.rev, false);
        let command_id = place.command();
        loop {
            let waiting = self.app.booking_watch.wait_for(Awaited { id: booking.id, rev: rev + 1, reply_expected });
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
                reply = &mut place.told, if !lost => match reply {
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

    async fn respond(&self, outcome: Outcome, before: &Booking, spec: &CommandSpec) -> HandlerResult {
        let reply = match outcome {
            Outcome::Unknown => return self.pending(before, spec.name),
            Outcome::Stored(booking) => return Ok(self.booking_response(&booking, self.applied())),
            Outcome::Superseded(booking) => return Err(self.conflict(problem::PRECONDITION_FAILED, &booking)),
            Outcome::Replied(reply) => reply,
        };
        let now = self.access.decided_booking(self.app).await?;
        match (reply.outcome, reply.detail) {
            (ReplyOutcome::Decided, _) => Ok(self.booking_response(&now, self.applied())),
            (ReplyOutcome::Stale, _) => Err(self.conflict(problem::PRECONDITION_FAILED, &now)),
            (ReplyOutcome::Refused, Some(why)) => Err(self.with_current(
                refusal::refusal_problem(self.app, &now.property_id, &why, self.access.is_staff_of(&now)),
                &now,
            )),
            (ReplyOutcome::KeyReused, _) => Err(problem::IDEMPOTENCY_KEY_REUSED.into()),
            (ReplyOutcome::Conflict | ReplyOutcome::Refused, _) => Err(self.conflict(spec.conflict_problem, &now)),
        }
    }

    /// 200 with the booking.
    pub(crate) fn booking_response(&self, booking: &Booking, applied: Option<Duration>) -> Response {
        let mut answer =
            ([(header::ETAG, etag(booking.rev))], Json(BookingView::new(booking, self.access.links(), None)))
                .into_response();
        if let Some(Ok(applied)) = applied.map(|wait| HeaderValue::try_from(format!("wait={}", wait.as_secs()))) {
            answer.headers_mut().insert(PREFERENCE_APPLIED, applied);
        }
        answer
    }

    fn applied(&self) -> Option<Duration> {
        headers::preferred_wait(&self.parts.headers)
    }

    /// A conflict, with the current booking.
    pub(crate) fn conflict(&self, kind: &'static ProblemKind, now: &Booking) -> Problem {
        self.with_current(kind.into(), now)
    }

    fn with_current(&self, problem: Problem, now: &Booking) -> Problem {
        problem
            .with_header(header::ETAG, etag(now.rev))
            .with_member("current", &BookingView::new(now, self.access.links(), None))
    }

    fn pending(&self, booking: &Booking, name: &'static str) -> HandlerResult {
        let links = self.access.links();
        let location = HeaderValue::try_from(links.this()).map_err(Problem::internal)?;
        let view =
            PendingView { id: booking.id, reference: &booking.reference, status: booking.status, pending: name, links };
        Ok((
            StatusCode::ACCEPTED,
            [(header::LOCATION, location), (header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS))],
            Json(view),
        )
            .into_response())
    }
}
