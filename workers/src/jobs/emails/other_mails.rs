//! The order of the mails about one booking, from the ledger.
//!
//! Only bookings that changed need it, and changes are few: for the others nothing is read.

use super::pending_mails::{PendingMail, SendState, abandoned_before};
use crate::mail::identity::LedgerKey;
use crate::mail::other_mails::{OtherMail, Precedence, Progress, matter, precedence};
use pvt_domain::ids::BookingId;
use pvt_domain::messages::NotificationKind;
use pvt_domain::timestamp::Timestamp;
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::mail_senders::{LivingSenders, MailRow as _};
use pvt_stores::mongo::notifications::{Notification, NotificationOutcome, NotificationStatus};
use std::collections::HashSet;

/// Names a mail by its row if it was delivered to an earlier address of the guest: it is not sent to the present one
/// again. A mail that was not delivered goes to the present address.
pub(super) async fn find_delivered(mails: &mut [PendingMail<'_>], mongo: &Mongo) -> Result<(), StoreError> {
    let rows = rows_of(mails, mongo, |mail| {
        let mut changes = mail.booking.history.iter().filter_map(|entry| entry.changes.as_deref());
        changes.any(|changes| changes.guest)
    });
    let rows = rows.await?;
    let sent = || rows.iter().filter(|row| row.status == NotificationStatus::Sent);
    for mail in mails {
        let key = sent().find_map(|row| {
            LedgerKey::stored(mail.booking.id, &row.key).filter(|key| key.is_same_mail(&mail.plan.key))
        });
        if let Some(key) = key {
            mail.plan.key = key;
        }
    }
    Ok(())
}

/// Puts the claimed mails in order with the others about their bookings, whose rows were written before: sets what they
/// compare with, or gives them back.
pub(super) async fn arrange(mails: &mut [PendingMail<'_>], mongo: &Mongo, now: Timestamp) -> Result<(), StoreError> {
    let is_claimed = |mail: &PendingMail<'_>| matches!(mail.state, SendState::Claimed { .. });
    let rows = rows_of(mails, mongo, |mail| is_claimed(mail) && matter(mail.booking)).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let living = mongo.mail_senders().living(rows.iter().map(|row| row.attempt()), abandoned_before(now)).await?;
    let mut given_back = Vec::new();
    for mail in mails.iter_mut().filter(|mail| is_claimed(mail)) {
        let others = rows.iter().filter(|row| row.booking_id == mail.booking.id && row.key != mail.plan.key.as_str());
        let others: Vec<OtherMail> = others.map(|row| other_mail(row, &living)).collect();
        let (state, reason) = match precedence(&mail.plan, mail.booking, &others) {
            Precedence::Send { compared_with } => {
                mail.compared_with = compared_with;
                continue;
            }
            Precedence::Wait => (SendState::InFlight, "another mail about the booking is being sent"),
            Precedence::Behind => (SendState::Behind, "a later mail about the booking was written"),
        };
        mail.state = state;
        given_back.push(NotificationOutcome {
            key: mail.plan.key.as_str().to_owned(),
            status: NotificationStatus::Waiting,
            reason: Some(reason.to_owned()),
        });
    }
    mongo.notifications().record(&given_back, now).await
}

fn other_mail(row: &Notification, living: &LivingSenders) -> OtherMail {
    let progress = match row.status {
        // It shows nothing of the booking, and nothing to the guest.
        _ if row.kind == NotificationKind::AddressChanged => Progress::Undelivered,
        NotificationStatus::Sent => Progress::Delivered,
        _ if living.is_sending(row.attempt()) => Progress::Sending,
        _ => Progress::Undelivered,
    };
    OtherMail { shown: row.shown_rev(), progress }
}

/// The ledger's rows about the bookings of these mails.
async fn rows_of(
    mails: &[PendingMail<'_>],
    mongo: &Mongo,
    is_needed: impl Fn(&PendingMail<'_>) -> bool,
) -> Result<Vec<Notification>, StoreError> {
    let bookings: HashSet<BookingId> =
        mails.iter().filter(|mail| is_needed(mail)).map(|mail| mail.booking.id).collect();
    mongo.notifications().of_bookings(bookings).await
}
