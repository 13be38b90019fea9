//! The mails that a batch asks for, each once, and which of them this batch may send.

use super::MAILS;
use crate::mail::decide::{Decision, Errand, decide};
use metrics::counter;
use pvt_domain::booking::Booking;
use pvt_domain::events::NotificationEvent;
use pvt_domain::failure::Failure;
use pvt_domain::ids::{BookingId, PropertyId};
use pvt_domain::inventory::Inventory;
use pvt_domain::messages::EmailCommand;
use pvt_domain::timestamp::Timestamp;
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::notifications::{Notification, NotificationClaim, NotificationStatus};
use pvt_worker_runtime::{HEADER_DEFERRALS, Job, Meta};
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// Where a mail stands before this batch sends anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// Ours to send under this `Message-ID`.
    Ours { message_id: String },
    /// Settled earlier; only the event has to go out, in case it never did.
    Settled { delivered: bool, at: Timestamp },
    /// Perhaps being sent by somebody else at this moment.
    UnderWay,
}

/// A mail, what it needs, and the messages that ask for it.
pub(super) struct Planned<'a> {
    pub(super) errand: Errand,
    pub(super) booking: &'a Booking,
    pub(super) inventory: Arc<Inventory>,
    /// Places in the batch.
    pub(super) places: Vec<usize>,
    /// None of its messages was handled before.
    first_sight: bool,
    pub(super) fate: Fate,
}

impl Planned<'_> {
    /// The event that tells what became of it; the same whenever it is made again.
    pub(super) fn event(&self, delivered: bool, at: Timestamp) -> NotificationEvent {
        NotificationEvent {
            event_id: self.errand.key.event_id(),
            booking_id: self.booking.id,
            property_id: self.booking.property_id.clone(),
            kind: self.errand.kind,
            version: self.errand.rev,
            delivered,
            occurred_at: at,
        }
    }

    fn row(&self, message_id: String, sender: Uuid, now: Timestamp) -> Notification {
        Notification {
            key: self.errand.key.as_str().to_owned(),
            booking_id: self.booking.id,
            property_id: self.booking.property_id.clone(),
            kind: self.errand.kind,
            version: self.errand.rev,
            status: NotificationStatus::Sending,
            message_id,
            attempts: 1,
            maybe_duplicate: 0,
            sender,
            reason: None,
            created_at: now,
            updated_at: now,
        }
    }
}

/// Decides about every message about a booking and returns the mails they ask for. Those that cannot be decided fail;
/// those that need no mail are done.
pub(super) fn collect<'a>(
    jobs: &mut [Job<EmailCommand>],
    bookings: &'a HashMap<BookingId, Booking>,
    properties: &HashMap<PropertyId, Arc<Inventory>>,
    now: Timestamp,
) -> Vec<Planned<'a>> {
    let mut list: Vec<Planned<'a>> = Vec::with_capacity(jobs.len());
    let mut known: HashMap<String, usize> = HashMap::with_capacity(jobs.len());
    for (place, job) in jobs.iter_mut().enumerate() {
        let Some(booking_id) = super::booking_of(&job.message) else { continue };
        let stored = bookings.get(&booking_id);
        let inventory = stored.and_then(|booking| properties.get(&booking.property_id));
        let property = inventory.map(|inventory| &inventory.property);
        let (errand, booking) = match (decide(&job.message, stored, property, now), stored) {
            (Decision::Send(errand), Some(booking)) => (errand, booking),
            (Decision::Nothing(reason), _) => {
                counter!(MAILS, "kind" => "none", "outcome" => reason).increment(1);
                continue;
            }
            (Decision::NotYet(class), _) => {
                job.fail(Failure::retry(class, "the store does not know yet what the message tells of"));
                continue;
            }
            (Decision::Send(_), None) => continue,
        };
        let first_sight = is_first_sight(&job.meta);
        if let Some(index) = known.get(errand.key.as_str()) {
            list[*index].places.push(place);
            list[*index].first_sight &= first_sight;
            continue;
        }
        let Some(inventory) = inventory else {
            job.fail(Failure::retry("property_missing", format!("there is no property `{}`", booking.property_id)));
            continue;
        };
        known.insert(errand.key.as_str().to_owned(), list.len());
        list.push(Planned {
            errand,
            booking,
            inventory: inventory.clone(),
            places: vec![place],
            first_sight,
            fate: Fate::UnderWay,
        });
    }
    list
}

