//! Event stream of a booking: one server-sent event per revision, from the current one until a final state.
//!
//! An event names the revision and the action behind it; clients read the booking itself separately, so the stream
//! holds no guest data.

use crate::auth::booking_access::BookingAccess;
use crate::commands::booking_watch::Awaited;
use crate::http::problem::{self, Problem};
use crate::http::response::{Either, NoContent};
use crate::openapi::schemas::Schemas;
use crate::openapi::{DescribeInput, DescribeOutput, Operation, schema};
use crate::state::SharedApp;
use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use pvt_domain::booking::{Action, Booking, HistoryEntry, Status};
use pvt_domain::ids::BookingId;
use pvt_domain::timestamp::Timestamp;
use serde::Serialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// Between two comments that keep the connection open while nothing happens.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Longest that one connection stays open. A client that reconnects presents its credentials again.
const MAX_STREAM_TIME: Duration = Duration::from_secs(15 * 60);
/// The first event: how long to wait before reconnecting, in milliseconds.
const RETRY_DIRECTIVE: &[u8] = b"retry: 2000\n\n";
const HEARTBEAT_COMMENT: &[u8] = b":\n\n";
const OVERLOADED_RETRY_AFTER_SECS: u32 = 10;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Keeps proxies from buffering the events.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

#[derive(Serialize)]
struct Event {
    rev: u32,
    action: Action,
    status: Status,
    at: Timestamp,
}

/// The last revision that the client has seen. Clients that have seen none may send an empty value.
pub(super) struct LastEventId(Option<u32>);

impl<S: Send + Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty()) else {
            return Ok(Self(None));
        };
        let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let unreadable =
            || Problem::new(problem::INVALID_QUERY, "Last-Event-ID takes the id of an earlier event, a number.");
        Ok(Self(Some(digits.ok_or_else(unreadable)?.parse().unwrap_or(u32::MAX))))
    }
}

impl DescribeInput for LastEventId {
    fn describe(operation: Operation, _: &mut Schemas) -> Operation {
        operation.takes_header("Last-Event-ID", schema::text(), "The last revision that the client has seen.")
    }
}

/// Server-sent events.
pub(super) struct Events(Body);

impl IntoResponse for Events {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
            (X_ACCEL_BUFFERING, HeaderValue::from_static("no")),
        ];
        (headers, self.0).into_response()
    }
}

impl DescribeOutput for Events {
    fn describe(operation: Operation, _: &mut Schemas) -> Operation {
        operation.answers_events("Events, until a final state or for 15 minutes.")
    }
}

/// `GET /api/bookings/{id}/events`. `Last-Event-ID` is the last revision that the client has seen; 204 when none can
/// follow. An id that is no revision of the booking yet says nothing: the stream begins with the newest, as without it.
pub(super) async fn events(
    State(app): State<SharedApp>,
    access: BookingAccess,
    LastEventId(known): LastEventId,
) -> Result<Either<Events, NoContent>, Problem> {
    let booking = access.booking(&app).await?;
    let overloaded = |_| Problem::from(problem::OVERLOADED).retry_after(OVERLOADED_RETRY_AFTER_SECS);
    let permit = app.event_streams.clone().try_acquire_owned().map_err(overloaded)?;
    let mut stream = EventStream {
        app,
        id: access.id,
        last_rev: 0,
        ready: VecDeque::from([Bytes::from_static(RETRY_DIRECTIVE)]),
        ended: false,
        until: Instant::now() + MAX_STREAM_TIME,
        _permit: permit,
    };
    if let Some(booking) = booking {
        stream.last_rev = last_seen(known, booking.rev);
        if is_final(booking.status) && booking.rev <= stream.last_rev {
            // Makes an EventSource stop reconnecting.
            return Ok(Either::That(NoContent));
        }
        stream.enqueue(&booking);
    }
    let body = Body::from_stream(stream::unfold(stream, async |mut stream| {
        stream.next().await.map(|bytes| (Ok::<_, Infallible>(bytes), stream))
    }));
    Ok(Either::This(Events(body)))
}

/// The revision after which the stream begins, when `newest` is the newest.
fn last_seen(known: Option<u32>, newest: u32) -> u32 {
    known.filter(|known| *known <= newest).unwrap_or_else(|| newest.saturating_sub(1))
}

fn is_final(status: Status) -> bool {
    matches!(status, Status::CheckedOut | Status::Rejected | Status::Cancelled)
}

/// One open stream.
struct EventStream {
    app: SharedApp,
    id: BookingId,
    /// The newest revision that was sent.
    last_rev: u32,
    ready: VecDeque<Bytes>,
    ended: bool,
    until: Instant,
    _permit: OwnedSemaphorePermit,
}

impl EventStream {
    /// The next bytes to send; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(bytes);
            }
            let now = Instant::now();
            if self.ended || now >= self.until || self.app.booking_watch.is_stopping() {
                return None;
            }
            let waiting = self.app.booking_watch.wait_for(Awaited {
                id: self.id,
                rev: self.last_rev + 1,
                reply_expected: false,
            })?;
            match waiting.until(self.until.min(now + HEARTBEAT)).await {
                Some(booking) => self.enqueue(&booking),
                None => self.ready.push_back(Bytes::from_static(HEARTBEAT_COMMENT)),
            }
        }
    }

    fn enqueue(&mut self, booking: &Booking) {
        let last_rev = self.last_rev;
        self.ready.extend(booking.history.iter().filter(|entry| entry.rev > last_rev).filter_map(event));
        self.last_rev = last_rev.max(booking.rev);
        self.ended = is_final(booking.status);
    }
}

/// The event of a revision, named after its action.
fn event(entry: &HistoryEntry) -> Option<Bytes> {
    let data =
        serde_json::to_string(&Event { rev: entry.rev, action: entry.action, status: entry.to, at: entry.at }).ok()?;
    Some(format!("id: {}\nevent: {}\ndata: {data}\n\n", entry.rev, entry.action.as_str()).into())
}

#[cfg(test)]
mod tests {
    use super::last_seen;

    #[test]
    fn stream_begins_with_newest_unless_an_earlier_revision_was_seen() {
        for (known, newest, expected) in
            [(None, 3, 2), (Some(0), 3, 0), (Some(2), 3, 2), (Some(3), 3, 3), (Some(4), 3, 2), (Some(u32::MAX), 3, 2)]
        {
            assert_eq!(last_seen(known, newest), expected, "{known:?} of {newest}");
        }
    }
}
