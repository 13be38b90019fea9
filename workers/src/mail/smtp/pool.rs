//! A few connections, reused across batches, over which the letters of a batch are spread.

use super::DeliveryOutcome;
use super::connection::{Connection, Connector, Delivery};
use super::url::SmtpUrl;
use crate::mail::{MailError, OutgoingMail};
use futures_util::future::join_all;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Connections that may break within one lane of one batch before the lane gives up: an unlucky one, but not a server
/// that is going down.
const MAX_LOSSES: u32 = 1;
/// Letters for which a further connection is worth opening.
const MAILS_PER_LANE: usize = 8;

/// The bounds of a client.
#[derive(Debug, Clone, Copy)]
pub struct SmtpLimits {
    /// Connections open at once.
    pub connections: usize,
    /// Connecting, greeting, TLS and login together.
    pub connect_timeout: Duration,
    /// The replies to the commands before a letter.
    pub reply_timeout: Duration,
    /// The reply to the letter itself. Giving up too early here is how mails double.
    pub accept_timeout: Duration,
    /// After this no further letter of a batch is begun, so that what was accepted is recorded in time.
    pub batch_budget: Duration,
    /// An idle connection older than this is not used again.
    pub idle_limit: Duration,
}

impl Default for SmtpLimits {
    fn default() -> Self {
        Self {
            connections: 4,
            connect_timeout: Duration::from_secs(5),
            reply_timeout: Duration::from_secs(10),
            accept_timeout: Duration::from_secs(20),
            batch_budget: Duration::from_secs(15),
            idle_limit: Duration::from_secs(60),
        }
    }
}

impl SmtpLimits {
    /// The longest that [`SmtpClient::send_all`] can take: just before the budget ends a letter is begun on a
    /// connection that proves dead, is sent on a new one together with the envelope of the next, and that one is sent
    /// too.
    pub fn max_batch_duration(&self) -> Duration {
        self.batch_budget + 2 * self.connect_timeout + 4 * self.reply_timeout + 2 * self.accept_timeout
    }
}

/// A mail server and the connections to it.
pub struct SmtpClient {
    connector: Connector,
    limits: SmtpLimits,
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

/// What the lanes of one batch share.
struct Batch<'a> {
    mails: &'a [OutgoingMail],
    waiting: Mutex<VecDeque<usize>>,
    ends: Instant,
}

impl Batch<'_> {
    /// The next letter, while there is time to begin one.
    fn take(&self) -> Option<usize> {
        if Instant::now() >= self.ends {
            return None;
        }
        locked(&self.waiting).pop_front()
    }

    fn requeue(&self, index: usize) {
        locked(&self.waiting).push_front(index);
    }
}

impl SmtpClient {
    /// A client of this server; connects when there is something to send. `hello_name` is what it calls itself.
    ///
    /// # Errors
    /// [`MailError::Tls`] when TLS cannot be set up for the host's name.
    pub fn new(url: SmtpUrl, hello_name: &str, limits: SmtpLimits) -> Result<Self, MailError> {
        Ok(Self {
            connector: Connector::new(url, hello_name, limits)?,
            permits: Semaphore::new(limits.connections.max(1)),
            idle: Mutex::new(Vec::new()),
            limits,
        })
    }

    /// Hands all letters over and tells what is known of each, in their order. Takes at most
    /// [`SmtpLimits::max_batch_duration`].
    pub async fn send_all(&self, mails: &[OutgoingMail]) -> Vec<DeliveryOutcome> {
        let batch = Batch {
            mails,
            waiting: Mutex::new((0..mails.len()).collect()),
            ends: Instant::now() + self.limits.batch_budget,
        };
        let lanes = mails.len().div_ceil(MAILS_PER_LANE).min(self.limits.connections.max(1));
        let lanes = join_all((0..lanes).map(|_| self.lane(&batch))).await;
        let mut why = None;
        let mut outcomes: Vec<Option<DeliveryOutcome>> = vec![None; mails.len()];
        for lane in lanes {
            why = why.or(lane.gave_up);
            for (index, outcome) in lane.outcomes {
                outcomes[index] = Some(outcome);
            }
        }
        let why = why.unwrap_or_else(|| "the time for this batch was up".to_owned());
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| DeliveryOutcome::Unsent(why.clone()))).collect()
    }

    async fn lane(&self, batch: &Batch<'_>) -> Lane {
        let mut lane = Lane::default();
        // The semaphore is never closed.
        let Ok(Ok(_permit)) = tokio::time::timeout_at(batch.ends, self.permits.acquire()).await else { return lane };
        let mut connection = self.take_idle();
        let mut losses = 0;
        let mut current = batch.take();
        while let Some(index) = current.take() {
            let next = batch.take();
            let following = next.and_then(|next| batch.mails.get(next));
            match self.deliver(&mut connection, &batch.mails[index], following).await {
                Attempt::Finished(outcome) => {
                    losses += u32::from(connection.is_none());
                    // The server takes nothing from us now, so asking it for the others would only cost time.
                    lane.gave_up =
                        if let DeliveryOutcome::Unsent(reason) = &outcome { Some(reason.clone()) } else { None };
                    lane.outcomes.push((index, outcome));
                }
                Attempt::NotStarted(reason) => {
                    // Another lane may have a connection that works.
                    batch.requeue(index);
                    lane.gave_up = Some(reason);
                }
            }
            if lane.gave_up.is_some() || losses > MAX_LOSSES {
                next.into_iter().for_each(|next| batch.requeue(next));
                break;
            }
            current = next;
        }
        let connection = connection.filter(|connection| !connection.is_committed());
        if let Some(mut connection) = connection {
            connection.idle_since = Instant::now();
            locked(&self.idle).push(connection);
        }
        lane
    }

    /// One letter, on the lane's connection or a new one; `next` is the one that follows there if all goes well. Leaves
    /// `connection` empty when it broke.
    async fn deliver(
        &self,
        connection: &mut Option<Connection>,
        mail: &OutgoingMail,
        next: Option<&OutgoingMail>,
    ) -> Attempt {
        // A connection that has been used may have been closed by the server since: that is found out only by using it,
        // and says nothing about the server. So once, a letter that certainly was not accepted is tried again on a new
        // one.
        if let Some(used) = connection.as_mut().filter(|connection| connection.used) {
            let Delivery { outcome, usable } = used.deliver(mail, next).await;
            if usable {
                return Attempt::Finished(outcome);
            }
            *connection = None;
            if !matches!(outcome, DeliveryOutcome::Unsent(_)) {
                return Attempt::Finished(outcome);
            }
        }
        let fresh = match connection.take() {
            Some(unused) => Ok(unused),
            None => self.connector.open().await,
        };
        match fresh {
            Err(reason) => Attempt::NotStarted(reason),
            Ok(mut fresh) => {
                let Delivery { outcome, usable } = fresh.deliver(mail, next).await;
                *connection = usable.then_some(fresh);
                Attempt::Finished(outcome)
            }
        }
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = locked(&self.idle);
        idle.retain(|connection| connection.idle_since.elapsed() < self.limits.idle_limit);
        idle.pop()
    }
}

/// What one lane achieved.
#[derive(Default)]
struct Lane {
    outcomes: Vec<(usize, DeliveryOutcome)>,
    gave_up: Option<String>,
}

enum Attempt {
    Finished(DeliveryOutcome),
    NotStarted(String),
}

/// Nothing is awaited and nothing can panic while a lock here is held, so a poisoned one is as good as any.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
