//! The stream of live figures: snapshot, deltas, continuation after a cut, and its end at shutdown.

use super::harness::{FOLLOW_LIMIT, HERE, Harness, Session};
use anyhow::{Context, Result, bail};
use pvt_domain::accounts::Role;
use pvt_testkit::{Broker, properties};
use reqwest::{Response, StatusCode, header};
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Tabs in view at once, of one session.
const TABS: usize = 50;

/// An event of the stream.
#[derive(Debug)]
struct Event {
    id: String,
    kind: String,
    data: String,
}

impl Event {
    fn text(&self, name: &str) -> Option<String> {
        let data: Value = serde_json::from_str(&self.data).ok()?;
        Some(data["texts"][name].as_str()?.to_owned())
    }
}

/// A stream that is read event by event.
struct Stream {
    response: Response,
    read: String,
    /// Kinds of the events so far.
    kinds: Vec<String>,
}

impl Stream {
    async fn open(harness: &Harness, session: &Session, last: Option<&str>) -> Result<Self> {
        let request = harness.http.get(harness.url("/live")).header(header::COOKIE, &session.cookie);
        let request = last.into_iter().fold(request, |request, last| request.header("last-event-id", last));
        let response = request.send().await?;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        Ok(Self { response, read: String::new(), kinds: Vec::new() })
    }

    /// The next event; `None` at the end.
    async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let field = |name: &str| {
                    let found = event.lines().find_map(|line| line.strip_prefix(name));
                    found.map_or_else(String::new, |value| value.trim().to_owned())
                };
                let event = Event { id: field("id:"), kind: field("event:"), data: field("data:") };
                self.read = rest.to_owned();
                self.kinds.push(event.kind.clone());
                return Ok(Some(event));
            }
            let Some(chunk) = timeout(FOLLOW_LIMIT, self.response.chunk()).await?? else { return Ok(None) };
            self.read.push_str(std::str::from_utf8(&chunk)?);
        }
    }

    /// The next event of this kind.
    async fn next_of(&mut self, kind: &str) -> Result<Event> {
        while let Some(event) = self.next().await? {
            if event.kind == kind {
                return Ok(event);
            }
        }
        bail!("the stream ended without a {kind}")
    }

    /// The event with which this text has this value.
    async fn until(&mut self, name: &str, value: &str) -> Result<Event> {
        let deadline = Instant::now() + FOLLOW_LIMIT;
        while Instant::now() < deadline {
            let event = self.next().await?.context("the stream ended")?;
            if event.text(name).as_deref() == Some(value) {
                return Ok(event);
            }
        }
        bail!("{name} was never {value}")
    }
}

#[tokio::test]
async fn figures_follow_and_continue_after_a_cut() -> Result<()> {
    let harness = Harness::start().await?;
    let staff = harness.sign_in(Role::Staff, &[HERE]).await?;
    let mut stream = Stream::open(&harness, &staff, None).await?;
    let snapshot = stream.next_of("snapshot").await?;
    assert!(snapshot.text("queue.emails.ready").is_some() && snapshot.text("waiting.unroutable.ready").is_some());
    assert!(!stream.next_of("beat").await?.data.is_empty(), "a stream says at once that it is alive");
    if snapshot.text("queue.emails.ready").as_deref() != Some("0") {
        stream.until("queue.emails.ready", "0").await?;
    }
    let broker = Broker::connect(&harness.namespace).await?;
    broker.send("emails", properties("carrier.pigeon.v1").1, b"{}").await?;
    let delta = stream.until("queue.emails.ready", "1").await?;
    assert_eq!(delta.kind, "delta");
    assert_eq!(delta.text("waiting.unroutable.ready"), None, "only what has changed");

    drop(stream);
    broker.send("emails", properties("carrier.pigeon.v1").1, b"{}").await?;
    let mut other = Stream::open(&harness, &staff, None).await?;
    other.until("queue.emails.ready", "2").await?;
    let is_whole = |stream: &Stream| stream.kinds.iter().any(|kind| kind == "snapshot");
    let mut continued = Stream::open(&harness, &staff, Some(&delta.id)).await?;
    let next = continued.until("queue.emails.ready", "2").await?;
    assert!(is_whole(&other) && !is_whole(&continued), "what was missed, not everything anew: {:?}", continued.kinds);
    drop(continued);
    let mut known = Stream::open(&harness, &staff, Some(&next.id)).await?;
    let first = known.next_of("beat").await?;
    assert!(first.id.is_empty() && !is_whole(&known), "{:?}", known.kinds);
    let mut unknown = Stream::open(&harness, &staff, Some("0-0")).await?;
    assert_eq!(unknown.next_of("snapshot").await?.text("queue.emails.ready").as_deref(), Some("2"));
    Ok(())
}

#[tokio::test]
async fn open_streams_end_at_shutdown() -> Result<()> {
    let mut harness = Harness::start().await?;
    let staff = harness.sign_in(Role::Staff, &[HERE]).await?;
    let mut streams = Vec::new();
    for _ in 0..TABS {
        let mut stream = Stream::open(&harness, &staff, None).await?;
        stream.next_of("snapshot").await?;
        streams.push(stream);
    }
    let stopped = Instant::now();
    harness.stop.cancel();
    timeout(Duration::from_secs(5), &mut harness.running).await???;
    assert!(stopped.elapsed() < Duration::from_secs(1), "{TABS} streams delayed the end: {:?}", stopped.elapsed());
    for mut stream in streams {
        while stream.next().await?.is_some() {}
    }
    Ok(())
}
