//! A supervised connection to the broker: opened, watched and reopened for ever.
//!
//! lapin's own recovery leaves pending confirms hanging and gives up after 16 attempts, so it stays off: after any
//! failure the whole connection is dropped and replaced by a fresh one with fresh channels. Publishing and consuming
//! never share a connection, because one that is blocked by a resource alarm stalls its acknowledgements too.

use crate::metrics::{CONNECTED, RECONNECTS};
use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures_util::StreamExt as _;
use lapin::protocol::AMQPErrorKind;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties, Event};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// RabbitMQ docs, "Heartbeats": a peer counts as dead after two missed ones. The broker's default is 60 s.
const HEARTBEAT_SECS: u16 = 10;
/// From dialling to open channels, including the declaration of the topology by a publisher.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// For the TCP handshake alone.
const DIAL_TIMEOUT_MS: u64 = 5_000;
/// For the close handshake, which a blocked connection never answers.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
const RECONNECT_MAX_DELAY: Duration = Duration::from_millis(2_500);
/// 100–200 ms, doubling to 2.5–5 s: jitter adds up to the delay itself, so that processes that lost the same broker
/// reconnect at different times.
const RECONNECT: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(100))
    .with_max_delay(RECONNECT_MAX_DELAY)
    .with_jitter()
    .without_max_times();
/// A connection that lasted this long resets the delay before the next reconnection.
const STABLE_AFTER: Duration = Duration::from_secs(5);
/// lapin reports errors as events, but neither a close by the broker nor a resource alarm: those are polled.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Whether the error ended no more than a channel (AMQP 0-9-1, "soft errors").
fn is_soft(error: &lapin::Error) -> bool {
    matches!(error.kind(), lapin::ErrorKind::ProtocolError(reply) if matches!(reply.kind(), AMQPErrorKind::Soft(_)))
}

/// AMQP's reply codes for frames that cannot be read: too large, malformed, unexpected.
const UNREADABLE: [u16; 3] = [501, 502, 505];

/// Whether the client gave the connection up because of what it was sent, such as headers larger than a frame.
pub(crate) fn is_unreadable(error: &lapin::Error) -> bool {
    match error.kind() {
        lapin::ErrorKind::ParsingError(_) => true,
        lapin::ErrorKind::ProtocolError(reply) => UNREADABLE.contains(&reply.get_id()),
        _ => false,
    }
}

/// Prepares a fresh connection for use.
pub(crate) trait OpenChannels: Send + Sync + 'static {
    /// The channels that belong to one connection.
    type Channels: Send + Sync + 'static;
    /// Opens them. Cancelling `broken` reports a broken channel and replaces the whole connection.
    fn open_channels(
        &self,
        connection: &Connection,
        broken: &CancellationToken,
    ) -> impl Future<Output = Result<Self::Channels, String>> + Send;
}

/// One live connection with its channels.
pub(crate) struct Session<C> {
    pub(crate) connection: Connection,
    pub(crate) channels: C,
    /// Cancelled when the session is over, by its supervisor or by the user of a broken channel.
    broken: CancellationToken,
}

/// The state of a link.
pub(crate) enum State<C> {
    /// There is no connection.
    Down {
        /// Time of the loss.
        since: Instant,
        /// The last error; `None` during the first attempt after a loss.
        failure: Option<Arc<str>>,
    },
    /// Connected. `blocked_since` is set during a resource alarm: the broker reads nothing from this connection.
    Up { session: Arc<Session<C>>, blocked_since: Option<Instant> },
    /// Closed by this process.
    Closed,
}

impl<C> Clone for State<C> {
    fn clone(&self) -> Self {
        match self {
            Self::Down { since, failure } => Self::Down { since: *since, failure: failure.clone() },
            Self::Up { session, blocked_since } => Self::Up { session: session.clone(), blocked_since: *blocked_since },
            Self::Closed => Self::Closed,
        }
    }
}

