//! Cancelling a booking: `DELETE` and `POST …/cancel` are the same.
//!
//! The command's id is a function of the booking and its revision, so cancelling twice is cancelling once.

use super::etag;
use super::visitor::Visitor;
use crate::app::{App, SharedApp};
use crate::body::{read_node, read_optional_json, refuse_card_numbers};
use crate::decisions::Awaited;
use crate::edge::Context;
use crate::headers::{PREFERENCE_APPLIED, preferred_wait};
use crate::problem::{self, Answer, Problem};
use crate::reader::{At, Reader};
use crate::view::{BookingView, PendingView};
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use chrono::Utc;
use pvt_domain::booking::{Booking, Status};
use pvt_domain::messages::{BOOKING_CANCEL, CancelBooking, Order};
use pvt_messaging::Outgoing;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Longest reason, in characters.
const MAX_REASON_CHARS: usize = 500;
/// When to look for the result, in seconds.
const RETRY_AFTER_SECS: u32 = 1;

/// 202 once the broker has the command; with `Prefer: wait=N` 200 with the cancelled booking, if it comes in time.
pub(in crate::routes) async fn cancel(State(app): State<SharedApp>, Path(id): Path<String>, request: Request) -> Answer {
    let begun = Instant::now();
    let (parts, body) = request.into_parts();
    let visitor = Visitor::of(&app, &id, &parts)?;
    let reason = match read_optional_json(&parts.headers, body).await? {
        Some(body) => read_reason(&body)?,
        None => None,
    };
    let Some(booking) = visitor.booking(&app).await? else {
        return Err(Problem::from(problem::STILL_PROCESSING).retry_after(RETRY_AFTER_SECS));
    };
    match booking.status {
        Status::Confirmed => send(&app, &visitor, booking, reason, &parts, begun).await,
        Status::Cancelled => Ok(cancelled(&booking, &visitor, None)),
        Status::Requested => Err(Problem::from(problem::STILL_PROCESSING).retry_after(RETRY_AFTER_SECS)),
        Status::Rejected => Err(Problem::new(problem::NOT_CANCELLABLE, "The request was refused, so there is nothing to cancel.")),
        Status::CheckedIn | Status::CheckedOut | Status::NoShow => Err(problem::NOT_CANCELLABLE.into()),
    }
}

fn read_reason(body: &[u8]) -> Result<Option<String>, Problem> {
    let node = read_node(body)?;
    refuse_card_numbers(&node, "")?;
    let mut reader = Reader::default();
    let field = reader.object(&node, &At::Root, &["reason"]).and_then(|fields| fields.optional("reason"));
    let reason = field.and_then(|field| reader.text(field));
    if let Some(text) = reason
        && (text.trim().is_empty() || text.chars().count() > MAX_REASON_CHARS || text.chars().any(|c| c.is_control() && c != '\n'))
    {
        reader.fault(&At::Key(&At::Root, "reason"), "invalid_reason", format!("1 to {MAX_REASON_CHARS} characters, no control characters"));
    }
    let faults = reader.into_faults();
    if faults.is_empty() { Ok(reason.map(str::to_owned)) } else { Err(Problem::fields(faults)) }
}

async fn send(app: &App, visitor: &Visitor, booking: Booking, reason: Option<String>, parts: &Parts, begun: Instant) -> Answer {
    let id = booking.id;
    let wait = preferred_wait(&parts.headers);
    let queue = wait.and_then(|_| app.replies.queue());
    let awaited = Awaited { id, rev: booking.rev + 1, reply_expected: queue.is_some() };
    let waiting = wait.and_then(|_| app.decisions.wait_for(awaited));
    let actor = visitor.actor();
    let key = app.topology.command_key(BOOKING_CANCEL, booking.property_id.as_str());
    let order = Order {
        booking_id: id,
        property_id: booking.property_id.clone(),
        expected_rev: None,
        actor: actor.clone(),
        as_admin: false,
        reason,
        requested_at: Utc::now().into(),
    };
    let command = CancelBooking { order, waive_fee: false };
    let command_id = Uuid::new_v5(&id.as_uuid(), format!("cancel|{}", booking.rev).as_bytes());
    let message = Outgoing::command(key, command_id, &command).map(|message| {
        let message = message.correlated(id.as_uuid()).traced(Context::traceparent(parts)).by(actor);
        Outgoing { reply_to: queue, ..message }
    });
    app.publish(message, |_| {}).await?;
    let decided = match waiting {
        Some(waiting) => waiting.until(begun + wait.unwrap_or_default()).await,
        None => None,
    };
    match decided {
        Some(now) if now.status == Status::Cancelled => Ok(cancelled(&now, visitor, wait)),
        Some(_) => Err(problem::NOT_CANCELLABLE.into()),
        None => pending(&booking, visitor),
    }
}

fn cancelled(booking: &Booking, visitor: &Visitor, applied: Option<Duration>) -> axum::response::Response {
    let mut answer = ([(header::ETAG, etag(booking.rev))], Json(BookingView::new(booking, visitor.links(), None))).into_response();
    if let Some(Ok(applied)) = applied.map(|wait| HeaderValue::try_from(format!("wait={}", wait.as_secs()))) {
        answer.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
    answer
}

fn pending(booking: &Booking, visitor: &Visitor) -> Answer {
    let links = visitor.links();
    let location = HeaderValue::try_from(links.this()).map_err(Problem::internal)?;
    let view = PendingView { id: booking.id, reference: &booking.reference, status: booking.status, pending: "cancel", links };
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location), (header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS))], Json(view)).into_response())
}

#[cfg(test)]
mod tests {
    use super::read_reason;

    #[test]
    fn a_reason_is_optional_bounded_and_holds_no_card_number() {
        assert_eq!(read_reason(br#"{"reason":"plans changed"}"#).unwrap().as_deref(), Some("plans changed"));
        assert_eq!(read_reason(b"{}").unwrap(), None);
        let code = |body: &str| read_reason(body.as_bytes()).unwrap_err().code();
        assert_eq!(code(r#"{"reason":""}"#), "validation_failed");
        assert_eq!(code(r#"{"reason":1,"why":2}"#), "validation_failed");
        assert_eq!(code(r#"{"reason":"refund 4242 4242 4242 4242"}"#), "card_number_refused");
        assert_eq!(code(r#"{"reason""#), "invalid_json");
    }
}
