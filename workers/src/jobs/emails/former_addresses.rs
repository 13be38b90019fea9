//! Mails to addresses that bookings no longer have: only to those that were written to about the booking before.

use super::pending_mails::{OutdatedMail, PendingMail, abandoned_before};
use super::{IN_FLIGHT_DELAY, MAILS};
use crate::mail::decide::decide_for_former;
use crate::mail::identity::{LedgerKey, Version};
use metrics::counter;
use pvt_domain::booking::{Booking, FormerAddress};
use pvt_domain::failure::Failure;
use pvt_domain::ids::BookingId;
use pvt_domain::messages::{EmailCommand, NotificationKind};
use pvt_domain::timestamp::Timestamp;
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::mail_senders::{LivingSenders, MailRow as _};
use pvt_stores::mongo::notifications::{Notification, NotificationStatus};
use pvt_worker_runtime::Job;
use std::collections::{HashMap, HashSet};

/// The addresses of a batch, by booking and revision.
pub(super) type FormerAddresses = HashMap<(BookingId, u32), FormerAddress>;

/// The addresses that the revisions of these messages took from their bookings, as far as they are kept.
pub(super) async fn load(
    jobs: &[Job<EmailCommand>],
    bookings: &HashMap<BookingId, Booking>,
    mongo: &Mongo,
) -> Result<FormerAddresses, StoreError> {
    let revisions = jobs.iter().filter_map(|job| {
        let revision = revision_of(&job.message)?;
        decide_for_former(&job.message, bookings.get(&revision.0)?, None).map(|_| revision)
    });
    mongo.former_addresses().of_revisions(revisions).await
}

/// The revision that an event is about.
pub(super) fn revision_of(command: &EmailCommand) -> Option<(BookingId, u32)> {
    match command {
        EmailCommand::Happened(event) => Some((event.booking_id, event.rev)),
        EmailCommand::Send(_) | EmailCommand::Paid(_) | EmailCommand::Account(_) => None,
    }
}

/// What the ledger says of the mails to a former address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Its reader knows of the booking as it was at this revision: write to it, once.
    Informed(u32),
    /// Nothing was sent to it, or it was refused.
    NotConcerned,
    /// A living process is sending a mail to it.
    BeingInformed,
}

/// Takes out the mails to former addresses that are not concerned, and returns them: an earlier delivery may have sent
/// one. Messages whose mails depend on one that is being
/// sent wait for its outcome. The others are named by what their reader knows, so that corrections there and back make
/// one notice, in one batch as in several workers.
pub(super) async fn take_out_needless(
    mails: &mut Vec<PendingMail<'_>>,
    jobs: &mut [Job<EmailCommand>],
    mongo: &Mongo,
    now: Timestamp,
) -> Result<Vec<OutdatedMail>, StoreError> {
    let mut needless = Vec::new();
    let bookings: HashSet<BookingId> =
        mails.iter().filter(|mail| mail.former.is_some()).map(|mail| mail.booking.id).collect();
    let rows = mongo.notifications().of_bookings(bookings).await?;
    let living = mongo.mail_senders().living(rows.iter().map(|row| row.attempt()), abandoned_before(now)).await?;
    let mut kept: Vec<PendingMail<'_>> = Vec::with_capacity(mails.len());
    for mut mail in mails.drain(..) {
        let Some(former) = mail.former else {
            kept.push(mail);
            continue;
        };
        match standing(mail.booking.id, &mail.plan.key, &rows, &living) {
            Standing::Informed(rev) => {
                mail.plan.key = LedgerKey::new(mail.booking.id, mail.plan.kind, Version::Rev(rev), &former.email);
                match kept.iter_mut().find(|other| other.plan.key == mail.plan.key) {
                    Some(same) => same.merge(mail),
                    None => kept.push(mail),
                }
            }
            Standing::NotConcerned => {
                counter!(MAILS, "kind" => "none", "outcome" => "not_concerned").increment(1);
                let (booking_id, key) = (mail.booking.id, mail.plan.key);
                needless.extend(mail.positions.into_iter().map(|position| OutdatedMail {
                    booking_id,
                    key: key.clone(),
                    position,
                }));
            }
            Standing::BeingInformed => {
                for position in mail.positions {
                    if let Some(job) = jobs.get_mut(position) {
                        job.fail(Failure::Defer(IN_FLIGHT_DELAY));
                    }
                }
            }
        }
    }
    *mails = kept;
    Ok(needless)
}

fn standing(booking: BookingId, own: &LedgerKey, rows: &[Notification], living: &LivingSenders) -> Standing {
    let keyed = rows.iter().filter_map(|row| Some((row, LedgerKey::stored(booking, &row.key)?)));
    let to_it: Vec<&Notification> = keyed
        .filter(|(row, key)| key.has_same_recipient(own) && row.kind != NotificationKind::AddressChanged)
        .map(|(row, _)| row)
        .collect();
    if to_it.iter().any(|row| living.is_sending(row.attempt())) {
        return Standing::BeingInformed;
    }
    // What was certainly not accepted goes to the present address.
    let may_have_arrived = |row: &&&Notification| row.status != NotificationStatus::Waiting || row.maybe_duplicate > 0;
    let newest = to_it.iter().filter(may_have_arrived).max_by_key(|row| (row.shown_rev(), row.updated_at));
    match newest {
        Some(row) if row.status != NotificationStatus::Failed => Standing::Informed(row.shown_rev()),
        _ => Standing::NotConcerned,
    }
}