/// The handle to a supervised connection.
pub(crate) struct Link<C> {
    state: watch::Receiver<State<C>>,
    closing: CancellationToken,
}

impl<C: Send + Sync + 'static> Link<C> {
    /// Starts the supervisor and returns at once, whether or not the broker is reachable.
    pub(crate) fn start<E: OpenChannels<Channels = C>>(url: &str, name: &str, opener: E) -> Self {
        Self::supervise(url, name, opener, metrics::gauge!(CONNECTED, "connection" => name.to_owned()))
    }

    /// As [`Link::start`], for a connection that is closed after use: it has no gauge, because its end is no loss.
    pub(crate) fn start_short_lived<E: OpenChannels<Channels = C>>(url: &str, name: &str, opener: E) -> Self {
        Self::supervise(url, name, opener, metrics::Gauge::noop())
    }

    fn supervise<E: OpenChannels<Channels = C>>(url: &str, name: &str, opener: E, connected: metrics::Gauge) -> Self {
        let (sender, state) = watch::channel(State::Down { since: Instant::now(), failure: None });
        let link = Self { state, closing: CancellationToken::new() };
        let supervisor = Supervisor {
            uri: parse(url),
            name: name.to_owned(),
            opener,
            connected,
            state: sender,
            closing: link.closing.clone(),
        };
        tokio::spawn(supervisor.run());
        link
    }

    /// The current state.
    pub(crate) fn state(&self) -> State<C> {
        self.state.borrow().clone()
    }

    /// A receiver of state changes.
    pub(crate) fn watch(&self) -> watch::Receiver<State<C>> {
        self.state.clone()
    }

    /// Connected and not blocked.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(&*self.state.borrow(), State::Up { blocked_since: None, .. })
    }

    /// Ends the supervisor and closes the connection, waiting at most `limit`.
    pub(crate) async fn close(&self, limit: Duration) {
        self.closing.cancel();
        let mut state = self.state.clone();
        let closed = state.wait_for(|state| matches!(state, State::Closed));
        if timeout(limit, closed).await.is_err() {
            debug!("broker connection did not close in time");
        }
    }
}

impl<C> Drop for Link<C> {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

/// The end of a session.
struct Ended {
    reason: String,
    /// See [`is_unreadable`].
    unreadable: bool,
}

impl From<&str> for Ended {
    fn from(reason: &str) -> Self {
        Self { reason: reason.to_owned(), unreadable: false }
    }
}

struct Supervisor<E: OpenChannels> {
    uri: Result<AMQPUri, String>,
    name: String,
    opener: E,
    connected: metrics::Gauge,
    state: watch::Sender<State<E::Channels>>,
    closing: CancellationToken,
}

impl<E: OpenChannels> Supervisor<E> {
    async fn run(self) {
        let mut delays = RECONNECT.build();
        let mut established = 0_u64;
        let closing = self.closing.clone();
        loop {
            let Some(attempt) = closing.run_until_cancelled(self.establish()).await else { break };
            let reason = match attempt {
                Ok(session) => {
                    if established > 0 {
                        metrics::counter!(RECONNECTS, "connection" => self.name.clone()).increment(1);
                    }
                    established += 1;
                    info!(connection = %self.name, "connected to broker");
                    let begun = Instant::now();
                    let Some(ended) = self.serve(Arc::new(session)).await else { break };
                    // The broker is well where a message ended the session, and waiting would only delay its isolation.
                    if begun.elapsed() >= STABLE_AFTER || ended.unreadable {
                        delays = RECONNECT.build();
                    }
                    self.mark_lost();
                    ended.reason
                }
                Err(reason) => {
                    self.mark_failed(&reason);
                    reason
                }
            };
            self.connected.set(0.0);
            let wait = delays.next().unwrap_or(RECONNECT_MAX_DELAY);
            warn!(connection = %self.name, %reason, wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                "broker connection failed");
            if closing.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                break;
            }
        }
        self.connected.set(0.0);
        self.state.send_replace(State::Closed);
    }

