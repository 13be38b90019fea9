//! The mails of a batch: each once, whatever the number of messages that ask for it, and with the right to send it.

use super::former_addresses::{FormerAddresses, revision_of};
use super::{MAILS, TIMEOUT};
use crate::mail::decide::{MailDecision, PlannedMail, decide, decide_for_former};
use crate::mail::identity::LedgerKey;
use chrono::TimeDelta;
use metrics::counter;
use pvt_domain::QueueHop;
use pvt_domain::booking::{Booking, FormerAddress};
use pvt_domain::events::NotificationEvent;
use pvt_domain::failure::Failure;
use pvt_domain::ids::{BookingId, PropertyId};
use pvt_domain::inventory::Inventory;
use pvt_domain::messages::EmailCommand;
use pvt_domain::timestamp::Timestamp;
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::mail_senders::{Attempt, MailRow as _, TakeOver};
use pvt_stores::mongo::notifications::{Notification, NotificationClaim, NotificationStatus};
use pvt_worker_runtime::{HEADER_DEFERRALS, Job, Meta};
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// The state of a mail before this batch sends anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SendState {
    /// This batch sends it, under this `Message-ID`.
    Claimed { message_id: String },
    /// Completed earlier; only its event is published again, in case it never was.
    Completed { delivered: bool, at: Timestamp },
    /// Another sender may be sending it, or an earlier mail about the booking.
    InFlight,
    /// The booking was read too early: a later mail about it was written.
    Behind,
}

/// A mail, what it is written from, and the messages that ask for it.
pub(super) struct PendingMail<'a> {
    pub(super) plan: PlannedMail,
    pub(super) booking: &'a Booking,
    /// The address that the booking no longer has, if the mail goes to it and not to the guest's present one.
    pub(super) former: Option<&'a FormerAddress>,
    pub(super) inventory: Arc<Inventory>,
    /// Positions of its messages in the batch.
    pub(super) positions: Vec<usize>,
    /// The span of the first of them, as a `traceparent` header.
    pub(super) traceparent: Option<String>,
    /// How the first of them came.
    hop: QueueHop,
    /// Whether all of its messages are delivered for the first time.
    first_delivery: bool,
    /// The revision to compare the booking with, if the mail says what changed.
    pub(super) compared_with: Option<u32>,
    pub(super) state: SendState,
}

impl PendingMail<'_> {
    /// Takes over the messages of another that asks for the same mail. It is about the newest of their revisions,
    /// whichever message came first.
    pub(super) fn merge(&mut self, same: Self) {
        self.positions.extend(same.positions);
        self.first_delivery &= same.first_delivery;
        if self.plan.rev < same.plan.rev {
            (self.plan, self.former) = (same.plan, same.former);
        }
    }

    /// The event that reports its outcome; the same on every delivery.
    pub(super) fn event(&self, delivered: bool, at: Timestamp) -> NotificationEvent {
        NotificationEvent {
            event_id: self.plan.key.event_id(),
            booking_id: self.booking.id,
            property_id: self.booking.property_id.clone(),
            kind: self.plan.kind.as_str().to_owned(),
            version: self.plan.rev,
            delivered,
            occurred_at: at,
        }
    }

    fn ledger_row(&self, message_id: String, (sender, process): (Uuid, &str), now: Timestamp) -> Notification {
        Notification {
            key: self.plan.key.as_str().to_owned(),
            booking_id: self.booking.id,
            property_id: self.booking.property_id.clone(),
            kind: self.plan.kind,
            version: self.plan.rev,
            shown: Some(self.booking.rev),
            status: NotificationStatus::Sending,
            message_id,
            attempts: 1,
            maybe_duplicate: 0,
            sender,
            process: Some(process.to_owned()),
            reason: None,
            hop: Some(self.hop.clone()),
            created_at: now,
            updated_at: now,
        }
    }
}

/// A mail that is not sent any more, and the message that asked for it.
pub(super) struct OutdatedMail {
    pub(super) booking_id: BookingId,
    pub(super) key: LedgerKey,
    pub(super) position: usize,
}

/// The mails that the messages of a batch ask for.
pub(super) struct Collected<'a> {
    pub(super) mails: Vec<PendingMail<'a>>,
    pub(super) outdated: Vec<OutdatedMail>,
}

