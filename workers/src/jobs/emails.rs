//! Worker `emails`: tells guests what happened to their bookings, sends what staff ask for, and writes to people about
//! their accounts.
//!
//! At least once, and twice only when the server's answer to a mail was lost: a row in the ledger is written before a
//! mail leaves and settled before the message is acknowledged. It reads the booking when it sends, so no mail
//! contradicts the newest state. It never changes a booking.

mod accounts;
mod delivery;
mod pending_mails;
mod properties;

use crate::clock::{self, Clock};
use crate::declaration::{Start, WorkerDeclaration};
use crate::mail::smtp::{SmtpClient, SmtpLimits, SmtpUrl};
use crate::mail::{Links, MailContext, MailError, Sender};
use delivery::SendResult;
use futures_util::future::join_all;
use pending_mails::{PendingMail, SendState};
use properties::Properties;
use pvt_domain::failure::Failure;
use pvt_domain::ids::BookingId;
use pvt_domain::messages::EmailCommand;
use pvt_messaging::{Outgoing, Queue, RetryDelay};
use pvt_service::config::Config;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::notifications::NotificationOutcome;
use pvt_worker_runtime::{Batch, BatchWorker, Job, Shape, Spec};
use secrecy::ExposeSecret;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Counter, labels `kind` and `outcome`: mails sent, refused, postponed and not needed.
pub const MAILS: &str = "pvt_mails_total";

/// How long a message waits when its mail may be under way in another process right now.
const IN_FLIGHT_DELAY: Duration = Duration::from_secs(5);

/// Most messages of a batch.
const BATCH_MAX: u16 = 100;

/// Mails of a batch that are reserved, sent and recorded together, beside the others.
const MAILS_PER_GROUP: usize = 50;

/// The worker.
pub struct Emails {
    mongo: Mongo,
    smtp: SmtpClient,
    sender: Sender,
    links: Links,
    properties: Properties,
    clock: Clock,
    /// What the mail server said and the ledger does not know yet. While there is any, nothing more is sent, so it
    /// holds one batch at most.
    unrecorded: Mutex<HashMap<String, NotificationOutcome>>,
}

impl Emails {
    /// Sends through the configured server, in the configured name.
    ///
    /// # Errors
    /// When `SMTP_URL`, `MAIL_FROM` or `JWT_SECRET` cannot be used.
    pub fn new(mongo: Mongo, config: &Config) -> Result<Self, MailError> {
        let links = Links::new(config.public_url.clone(), &config.jwt_secret)?;
        Self::with(mongo, config.smtp_url.expose_secret(), &config.mail_from, links, SmtpLimits::default())
    }

    /// Sends through this server, in this name, with these links, within these bounds.
    ///
    /// # Errors
    /// When the URL or the sender cannot be used.
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
        Ok(Self {
            mongo,
            smtp,
            sender,
            links,
            properties: Properties::default(),
            clock: clock::system,
            unrecorded: Mutex::default(),
        })
    }

    /// Writes what the server said into the ledger. What cannot be written is kept, and is written before anything else
    /// is sent.
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

    /// Reserves, sends and records these mails; one verdict for each.
    async fn send(&self, mails: &mut [PendingMail<'_>]) -> Result<Vec<MailOutcome>, Failure> {
        pending_mails::reserve(mails, &self.mongo, self.sender.domain(), (self.clock)()).await?;
        let settlements =
            delivery::send(mails, &self.smtp, MailContext { sender: &self.sender, links: &self.links }, (self.clock)())
                .await;
        pvt_worker_runtime::failpoint::hit("after_smtp_before_record");
        self.record(settlements.iter().flatten().filter_map(SendResult::to_record).collect()).await?;
        let now = (self.clock)();
        let verdict = |(mail, settlement): (&PendingMail<'_>, Option<SendResult>)| match (&mail.state, settlement) {
            (SendState::Completed { delivered, at }, _) => MailOutcome::Done { delivered: *delivered, at: *at },
            (SendState::InFlight, _) => MailOutcome::Fail(Failure::Defer(IN_FLIGHT_DELAY)),
            (SendState::Claimed { .. }, Some(settlement)) => settlement.outcome(now),
            (SendState::Claimed { .. }, None) => {
                MailOutcome::Fail(Failure::retry("mail_not_tried", "the mail was not tried"))
            }
        };
        Ok(mails.iter().zip(settlements).map(verdict).collect())
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
        queue: Queue::One("emails"),
        retry_schedule: &[
            RetryDelay::S5,
            RetryDelay::M1,
            RetryDelay::M10,
            RetryDelay::H1,
            RetryDelay::H1,
            RetryDelay::H1,
        ],
        // Above the longest that the mail client can take for the mails about accounts and then for those about
        // bookings, or accepted mails would go unrecorded.
        timeout: Duration::from_secs(240),
        shape: Shape::Batch { max: BATCH_MAX, linger: Duration::from_millis(20) },
    };
    type Message = EmailCommand;

    async fn handle(&self, batch: &mut Batch<EmailCommand>) -> Result<(), Failure> {
        let left_over: Vec<NotificationOutcome> = self.unrecorded().values().cloned().collect();
        self.record(left_over).await?;
        accounts::handle(self, &mut batch.items).await?;
        let bookings =
            self.mongo.bookings().find_by_ids(batch.items.iter().filter_map(|job| booking_of(&job.message))).await?;
        let wanted = bookings.values().map(|booking| &booking.property_id);
        let properties = self.properties.load(&self.mongo, wanted).await?;
        let mut mails = pending_mails::collect(&mut batch.items, &bookings, &properties, (self.clock)());
        // While one part waits for the database another talks to the mail server.
        let parts = join_all(mails.chunks_mut(MAILS_PER_GROUP).map(|part| self.send(part))).await;
        // A part that failed as a whole fails the batch: then each message is tried alone, and the ledger knows what
        // was sent.
        let parts = parts.into_iter().collect::<Result<Vec<Vec<MailOutcome>>, Failure>>()?;
        for (mail, verdict) in mails.iter().zip(parts.into_iter().flatten()) {
            for position in &mail.positions {
                if let Some(job) = batch.items.get_mut(*position) {
                    apply(job, mail, &verdict)?;
                }
            }
        }
        Ok(())
    }
}

/// What becomes of the messages of one mail.
enum MailOutcome {
    /// The mail is settled: say so.
    Done { delivered: bool, at: pvt_domain::timestamp::Timestamp },
    /// It is not.
    Fail(Failure),
}

fn apply(job: &mut Job<EmailCommand>, mail: &PendingMail<'_>, verdict: &MailOutcome) -> Result<(), Failure> {
    match verdict {
        MailOutcome::Fail(failure) => job.fail(failure.clone()),
        MailOutcome::Done { delivered, at } => {
            let event = mail.event(*delivered, *at);
            job.emit(Outgoing::event(event.event_id, &event)?.with_correlation_id(event.booking_id.as_uuid()));
        }
    }
    Ok(())
}

fn booking_of(command: &EmailCommand) -> Option<BookingId> {
    match command {
        EmailCommand::Send(wish) => Some(wish.booking_id),
        EmailCommand::Happened(event) => Some(event.booking_id),
        EmailCommand::Paid(event) => Some(event.booking_id),
        EmailCommand::Account(_) => None,
    }
}

#[cfg(test)]
mod tests {
    //! The bounds fit together.
    use super::{BatchWorker, Emails, SmtpLimits};

    #[test]
    fn accepted_mails_can_be_recorded_within_the_timeout() {
        assert!(Emails::SPEC.timeout > 2 * SmtpLimits::default().max_batch_duration());
    }
}
