//! Mails that are not sent any more. One that an earlier delivery of its message sent is still reported: that delivery
//! may have ended between the ledger's row and the event.

use super::IN_FLIGHT_DELAY;
use super::pending_mails::{OutdatedMail, abandoned_before};
use crate::mail::identity::{LedgerKey, Version};
use pvt_domain::events::NotificationEvent;
use pvt_domain::failure::Failure;
use pvt_domain::messages::{EmailCommand, NotificationKind};
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::mail_senders::MailRow as _;
use pvt_stores::mongo::notifications::{Notification, NotificationStatus};
use pvt_worker_runtime::Job;
use std::collections::HashSet;

/// Publishes the outcomes of those that were sent or refused. A message whose mail is being sent waits for the outcome;
/// one whose sender ended in between is done, since it stays unknown whether its mail was accepted.
pub(super) async fn report(
    jobs: &mut [Job<EmailCommand>],
    outdated: &[OutdatedMail],
    mongo: &Mongo,
    now: Timestamp,
) -> Result<(), Failure> {
    let bookings: HashSet<_> = outdated.iter().map(|mail| mail.booking_id).collect();
    let rows = mongo.notifications().of_bookings(bookings).await?;
    let living = mongo.mail_senders().living(rows.iter().map(|row| row.attempt()), abandoned_before(now)).await?;
    for mail in outdated {
        let Some(job) = jobs.get_mut(mail.position) else { continue };
        // Whatever the address that it was sent to.
        let keyed = rows.iter().filter_map(|row| Some((row, LedgerKey::stored(mail.booking_id, &row.key)?)));
        for (row, key) in keyed.filter(|(row, key)| is_same_mail(row, key, &mail.key)) {
            if row.status.is_final() {
                super::report(job, &event(row, &key))?;
            } else if living.is_sending(row.attempt()) {
                job.fail(Failure::Defer(IN_FLIGHT_DELAY));
            }
        }
    }
    Ok(())
}

/// Whether a row is about the mail that an outdated message asked for. Notices are named by what their reader knew; the
/// row has the revision that asked for it.
fn is_same_mail(row: &Notification, key: &LedgerKey, outdated: &LedgerKey) -> bool {
    match row.kind {
        NotificationKind::AddressChanged => {
            LedgerKey::new(row.booking_id, row.kind, Version::Rev(row.version), "").is_same_mail(outdated)
        }
        _ => key.is_same_mail(outdated),
    }
}

fn event(row: &Notification, key: &LedgerKey) -> NotificationEvent {
    NotificationEvent {
        event_id: key.event_id(),
        booking_id: row.booking_id,
        property_id: row.property_id.clone(),
        kind: row.kind.as_str().to_owned(),
        version: row.version,
        delivered: row.status == NotificationStatus::Sent,
        occurred_at: row.updated_at,
    }
}