/// What the mails of a batch are decided on and written from.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) bookings: &'a HashMap<BookingId, Booking>,
    pub(super) properties: &'a HashMap<PropertyId, Arc<Inventory>>,
    pub(super) former_addresses: &'a FormerAddresses,
}

/// Decides about every message about a booking and returns the mails they ask for. Messages that cannot be decided yet
/// fail; those that need no mail are done.
pub(super) fn collect<'a>(jobs: &mut [Job<EmailCommand>], known: Known<'a>, now: Timestamp) -> Collected<'a> {
    let mut collected = Collected { mails: Vec::with_capacity(jobs.len()), outdated: Vec::new() };
    let mut indexes: HashMap<String, usize> = HashMap::with_capacity(jobs.len());
    for (position, job) in jobs.iter_mut().enumerate() {
        let Some(booking_id) = super::booking_of(&job.message) else { continue };
        let booking = known.bookings.get(&booking_id);
        let inventory = booking.and_then(|booking| known.properties.get(&booking.property_id));
        let property = inventory.map(|inventory| &inventory.property);
        let former = revision_of(&job.message).and_then(|revision| known.former_addresses.get(&revision));
        let to_former = booking.and_then(|booking| decide_for_former(&job.message, booking, former));
        let to_guest = decide(&job.message, booking, property, now);
        for (decision, former) in [Some((to_guest, None)), to_former.map(|it| (it, former))].into_iter().flatten() {
            let (plan, booking) = match (decision, booking) {
                (MailDecision::Send(plan), Some(booking)) => (plan, booking),
                (MailDecision::Skip(reason), _) => {
                    counter!(MAILS, "kind" => "none", "outcome" => reason).increment(1);
                    continue;
                }
                (MailDecision::Outdated(key, reason), _) => {
                    counter!(MAILS, "kind" => "none", "outcome" => reason).increment(1);
                    collected.outdated.push(OutdatedMail { booking_id, key, position });
                    continue;
                }
                (MailDecision::NotYet(class), _) => {
                    job.fail(Failure::retry(class, "the stored booking is older than the message"));
                    continue;
                }
                (MailDecision::Send(_), None) => continue,
            };
            let first_delivery = is_first_delivery(&job.meta);
            if let Some(mail) = indexes.get(plan.key.as_str()).and_then(|index| collected.mails.get_mut(*index)) {
                mail.positions.push(position);
                mail.first_delivery &= first_delivery;
                continue;
            }
            let Some(inventory) = inventory else {
                let missing = format!("property `{}` does not exist", booking.property_id);
                job.fail(Failure::retry("property_missing", missing));
                continue;
            };
            indexes.insert(plan.key.as_str().to_owned(), collected.mails.len());
            collected.mails.push(PendingMail {
                plan,
                booking,
                former,
                inventory: inventory.clone(),
                positions: vec![position],
                traceparent: pvt_traces::kept(job.meta.traceparent.as_deref()),
                hop: job.hop(),
                first_delivery,
                compared_with: None,
                state: SendState::InFlight,
            });
        }
    }
    collected
}

