//! One supervised connection to the broker: made, watched, and made again for ever.
//!
//! lapin's own recovery leaves pending confirms hanging and gives up after 16 tries, so it stays off: whatever fails,
//! the whole connection is thrown away and a fresh one with fresh channels takes its place. Publishing and consuming
//! never share a link, because a connection blocked by a resource alarm stalls its acknowledgements too.

use crate::backoff::Backoff;
use crate::metrics::{CONNECTED, RECONNECTS};
use crate::topology::Topology;
use futures_util::StreamExt as _;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties, Event};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// Both sides notice a dead peer within about two of these.
const HEARTBEAT_SECS: u16 = 10;
/// From dialling to a usable set of channels, topology included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// For the TCP handshake alone.
const DIAL_TIMEOUT_MS: u64 = 5_000;
/// For a polite goodbye; a blocked connection never answers it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
const BACKOFF_CAP: Duration = Duration::from_secs(5);
/// A connection that lived this long was a success: the next loss is answered at once.
const STABLE_AFTER: Duration = Duration::from_secs(5);
/// How often the state is looked at besides the events that lapin sends.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// What a link opens on each fresh connection.
pub(crate) trait OpenChannels: Send + Sync + 'static {
    /// The channels that belong to one connection.
    type Channels: Send + Sync + 'static;
    /// Opens them. Whoever finds one of them broken cancels `broken`, and the whole connection is replaced.
    fn open_channels(
        &self,
        connection: &Connection,
        broken: &CancellationToken,
    ) -> impl Future<Output = Result<Self::Channels, lapin::Error>> + Send;
}

/// One live connection with its channels.
pub(crate) struct Session<G> {
    pub(crate) connection: Connection,
    pub(crate) channels: G,
    /// Cancelled when the session is over, by its supervisor or by whoever found it broken.
    broken: CancellationToken,
}

/// What callers see of a link.
pub(crate) enum State<G> {
    /// There is no connection.
    Down {
        /// Since when.
        since: Instant,
        /// The last error; `None` while the first try after a loss is under way.
        failure: Option<Arc<str>>,
    },
    /// Usable. `blocked_since` tells of an alarm: the broker reads nothing from this connection.
    Up { session: Arc<Session<G>>, blocked_since: Option<Instant> },
    /// Closed on purpose.
    Closed,
}

impl<G> Clone for State<G> {
    fn clone(&self) -> Self {
        match self {
            Self::Down { since, failure } => Self::Down { since: *since, failure: failure.clone() },
            Self::Up { session, blocked_since } => Self::Up { session: session.clone(), blocked_since: *blocked_since },
            Self::Closed => Self::Closed,
        }
    }
}

/// The handle to a supervised connection.
pub(crate) struct Link<G> {
    state: watch::Receiver<State<G>>,
    closing: CancellationToken,
}

impl<G: Send + Sync + 'static> Link<G> {
    /// Starts the supervisor. Returns at once, whether or not the broker is there.
    pub(crate) fn start<E: OpenChannels<Channels = G>>(
        url: &str,
        topology: Topology,
        name: &str,
        open_channels: E,
    ) -> Self {
        let (sender, state) = watch::channel(State::Down { since: Instant::now(), failure: None });
        let link = Self { state, closing: CancellationToken::new() };
        let supervisor = Supervisor {
            uri: parse(url),
            topology,
            name: name.to_owned(),
            open_channels,
            state: sender,
            closing: link.closing.clone(),
        };
        tokio::spawn(supervisor.run());
        link
    }

    /// The state now.
    pub(crate) fn state(&self) -> State<G> {
        self.state.borrow().clone()
    }

    /// A receiver of state changes.
    pub(crate) fn watch(&self) -> watch::Receiver<State<G>> {
        self.state.clone()
    }

    /// Connected and not blocked.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(&*self.state.borrow(), State::Up { blocked_since: None, .. })
    }

    /// Ends the supervisor and the connection. Returns when it is closed or `limit` has passed.
    pub(crate) async fn close(&self, limit: Duration) {
        self.closing.cancel();
        let mut state = self.state.clone();
        let closed = state.wait_for(|state| matches!(state, State::Closed));
        if timeout(limit, closed).await.is_err() {
            debug!("the broker connection did not close in time");
        }
    }
}

