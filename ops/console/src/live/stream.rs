//! Stream of the live figures as server-sent events: a snapshot, then deltas, and beats in between as long as the
//! figures are read, by which a page knows that they are not stale.

use super::board::{Board, Event};
use super::places::Place;
use crate::access::SignedIn;
use crate::app::SharedApp;
use crate::failure::Failure;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::Utc;
use futures_util::stream;
use pvt_domain::timestamp::Timestamp;
use serde::Deserialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Between two beats while nothing changes.
const BEAT: Duration = Duration::from_secs(5);
/// Longest that one connection stays open. A page that reconnects shows its session again.
const MAX_STREAM_TIME: Duration = Duration::from_secs(10 * 60);
/// The first event: how long to wait before reconnecting, in milliseconds.
const RETRY_DIRECTIVE: &[u8] = b"retry: 1000\n\n";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Keeps proxies from buffering the events.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

#[derive(Deserialize)]
pub(crate) struct LiveQuery {
    /// The last event, for a page that opens a stream again itself: then browsers send no header.
    last: Option<String>,
}

/// `GET /live`. A script cannot follow a redirect to a page, so without a session the answer is 401.
pub(crate) async fn live(
    State(app): State<SharedApp>,
    user: Result<SignedIn, Failure>,
    Query(query): Query<LiveQuery>,
    headers: HeaderMap,
) -> Response {
    let Ok(user) = user else { return StatusCode::UNAUTHORIZED.into_response() };
    let Some(place) = app.streams.take(user.user().id) else {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, HeaderValue::from_static("5"))])
            .into_response();
    };
    let last = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
    let stream = EventStream {
        board: app.board.clone(),
        changed: app.board.subscribe(),
        stop: app.stop.clone(),
        last: last.or(query.last),
        ready: VecDeque::from([Bytes::from_static(RETRY_DIRECTIVE)]),
        begun: false,
        until: Instant::now() + MAX_STREAM_TIME,
        _place: place,
    };
    let body = Body::from_stream(stream::unfold(stream, async |mut stream| {
        stream.next().await.map(|bytes| (Ok::<_, Infallible>(bytes), stream))
    }));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (X_ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    (headers, body).into_response()
}

/// One open stream.
struct EventStream {
    board: Arc<Board>,
    changed: watch::Receiver<u64>,
    stop: CancellationToken,
    /// The id of the last event that was sent.
    last: Option<String>,
    ready: VecDeque<Bytes>,
    begun: bool,
    until: Instant,
    _place: Place,
}

impl EventStream {
    /// The next bytes to send; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(bytes);
            }
            if self.stop.is_cancelled() || Instant::now() >= self.until {
                return None;
            }
            if !std::mem::replace(&mut self.begun, true) {
                // Also a stream that has missed nothing says at once that it is alive.
                self.enqueue_missed();
                self.enqueue_beat();
                continue;
            }
            tokio::select! {
                () = self.stop.cancelled() => return None,
                changed = self.changed.changed() => {
                    changed.ok()?;
                    self.enqueue_missed();
                    self.enqueue_beat();
                }
                () = sleep_until(self.until.min(Instant::now() + BEAT)) => self.enqueue_beat(),
            }
        }
    }

    fn enqueue_beat(&mut self) {
        if self.board.is_fresh() {
            self.ready.push_back(beat());
        }
    }

    fn enqueue_missed(&mut self) {
        self.changed.mark_unchanged();
        for event in self.board.since(self.last.as_deref()) {
            self.ready.push_back(bytes(&event));
            self.last = Some(event.id);
        }
    }
}

fn bytes(Event { id, kind, data }: &Event) -> Bytes {
    format!("id: {id}\nevent: {kind}\ndata: {data}\n\n").into()
}

/// Without an id, so that the last one of a figure stands.
fn beat() -> Bytes {
    let now: Timestamp = Utc::now().into();
    format!("event: beat\ndata: {now}\n\n").into()
}