/// Writes a ledger row for every mail, or takes an unfinished one over, and so finds out which are ours.
pub(super) async fn reserve(
    mails: &mut [Planned<'_>],
    mongo: &Mongo,
    domain: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sender = Uuid::new_v4();
    let rows: Vec<Notification> =
        mails.iter().map(|mail| mail.row(mail.errand.key.message_id(domain), sender, now)).collect();
    let existing = mongo.begin_notifications(&rows).await?;
    let mut claims = Vec::new();
    for (mail, row) in mails.iter_mut().zip(rows) {
        mail.fate = match existing.get(&row.key) {
            None => Fate::Ours { message_id: row.message_id },
            Some(found) => {
                let (fate, claim) = take_over(found, mail.first_sight);
                claims.extend(claim);
                fate
            }
        };
    }
    let won = mongo.claim_notifications(&claims, sender, now).await?;
    for claim in claims.iter().filter(|claim| !won.contains(&claim.key)) {
        if let Some(mail) = mails.iter_mut().find(|mail| mail.errand.key.as_str() == claim.key) {
            mail.fate = Fate::UnderWay;
        }
    }
    Ok(())
}

/// Whether this message was never handled before, as far as it can tell itself.
pub(super) fn is_first_sight(meta: &Meta) -> bool {
    meta.attempt <= 1 && meta.header(HEADER_DEFERRALS).is_none()
}

/// What a row that exists already means for a mail.
///
/// A row in `sending` belongs to a sender that is at work or that died. A message that sees it for the first time gives
/// way once, which is long enough for a living sender; whoever comes back to it sends, at the risk of a duplicate.
fn take_over(found: &Notification, first_sight: bool) -> (Fate, Option<NotificationClaim>) {
    let maybe_duplicate = match found.status {
        NotificationStatus::Sent | NotificationStatus::Failed => {
            return (Fate::Settled { delivered: found.status == NotificationStatus::Sent, at: found.updated_at }, None);
        }
        NotificationStatus::Sending if first_sight => return (Fate::UnderWay, None),
        NotificationStatus::Sending => true,
        NotificationStatus::Waiting => false,
    };
    let claim = NotificationClaim { key: found.key.clone(), attempts: found.attempts, maybe_duplicate };
    (Fate::Ours { message_id: found.message_id.clone() }, Some(claim))
}

#[cfg(test)]
mod tests {
    use super::{Fate, collect, take_over};
    use crate::mail::fixtures::{at, booking, cancelled, event, hostel};
    use pvt_domain::ids::BookingId;
    use pvt_domain::messages::EmailCommand;
    use pvt_stores::mongo::notifications::NotificationStatus::{self, Failed, Sending, Sent, Waiting};
    use pvt_worker_runtime::{Job, Meta};
    use std::collections::HashMap;
    use std::sync::Arc;
    use uuid::Uuid;

    fn job(message: EmailCommand, attempt: u32, deferrals: Option<&str>) -> Job<EmailCommand> {
        let headers = deferrals.map(|count| ("deferrals".to_owned(), count.to_owned())).into_iter().collect();
        Job::new(message, Meta { attempt, headers, ..Meta::default() })
    }

    #[test]
    fn copies_of_one_message_are_one_mail() {
        let booking = booking();
        let mut jobs = vec![job(event(&booking, 1), 1, None), job(event(&booking, 1), 1, None)];
        let bookings = HashMap::from([(booking.id, booking)]);
        let hostel = hostel();
        let properties = HashMap::from([(hostel.property.id.clone(), Arc::new(hostel))]);
        let errands = collect(&mut jobs, &bookings, &properties, at("2026-12-01T12:00:00Z"));
        assert_eq!(errands.len(), 1);
        assert_eq!(errands[0].places, [0, 1]);
    }

    #[test]
    fn a_superseded_message_is_done_and_an_early_one_comes_back() {
        let stored = cancelled();
        let mut early = cancelled();
        early.id = BookingId::from_uuid(Uuid::from_u128(9));
        let mut jobs = vec![job(event(&stored, 1), 1, None), job(event(&early, 2), 1, None)];
        let bookings = HashMap::from([(stored.id, stored)]);
        let errands = collect(&mut jobs, &bookings, &HashMap::new(), at("2026-12-01T12:00:00Z"));
        assert!(errands.is_empty());
        assert!(jobs[0].failed().is_none());
        assert!(jobs[1].failed().is_some());
    }

    #[test]
    fn an_existing_row_decides_who_sends() {
        let stored = booking();
        let mut jobs = vec![job(event(&stored, 1), 1, None)];
        let bookings = HashMap::from([(stored.id, stored)]);
        let hostel = hostel();
        let properties = HashMap::from([(hostel.property.id.clone(), Arc::new(hostel))]);
        let errands = collect(&mut jobs, &bookings, &properties, at("2026-12-01T12:00:00Z"));
        let mut row = errands[0].row("<kept@pvt.test>".to_owned(), Uuid::nil(), at("2026-12-01T12:00:00Z"));
        let mut fate = |status: NotificationStatus, first_sight| {
            row.status = status;
            let (fate, claim) = take_over(&row, first_sight);
            (fate, claim.map(|claim| claim.maybe_duplicate))
        };
        let ours = Fate::Ours { message_id: "<kept@pvt.test>".to_owned() };
        let settled = |delivered| Fate::Settled { delivered, at: at("2026-12-01T12:00:00Z") };
        assert_eq!(fate(Sent, true), (settled(true), None));
        assert_eq!(fate(Failed, false), (settled(false), None));
        assert_eq!(fate(Sending, true), (Fate::UnderWay, None));
        assert_eq!(fate(Sending, false), (ours.clone(), Some(true)));
        assert_eq!(fate(Waiting, true), (ours, Some(false)));
    }

    #[test]
    fn a_message_that_was_handled_before_is_no_first_sight() {
        assert!(super::is_first_sight(&job(event(&booking(), 1), 1, None).meta));
        assert!(!super::is_first_sight(&job(event(&booking(), 1), 2, None).meta));
        assert!(!super::is_first_sight(&job(event(&booking(), 1), 1, Some("1")).meta));
    }
}
