//! Worker `emails`: mails guests about their bookings, sends what staff request, and mails users about their accounts.
//!
//! A mail is sent at least once, and twice only when the server's reply was lost: its row in the ledger is written
//! before it is sent and completed before the message is acknowledged. The booking is read when the mail is sent, so
//! that no mail contradicts the newest state. It never changes a booking.

mod accounts;
mod delivery;
mod former_addresses;
mod other_mails;
mod outdated_mails;
mod pending_mails;
mod presence;
mod properties;

use crate::clock::{self, Clock};
use crate::declaration::{Start, WorkerDeclaration};
use crate::mail::smtp::{SmtpClient, SmtpLimits, SmtpUrl};
use crate::mail::{Links, MailContext, MailError, Sender};
use crate::probes;
use delivery::SendResult;
use futures_util::future::join_all;
use pending_mails::{Collected, Known, PendingMail, SendState};
use presence::Presence;
use properties::Properties;
use pvt_domain::events::NotificationEvent;
use pvt_domain::failure::Failure;
use pvt_domain::ids::BookingId;
use pvt_domain::messages::EmailCommand;
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::{Outgoing, Queue, RetryDelay};
use pvt_service::config::Config;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::notifications::{Notification, NotificationOutcome};
use pvt_worker_runtime::{Batch, BatchWorker, Job, Shape, Spec};
use secrecy::ExposeSecret;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Counter, labels `kind` and `outcome`: mails accepted, refused, deferred and skipped.
pub const MAILS: &str = "pvt_mails_total";

/// Outcome of a mail that cannot be composed.
const UNWRITABLE: &str = "unwritable";

/// Delay of a message whose mail waits until another attempt, or an earlier mail about the booking, is over.
const IN_FLIGHT_DELAY: Duration = Duration::from_secs(5);

/// Longest duration of a batch.
const TIMEOUT: Duration = Duration::from_secs(240);

/// Most messages of a batch.
const BATCH_MAX: u16 = 100;

/// Mails of a batch that are reserved, sent and recorded together, concurrently with the others.
const MAILS_PER_GROUP: usize = 50;

/// The worker.
pub struct Emails {
    mongo: Mongo,
    smtp: SmtpClient,
    sender: Sender,
    links: Links,
    properties: Properties,
    clock: Clock,
    presence: Presence,
    /// Outcomes that could not be written to the ledger yet. Until then nothing more is sent, so it holds one batch at
    /// most.
    unrecorded: Mutex<HashMap<String, NotificationOutcome>>,
}

impl Emails {
    /// A worker with the configured server and sender.
    ///
    /// # Errors
    /// When `SMTP_URL`, `MAIL_FROM` or `JWT_SECRET` is unusable.
    pub fn new(mongo: Mongo, config: &Config) -> Result<Self, MailError> {
        let links = Links::new(config.public_url.clone(), &config.jwt_secret)?;
        Self::with(mongo, config.smtp_url.expose_secret(), &config.mail_from, links, SmtpLimits::default())
    }

    /// A worker with this server, sender, links and limits.
    ///
    /// # Errors
    /// When the URL or the sender is unusable.
    pub fn with(
        mongo: Mongo,
        smtp_url: &str,
        mail_from: &str,
        links: Links,
        limits: SmtpLimits,
    ) -> Result<Self, MailError> {
        let sender = Sender::parse(mail_from)?;
        let url: SmtpUrl = smtp_url.parse()?;
        let smtp = SmtpClient::new(url, sender.domain(), limits)?;
        delivery::begin_counters();
        Ok(Self {
            mongo,
            smtp,
            sender,
            links,
            properties: Properties::default(),
            clock: clock::system,
            presence: Presence::default(),
            unrecorded: Mutex::default(),
        })
    }

    /// Writes outcomes to the ledger. Those that cannot be written are kept, and written before anything else is sent.
    async fn record(&self, outcomes: Vec<NotificationOutcome>) -> Result<(), Failure> {
        if outcomes.is_empty() {
            return Ok(());
        }
        self.unrecorded().extend(outcomes.iter().map(|outcome| (outcome.key.clone(), outcome.clone())));
        self.mongo.notifications().record(&outcomes, (self.clock)()).await?;
        let mut unrecorded = self.unrecorded();
        outcomes.iter().for_each(|outcome| drop(unrecorded.remove(&outcome.key)));
        Ok(())
    }