/// Writes a ledger row for every mail or takes over an unfinished one, which gives the right to send it.
pub(super) async fn reserve(
    mails: &mut [PendingMail<'_>],
    mongo: &Mongo,
    (process, domain): (&str, &str),
    now: Timestamp,
) -> Result<(), StoreError> {
    let sender = Uuid::new_v4();
    let rows: Vec<Notification> =
        mails.iter().map(|mail| mail.ledger_row(mail.plan.key.message_id(domain), (sender, process), now)).collect();
    let existing = mongo.notifications().begin(&rows).await?;
    let found: Vec<Option<&Notification>> = rows.iter().map(|row| existing.get(&row.key)).collect();
    let attempts: Vec<(Attempt<'_>, bool)> = mails
        .iter()
        .zip(&found)
        .filter_map(|(mail, found)| Some((found.as_ref()?.attempt(), mail.first_delivery)))
        .collect();
    let mut take_overs = mongo.mail_senders().take_over(&attempts, abandoned_before(now)).await?.into_iter();
    let mut claims = Vec::new();
    for ((mail, row), found) in mails.iter_mut().zip(&rows).zip(found) {
        let take_over = found.and_then(|_| take_overs.next());
        if let Some(found) = found
            && (mail.former.is_some() || take_over == Some(TakeOver::Completed))
        {
            // It is reported as its row says, whichever message asks for it again. A mail to the present address that
            // is still to be sent is about the booking as it is now, and its row will say so.
            mail.plan.rev = found.version;
        }
        mail.state = match (found, take_over) {
            (None, _) => SendState::Claimed { message_id: row.message_id.clone() },
            (Some(found), Some(TakeOver::Claim { maybe_duplicate })) => {
                claims.push(NotificationClaim {
                    key: found.key.clone(),
                    version: mail.plan.rev,
                    shown: mail.booking.rev,
                    attempts: found.attempts,
                    hop: mail.hop.clone(),
                    maybe_duplicate,
                });
                SendState::Claimed { message_id: found.message_id.clone() }
            }
            (Some(found), Some(TakeOver::Completed)) => {
                SendState::Completed { delivered: found.status == NotificationStatus::Sent, at: found.updated_at }
            }
            (Some(_), Some(TakeOver::Wait) | None) => SendState::InFlight,
        };
    }
    let won = mongo.notifications().claim(&claims, (sender, process), now).await?;
    for claim in claims.iter().filter(|claim| !won.contains(&claim.key)) {
        if let Some(mail) = mails.iter_mut().find(|mail| mail.plan.key.as_str() == claim.key) {
            mail.state = SendState::InFlight;
        }
    }
    Ok(())
}

/// Whether this message is delivered for the first time, as far as its properties show.
pub(super) fn is_first_delivery(meta: &Meta) -> bool {
    meta.attempt <= 1 && meta.header(HEADER_DEFERRALS).is_none()
}

/// The time of which on rows are being sent by processes that are alive: a handler that takes longer is ended.
pub(super) fn abandoned_before(now: Timestamp) -> Timestamp {
    (now.as_datetime() - TimeDelta::from_std(TIMEOUT).unwrap_or(TimeDelta::MAX)).into()
}

#[cfg(test)]
mod tests {
    use super::{Known, collect};
    use crate::mail::fixtures::{at, booking, cancelled, event, inventory};
    use pvt_domain::ids::BookingId;
    use pvt_domain::messages::EmailCommand;
    use pvt_worker_runtime::{Job, Meta};
    use std::collections::HashMap;
    use std::sync::Arc;
    use uuid::Uuid;

    fn job(message: EmailCommand, attempt: u32, deferrals: Option<&str>) -> Job<EmailCommand> {
        let headers = deferrals.map(|count| ("deferrals".into(), count.to_owned())).into_iter().collect();
        Job::new(message, Meta { attempt, headers, ..Meta::default() })
    }

    #[test]
    fn duplicate_messages_share_one_mail() {
        let booking = booking();
        let mut jobs = vec![job(event(&booking, 1), 1, None), job(event(&booking, 1), 1, None)];
        let bookings = HashMap::from([(booking.id, booking)]);
        let inventory = inventory();
        let properties = HashMap::from([(inventory.property.id.clone(), Arc::new(inventory))]);
        let known = Known { bookings: &bookings, properties: &properties, former_addresses: &HashMap::new() };
        let mails = collect(&mut jobs, known, at("2026-12-01T12:00:00Z")).mails;
        assert_eq!(mails.len(), 1);
        assert_eq!(mails[0].positions, [0, 1]);
    }

    #[test]
    fn superseded_message_is_skipped_and_early_message_is_retried() {
        let stored = cancelled();
        let mut early = cancelled();
        early.id = BookingId::from_uuid(Uuid::from_u128(9));
        let mut jobs = vec![job(event(&stored, 1), 1, None), job(event(&early, 2), 1, None)];
        let bookings = HashMap::from([(stored.id, stored)]);
        let known = Known { bookings: &bookings, properties: &HashMap::new(), former_addresses: &HashMap::new() };
        let collected = collect(&mut jobs, known, at("2026-12-01T12:00:00Z"));
        assert!(collected.mails.is_empty());
        assert_eq!(collected.outdated.iter().map(|mail| mail.position).collect::<Vec<_>>(), [0]);
        assert!(jobs[0].failed().is_none());
        assert!(jobs[1].failed().is_some());
    }

    #[test]
    fn redelivery_is_not_a_first_delivery() {
        assert!(super::is_first_delivery(&job(event(&booking(), 1), 1, None).meta));
        assert!(!super::is_first_delivery(&job(event(&booking(), 1), 2, None).meta));
        assert!(!super::is_first_delivery(&job(event(&booking(), 1), 1, Some("1")).meta));
    }
}