    /// Connects and opens the channels.
    async fn establish(&self) -> Result<Session<E::Channels>, String> {
        let uri = self.uri.clone()?;
        let work = async {
            let properties = ConnectionProperties::default().with_connection_name(self.name.as_str().into());
            let connection = Connection::connect_uri(uri, properties).await.map_err(|error| error.to_string())?;
            let broken = CancellationToken::new();
            let channels = self.opener.open_channels(&connection, &broken).await?;
            Ok(Session { connection, channels, broken })
        };
        // Boxed: the future of a connection attempt is large and would grow that of the supervisor.
        match timeout(CONNECT_TIMEOUT, Box::pin(work)).await {
            Ok(result) => result,
            Err(_) => Err(format!("no usable connection within {} s", CONNECT_TIMEOUT.as_secs())),
        }
    }

    /// Publishes the session until it breaks; returns the reason, or `None` when the link was closed.
    async fn serve(&self, session: Arc<Session<E::Channels>>) -> Option<Ended> {
        self.state.send_replace(State::Up { session: session.clone(), blocked_since: None });
        self.connected.set(1.0);
        let mut events = std::pin::pin!(session.connection.events_listener());
        let mut tick = interval(POLL_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ended = loop {
            tokio::select! {
                () = self.closing.cancelled() => break None,
                () = session.broken.cancelled() => break Some(Ended::from("channel failed")),
                event = events.next() => match event {
                    // It ended one channel, whose user notices: a queue that is missing, for example.
                    Some(Event::Error(error)) if is_soft(&error) => {
                        debug!(connection = %self.name, %error, "channel closed by the broker");
                    }
                    Some(Event::Error(error)) => {
                        break Some(Ended { reason: error.to_string(), unreadable: is_unreadable(&error) });
                    }
                    Some(_) => {}
                    None => break Some(Ended::from("event stream ended")),
                },
                _ = tick.tick() => {}
            }
            if !session.connection.status().connected() {
                break Some(Ended::from("connection closed"));
            }
            self.update_blocked(session.connection.status().blocked());
        };
        session.broken.cancel();
        let close = session.connection.close(200, "closing".into());
        match timeout(CLOSE_TIMEOUT, close).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(connection = %self.name, %error, "closing a broken connection"),
            Err(_) => debug!(connection = %self.name, "broker did not answer the close handshake"),
        }
        ended
    }

    fn update_blocked(&self, blocked: bool) {
        self.state.send_if_modified(|state| {
            let State::Up { blocked_since, .. } = state else { return false };
            if blocked == blocked_since.is_some() {
                return false;
            }
            warn!(connection = %self.name, blocked, "broker resource alarm changed");
            *blocked_since = blocked.then(Instant::now);
            self.connected.set(if blocked { 0.0 } else { 1.0 });
            true
        });
    }

    fn mark_lost(&self) {
        self.state.send_replace(State::Down { since: Instant::now(), failure: None });
    }

    fn mark_failed(&self, reason: &str) {
        let failure = Some(Arc::from(reason));
        self.state.send_modify(|state| {
            let since = if let State::Down { since, .. } = state { *since } else { Instant::now() };
            *state = State::Down { since, failure };
        });
    }
}

/// Parses the URL and sets heartbeat and connection timeout, whatever the operator's URL says.
pub(crate) fn parse(url: &str) -> Result<AMQPUri, String> {
    let mut uri: AMQPUri = url.parse().map_err(|error| format!("AMQP_URL is invalid: {error}"))?;
    uri.query.heartbeat = Some(HEARTBEAT_SECS);
    uri.query.connection_timeout = Some(DIAL_TIMEOUT_MS);
    if uri.vhost.is_empty() {
        uri.vhost = "/".to_owned();
    }
    Ok(uri)
}