    /// Reserves, sends and records these mails; one outcome for each.
    async fn send(&self, mails: &mut [PendingMail<'_>]) -> Result<Vec<MailOutcome>, Failure> {
        let owner = (self.presence.process(), self.sender.domain());
        other_mails::find_delivered(mails, &self.mongo).await?;
        pending_mails::reserve(mails, &self.mongo, owner, (self.clock)()).await?;
        other_mails::arrange(mails, &self.mongo, (self.clock)()).await?;
        let results =
            delivery::send(mails, &self.smtp, MailContext { sender: &self.sender, links: &self.links }, (self.clock)())
                .await;
        pvt_worker_runtime::failpoint::hit("after_smtp_before_record");
        self.record(results.iter().flatten().filter_map(SendResult::to_record).collect()).await?;
        let unknown: Vec<&str> = results.iter().flatten().filter_map(SendResult::unknown_key).collect();
        self.mongo.mail_senders().abandon::<Notification>(&unknown, self.presence.process()).await?;
        let now = (self.clock)();
        let outcome = |(mail, result): (&PendingMail<'_>, Option<SendResult>)| match (&mail.state, result) {
            (SendState::Completed { delivered, at }, _) => MailOutcome::Done { delivered: *delivered, at: *at },
            (SendState::InFlight, _) => MailOutcome::Fail(Failure::Defer(IN_FLIGHT_DELAY)),
            (SendState::Behind, _) => {
                MailOutcome::Fail(Failure::retry("booking_behind_mail", "the booking is older than a mail about it"))
            }
            (SendState::Claimed { .. }, Some(result)) => result.outcome(now),
            (SendState::Claimed { .. }, None) => {
                MailOutcome::Fail(Failure::retry("mail_not_tried", "the mail was not attempted"))
            }
        };
        Ok(mails.iter().zip(results).map(outcome).collect())
    }

    /// Never held across an await; nothing can panic while it is.
    fn unrecorded(&self) -> MutexGuard<'_, HashMap<String, NotificationOutcome>> {
        self.unrecorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The worker `emails`.
pub(crate) const WORKER: WorkerDeclaration = WorkerDeclaration {
    name: Emails::SPEC.name,
    about: "sends mail",
    health_port: 8083,
    queues: &[Emails::SPEC.queue],
    start: Start::Consumers(|engine, dependencies| {
        Ok(engine.register_batch(Emails::new(dependencies.mongo.clone(), &dependencies.config)?)?)
    }),
};

impl BatchWorker for Emails {
    const SPEC: Spec = Spec {
        name: "emails",
        queue: Queue::One(EmailCommand::QUEUE),
        retry_schedule: &[
            RetryDelay::S5,
            RetryDelay::M1,
            RetryDelay::M10,
            RetryDelay::H1,
            RetryDelay::H1,
            RetryDelay::H1,
        ],
        // Above the longest time of the mail client for mails about accounts and then for those about bookings, or
        // accepted mails would go unrecorded.
        timeout: TIMEOUT,
        shape: Shape::Batch { max: BATCH_MAX, linger: Duration::from_millis(20) },
    };
    type Message = EmailCommand;

    async fn handle(&self, batch: &mut Batch<EmailCommand>) -> Result<(), Failure> {
        self.presence.renew(&self.mongo).await?;
        tokio::select! {
            handled = self.handle_batch(batch) => handled,
            never = self.presence.keep(&self.mongo) => match never {},
        }
    }

    async fn probe(&self, class: &'static str) -> Option<bool> {
        match class {
            probes::SMTP => Some(self.smtp.accepts_mail_from(self.sender.address()).await),
            _ => probes::mongodb(class, &self.mongo).await,
        }
    }
}

impl Emails {
    async fn handle_batch(&self, batch: &mut Batch<EmailCommand>) -> Result<(), Failure> {
        let unrecorded: Vec<NotificationOutcome> = self.unrecorded().values().cloned().collect();
        self.record(unrecorded).await?;
        accounts::handle(self, &mut batch.items).await?;
        let bookings =
            self.mongo.bookings().find_by_ids(batch.items.iter().filter_map(|job| booking_of(&job.message))).await?;
        let wanted = bookings.values().map(|booking| &booking.property_id);
        let properties = self.properties.load(&self.mongo, wanted).await?;
        let former_addresses = former_addresses::load(&batch.items, &bookings, &self.mongo).await?;
        let now = (self.clock)();
        let deferral = pending_mails::deferral(&batch.items, &bookings, &self.mongo, now).await?;
        let known =
            Known { bookings: &bookings, properties: &properties, former_addresses: &former_addresses, deferral };
        let Collected { mut mails, mut outdated } = pending_mails::collect(&mut batch.items, known, now);
        let needless = former_addresses::take_out_needless(&mut mails, &mut batch.items, &self.mongo, now).await?;
        outdated.extend(needless);
        outdated_mails::report(&mut batch.items, &outdated, &self.mongo, now).await?;
        // While one group waits for the database another talks to the mail server.
        let groups = join_all(mails.chunks_mut(MAILS_PER_GROUP).map(|group| self.send(group))).await;
        // A group that failed as a whole fails the batch: then its messages are handled again in smaller groups, and
        // the ledger knows what was sent.
        let groups = groups.into_iter().collect::<Result<Vec<Vec<MailOutcome>>, Failure>>()?;
        for (mail, outcome) in mails.iter().zip(groups.into_iter().flatten()) {
            for position in &mail.positions {
                if let Some(job) = batch.items.get_mut(*position) {
                    apply(job, mail, &outcome)?;
                }
            }
        }
        Ok(())
    }
}

/// The outcome for the messages of one mail.
enum MailOutcome {
    /// The mail is sent or refused for good: report it.
    Done { delivered: bool, at: Timestamp },
    /// It is neither.
    Fail(Failure),
}

fn apply(job: &mut Job<EmailCommand>, mail: &PendingMail<'_>, outcome: &MailOutcome) -> Result<(), Failure> {
    match outcome {
        MailOutcome::Fail(failure) => job.fail(failure.clone()),
        MailOutcome::Done { delivered, at } => {
            report(job, &mail.event(*delivered, *at))?;
        }
    }
    Ok(())
}

/// Publishes the outcome of a mail.
fn report(job: &mut Job<EmailCommand>, event: &NotificationEvent) -> Result<(), Failure> {
    job.emit(Outgoing::event(event.event_id, event)?.with_correlation_id(event.booking_id.as_uuid()));
    Ok(())
}

fn booking_of(command: &EmailCommand) -> Option<BookingId> {
    match command {
        EmailCommand::Send(request) => Some(request.booking_id),
        EmailCommand::Happened(event) => Some(event.booking_id),
        EmailCommand::Paid(event) => Some(event.booking_id),
        EmailCommand::Account(_) => None,
    }
}

#[cfg(test)]
mod tests {
    //! The timeouts fit together.
    use super::{BatchWorker, Emails, SmtpLimits};

    #[test]
    fn accepted_mails_can_be_recorded_within_the_timeout() {
        assert!(Emails::SPEC.timeout > 2 * SmtpLimits::default().max_batch_duration());
    }
}
