//! Connection pool: the mails of a batch are spread over a few connections, which later batches reuse.

use super::connection::{Connection, Connector, Delivery};
use super::url::SmtpUrl;
use super::{DeliveryOutcome, OutcomeName};
use crate::mail::{MailError, OutgoingMail};
use futures_util::future::join_all;
use lettre::Address;
use pvt_traces::Span;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Connections that a lane may lose in a row before it gives up: one can be bad luck or a recipient, two are a failing
/// server.
const MAX_LOSSES: u32 = 1;
/// Mails that are worth opening a further connection.
const MAILS_PER_LANE: usize = 8;

/// The limits of a client.
#[derive(Debug, Clone, Copy)]
pub struct SmtpLimits {
    /// Connections open at once.
    pub connections: usize,
    /// Connecting, greeting, TLS and login together.
    pub connect_timeout: Duration,
    /// The replies to the commands before a mail.
    pub reply_timeout: Duration,
    /// The reply to the mail itself. A timeout here that is too short is how mails are duplicated.
    pub accept_timeout: Duration,
    /// After this no further mail of a batch is started, so that accepted ones are recorded in time.
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
    /// Longest duration of [`SmtpClient::send_all`]: just before the budget ends a mail is started on a dead
    /// connection, is sent on a new one together with the envelope of the next, and that one is sent too.
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

/// The mails of a batch, shared by its lanes.
struct Batch<'a> {
    mails: &'a [OutgoingMail],
    waiting: Mutex<VecDeque<usize>>,
    ends: Instant,
}

impl Batch<'_> {
    /// The next mail, while there is time to start one.
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
    /// A client of this server, which connects when there is something to send. `hello_name` is its name in EHLO.
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

    /// Delivers all mails and reports what is known of each, in their order. Takes at most
    /// [`SmtpLimits::max_batch_duration`].
    pub async fn send_all(&self, mails: &[OutgoingMail]) -> Vec<DeliveryOutcome> {
        let batch = Batch {
            mails,
            waiting: Mutex::new((0..mails.len()).collect()),
            ends: Instant::now() + self.limits.batch_budget,
        };
        let lanes = mails.len().div_ceil(MAILS_PER_LANE).min(self.limits.connections.max(1));
        let lanes = join_all((0..lanes).map(|_| self.lane(&batch))).await;
        let mut gave_up = None;
        let mut outcomes: Vec<Option<DeliveryOutcome>> = vec![None; mails.len()];
        for lane in lanes {
            gave_up = gave_up.or(lane.gave_up);
            for (index, outcome) in lane.outcomes {
                outcomes[index] = Some(outcome);
            }
        }
        let gave_up = gave_up.unwrap_or_else(|| "the time budget of the batch was used up".to_owned());
        outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(|| DeliveryOutcome::Unsent(gave_up.clone())))
            .collect()
    }

    /// Whether the server takes connections and accepts mail from this sender.
    pub async fn accepts_mail_from(&self, sender: &Address) -> bool {
        // The semaphore is never closed.
        let Ok(_permit) = self.permits.acquire().await else { return false };
        match self.connector.open().await {
            Ok(mut connection) => connection.accepts_mail_from(sender).await,
            Err(_) => false,
        }
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
            let span = Span::mail(batch.mails[index].traceparent.as_deref());
            let attempt = self.deliver(&mut connection, &batch.mails[index], following).await;
            span.end_with(attempt.error_class());
            match attempt {
                Attempt::Finished(outcome) => {
                    losses = if connection.is_none() { losses + 1 } else { 0 };
                    // The server accepts nothing from us now, so the other mails would only cost time. A connection
                    // that was lost may be about this recipient only.
                    if let DeliveryOutcome::Unsent(reason) = &outcome
                        && (connection.is_some() || losses > MAX_LOSSES)
                    {
                        lane.gave_up = Some(reason.clone());
                    }
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

    /// Delivers one mail on the lane's connection or a new one; `next` is the one that follows there if all goes well.
    /// Leaves `connection` empty when it broke.
    async fn deliver(
        &self,
        connection: &mut Option<Connection>,
        mail: &OutgoingMail,
        next: Option<&OutgoingMail>,
    ) -> Attempt {
        // The server may have closed a used connection since. That shows only on use and means nothing, so a mail that
        // certainly was not accepted is tried once more on a new connection.
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

/// The result of one lane.
#[derive(Default)]
struct Lane {
    outcomes: Vec<(usize, DeliveryOutcome)>,
    gave_up: Option<String>,
}

enum Attempt {
    Finished(DeliveryOutcome),
    NotStarted(String),
}

impl Attempt {
    /// The class of its error in its span.
    fn error_class(&self) -> Option<&'static str> {
        match self {
            Self::Finished(DeliveryOutcome::Accepted) => None,
            Self::Finished(outcome) => Some(outcome.as_str()),
            Self::NotStarted(_) => Some(OutcomeName::Unsent.as_str()),
        }
    }
}

/// Nothing is awaited and nothing can panic while such a lock is held, so a poisoned one is as good as any.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