impl<G> Drop for Link<G> {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

struct Supervisor<E: OpenChannels> {
    uri: Result<AMQPUri, String>,
    topology: Topology,
    name: String,
    open_channels: E,
    state: watch::Sender<State<E::Channels>>,
    closing: CancellationToken,
}

impl<E: OpenChannels> Supervisor<E> {
    async fn run(self) {
        let connected = metrics::gauge!(CONNECTED, "connection" => self.name.clone());
        let mut backoff = Backoff::new(BACKOFF_FIRST, BACKOFF_CAP);
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
                    info!(connection = %self.name, "connected to the broker");
                    let begun = Instant::now();
                    let Some(reason) = self.serve(Arc::new(session), &connected).await else { break };
                    if begun.elapsed() >= STABLE_AFTER {
                        backoff.reset();
                    }
                    self.mark_lost();
                    reason
                }
                Err(reason) => {
                    self.mark_failed(&reason);
                    reason
                }
            };
            connected.set(0.0);
            let wait = backoff.step();
            warn!(connection = %self.name, %reason, wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                "no broker connection");
            if closing.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                break;
            }
        }
        connected.set(0.0);
        self.state.send_replace(State::Closed);
    }

    /// Dials, declares the topology and opens the channels.
    async fn establish(&self) -> Result<Session<E::Channels>, String> {
        let uri = self.uri.clone()?;
        let work = async {
            let properties = ConnectionProperties::default().with_connection_name(self.name.as_str().into());
            let connection = Connection::connect_uri(uri, properties).await.map_err(|error| error.to_string())?;
            self.declare(&connection).await?;
            let broken = CancellationToken::new();
            let channels =
                self.open_channels.open_channels(&connection, &broken).await.map_err(|error| error.to_string())?;
            Ok(Session { connection, channels, broken })
        };
        // The state machine of a connection attempt is large; it lives on the heap so that its owner's does not.
        match timeout(CONNECT_TIMEOUT, Box::pin(work)).await {
            Ok(result) => result,
            Err(_) => Err(format!("no usable connection within {} s", CONNECT_TIMEOUT.as_secs())),
        }
    }

    async fn declare(&self, connection: &Connection) -> Result<(), String> {
        let channel = connection.create_channel().await.map_err(|error| error.to_string())?;
        match self.topology.declare(&channel).await {
            Ok(()) => channel.close(200, "declared".into()).await.map_err(|error| error.to_string()),
            // A service's own user may be allowed to use the topology without being allowed to declare it.
            Err(error) if error.is_access_refused() => {
                warn!(connection = %self.name, "not permitted to declare the topology; using it as it is");
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// Offers the session until it breaks. `None` when the link was closed on purpose.
    async fn serve(&self, session: Arc<Session<E::Channels>>, connected: &metrics::Gauge) -> Option<String> {
        self.state.send_replace(State::Up { session: session.clone(), blocked_since: None });
        connected.set(1.0);
        let mut events = std::pin::pin!(session.connection.events_listener());
        let mut tick = interval(POLL_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ended = loop {
            tokio::select! {
                () = self.closing.cancelled() => break None,
                () = session.broken.cancelled() => break Some("a channel failed".to_owned()),
                event = events.next() => match event {
                    Some(Event::Error(error)) => break Some(error.to_string()),
                    Some(_) => {}
                    None => break Some("the connection ended".to_owned()),
                },
                _ = tick.tick() => {}
            }
            if !session.connection.status().connected() {
                break Some("the connection was closed".to_owned());
            }
            self.update_blocked(session.connection.status().blocked(), connected);
        };
        session.broken.cancel();
        let close = session.connection.close(200, "closing".into());
        match timeout(CLOSE_TIMEOUT, close).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(connection = %self.name, %error, "closing a broken connection"),
            Err(_) => debug!(connection = %self.name, "the broker did not answer the goodbye"),
        }
        ended
    }

    fn update_blocked(&self, blocked: bool, connected: &metrics::Gauge) {
        self.state.send_if_modified(|state| {
            let State::Up { blocked_since, .. } = state else { return false };
            if blocked == blocked_since.is_some() {
                return false;
            }
            warn!(connection = %self.name, blocked, "the broker's resource alarm changed");
            *blocked_since = blocked.then(Instant::now);
            connected.set(if blocked { 0.0 } else { 1.0 });
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

/// The URL with our heartbeat and dialling time, which are not the operator's to forget.
pub(crate) fn parse(url: &str) -> Result<AMQPUri, String> {
    let mut uri: AMQPUri = url.parse().map_err(|error| format!("AMQP_URL is not usable: {error}"))?;
    uri.query.heartbeat = Some(HEARTBEAT_SECS);
    uri.query.connection_timeout = Some(DIAL_TIMEOUT_MS);
    if uri.vhost.is_empty() {
        uri.vhost = "/".to_owned();
    }
    Ok(uri)
}
