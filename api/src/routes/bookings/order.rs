//! How every change of a stored booking goes: as a command through its property's queue, waited for a little, answered
//! with what is stored.
//!
//! A command's id is a function of booking, caller and `Idempotency-Key`, so that a repetition is recognised by whoever
//! decides it. Nothing here changes a booking.

use super::etag;
use super::refusal;
use super::visitor::Visitor;
use crate::accepted::Seen;
use crate::app::SharedApp;
use crate::decisions::Awaited;
use crate::edge::Context;
use crate::fingerprint::Fingerprint;
use crate::headers::{self, IDEMPOTENCY_REPLAYED, PREFERENCE_APPLIED};
use crate::orders::Place;
use crate::problem::{self, Answer, Kind, Problem};
use crate::view::{BookingView, PendingView};
use axum::Json;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use pvt_domain::booking::{Booking, Status};
use pvt_domain::messages::{MessageType, Order, Reply, ReplyOutcome};
use pvt_messaging::Outgoing;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

/// When to look for the result, in seconds.
const RETRY_AFTER_SECS: u32 = 1;

/// What is asked of a stored booking.
pub(super) struct Instruction {
    /// Its name in the answer while it is not decided.
    pub(super) name: &'static str,
    /// Wire name of its command.
    pub(super) kind: &'static str,
    /// Of its body, to notice a key that is used for something else.
    pub(super) fingerprint: Fingerprint,
    /// Why, in the caller's words.
    pub(super) reason: Option<String>,
    /// The revision that the caller saw, where they must have seen it.
    pub(super) expected_rev: Option<u32>,
    /// The states in which it can be done at all.
    pub(super) from: &'static [Status],
    /// The problem of any other state.
    pub(super) otherwise: &'static Kind,
}

/// One request about a stored booking.
pub(super) struct Desk<'a> {
    pub(super) app: &'a SharedApp,
    pub(super) visitor: &'a Visitor,
    pub(super) parts: &'a Parts,
    pub(super) begun: Instant,
}

/// What became of a command, as far as can be told in time.
enum Outcome {
    Replied(Reply),
    /// Its revision is in the store.
    Stored(Box<Booking>),
    /// Somebody else's is, on top of what the caller saw.
    Overtaken(Box<Booking>),
    Unknown,
}

impl Desk<'_> {
    /// Sends the command and answers: 200 with the booking, 202 when it takes longer than the caller waits, 409 or 412
    /// with the booking as it is now when it was not to be.
    pub(super) async fn carry_out<M: MessageType>(
        &self,
        booking: Booking,
        what: Instruction,
        command: impl FnOnce(Order) -> M,
    ) -> Answer {
        let key = headers::optional_idempotency_key(&self.parts.headers)?;
        let actor = self.visitor.actor();
        let command_id = match key {
            Some(key) => Uuid::new_v5(&booking.id.as_uuid(), format!("{}\n{actor}\n{key}", what.kind).as_bytes()),
            None => Uuid::new_v4(),
        };
        if key.is_some() && self.app.accepted.reserve(command_id, what.fingerprint) == Seen::Other {
            return Err(problem::IDEMPOTENCY_KEY_REUSED.into());
        }
        let reserved = self.app.accepted.until_kept(command_id);
        if booking.entry_of(command_id).is_some() {
            let mut answer = self.shown(&booking, None);
            answer.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
            return Ok(answer);
        }
        if what.expected_rev.is_some_and(|expected| expected != booking.rev) {
            return Err(self.overtaken(problem::PRECONDITION_FAILED, &booking));
        }
        if !what.from.contains(&booking.status) {
            return Err(self.overtaken(what.otherwise, &booking));
        }
        let wait = headers::command_wait(&self.parts.headers);
        let place = self.app.orders.wait_for(command_id).filter(|_| !wait.is_zero());
        let order = Order {
            booking_id: booking.id,
            property_id: booking.property_id.clone(),
            expected_rev: what.expected_rev,
            actor: actor.clone(),
            as_admin: self.visitor.caller.is_admin(),
            reason: what.reason.clone(),
            requested_at: Utc::now().into(),
        };
        let routing_key = self.app.topology.command_key(what.kind, booking.property_id.as_str());
        let reply_to = place.as_ref().and_then(|_| self.app.replies.queue());
        let reply_expected = reply_to.is_some();
        let message = Outgoing::command(routing_key, command_id, &command(order)).map(|message| {
            let message = message.correlated(booking.id.as_uuid()).traced(Context::traceparent(self.parts)).by(actor);
            Outgoing { reply_to, ..message }
        });
        let (remember, fingerprint, named) = (self.app.clone(), what.fingerprint, key.is_some());
        let ended = move |confirmed: bool| match (named, confirmed) {
            (false, _) => {}
            (true, true) => remember.accepted.confirm(command_id, fingerprint),
            (true, false) => remember.accepted.release(command_id),
        };
        reserved.keep();
        self.app.publish(message, ended).await?;
        let outcome = match place {
            Some(place) => self.outcome(place, &booking, what.expected_rev, reply_expected, self.begun + wait).await,
            None => Outcome::Unknown,
        };
        self.conclude(outcome, &booking, &what).await
    }

    /// Waits for the reply, and looks into the store now and then in case it gets lost.
    async fn outcome(
        &self,
        mut place: Place<Reply>,
        booking: &Booking,
        expected_rev: Option<u32>,
        reply_expected: bool,
        deadline: Instant,
    ) -> Outcome {
        let (mut rev, mut lost) = (booking.rev, false);
        let command_id = place.command();
        loop {
            let waiting = self.app.decisions.wait_for(Awaited { id: booking.id, rev: rev + 1, reply_expected });
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
                        return Outcome::Overtaken(Box::new(now.as_ref().clone())),
                    Some(now) => rev = rev.max(now.rev),
                    None => return Outcome::Unknown,
                },
            }
        }
    }

    async fn conclude(&self, outcome: Outcome, before: &Booking, what: &Instruction) -> Answer {
        let reply = match outcome {
            Outcome::Unknown => return self.pending(before, what.name),
            Outcome::Stored(booking) => return Ok(self.shown(&booking, self.applied())),
            Outcome::Overtaken(booking) => return Err(self.overtaken(problem::PRECONDITION_FAILED, &booking)),
            Outcome::Replied(reply) => reply,
        };
        let now = self.visitor.decided_booking(self.app).await?;
        match (reply.outcome, reply.why) {
            (ReplyOutcome::Decided, _) => Ok(self.shown(&now, self.applied())),
            (ReplyOutcome::Stale, _) => Err(self.overtaken(problem::PRECONDITION_FAILED, &now)),
            (ReplyOutcome::Refused, Some(why)) => Err(self.with_current(
                refusal::refused(self.app, &now.property_id, &why, self.visitor.is_staff_of(&now)),
                &now,
            )),
            (ReplyOutcome::KeyReused, _) => Err(problem::IDEMPOTENCY_KEY_REUSED.into()),
            (ReplyOutcome::Conflict | ReplyOutcome::Refused, _) => Err(self.overtaken(what.otherwise, &now)),
        }
    }

    /// 200 with the booking.
    pub(super) fn shown(&self, booking: &Booking, applied: Option<Duration>) -> Response {
        let mut answer =
            ([(header::ETAG, etag(booking.rev))], Json(BookingView::new(booking, self.visitor.links(), None)))
                .into_response();
        if let Some(Ok(applied)) = applied.map(|wait| HeaderValue::try_from(format!("wait={}", wait.as_secs()))) {
            answer.headers_mut().insert(PREFERENCE_APPLIED, applied);
        }
        answer
    }

    fn applied(&self) -> Option<Duration> {
        headers::preferred_wait(&self.parts.headers)
    }

    /// The problem of whoever comes too late, with what is now.
    pub(super) fn overtaken(&self, kind: &'static Kind, now: &Booking) -> Problem {
        self.with_current(kind.into(), now)
    }

    fn with_current(&self, problem: Problem, now: &Booking) -> Problem {
        problem
            .with_header(header::ETAG, etag(now.rev))
            .with_member("current", &BookingView::new(now, self.visitor.links(), None))
    }

    fn pending(&self, booking: &Booking, name: &'static str) -> Answer {
        let links = self.visitor.links();
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
