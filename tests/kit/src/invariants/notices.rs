//! 9: an address that a confirmed booking no longer has is informed of it once, and nothing else from then on.

use crate::mails::Mail;
use crate::records::Records;
use pvt_domain::booking::{Booking, HistoryEntry, Status};
use pvt_domain::messages::NotificationKind;
use pvt_stores::mongo::notifications::{Notification, NotificationStatus};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};

/// A mail about the booking, as it arrived and as the ledger has it.
type Arrived<'a> = (&'a Mail, &'a Notification);

pub(super) fn notices_match(records: &Records, mails: &[Mail], wrong: &mut Vec<String>) {
    let rows: HashMap<&str, &Notification> =
        records.notifications.iter().map(|row| (row.message_id.trim_matches(['<', '>']), row)).collect();
    for booking in &records.bookings {
        let has_notice = records
            .notifications
            .iter()
            .any(|row| row.booking_id == booking.id && row.kind == NotificationKind::AddressChanged);
        if !has_notice && !booking.history.iter().any(changes_address) {
            continue;
        }
        let of_booking = mails.iter().filter_map(|mail| {
            let row = rows.get(mail.message_id.as_str()).filter(|row| row.booking_id == booking.id)?;
            Some((mail, *row))
        });
        let mut by_address: BTreeMap<String, Vec<Arrived<'_>>> = BTreeMap::new();
        for arrived in of_booking {
            by_address.entry(arrived.0.to.to_lowercase()).or_default().push(arrived);
        }
        for (address, arrived) in by_address {
            check_address(records, booking, &address, arrived, wrong);
        }
    }
}

/// The mails about a booking to one address, in order of arrival.
fn check_address(
    records: &Records,
    booking: &Booking,
    address: &str,
    mut arrived: Vec<Arrived<'_>>,
    wrong: &mut Vec<String>,
) {
    let id = booking.id;
    // A second copy of the same mail says nothing new.
    arrived.dedup_by_key(|(mail, _)| mail.message_id.clone());
    let is_present = booking.guest.email.to_lowercase() == address;
    let later_changes =
        |rev: u32| booking.history.iter().filter(move |entry| entry.rev > rev && changes_address(entry));
    let mut told: Option<u32> = None;
    for (index, (mail, row)) in arrived.iter().enumerate() {
        if row.kind != NotificationKind::AddressChanged {
            // The address may have become the guest's again.
            if told.is_some_and(|told| row.shown_rev() <= told || later_changes(told).next().is_none()) {
                wrong.push(format!("{id}: mail {:?} after the address was told that no more come", row.kind));
            }
            told = None;
            continue;
        }
        if !booking.history.iter().any(|entry| entry.rev == row.version && explains_notice(entry)) {
            wrong.push(format!("{id}: a notice about revision {}, which changed no promised address", row.version));
        }
        if row.status != NotificationStatus::Sent {
            wrong.push(format!("{id}: a notice arrived and its outcome is not recorded"));
        }
        if told.is_some() {
            wrong.push(format!("{id}: an address was told twice that no more mails come"));
        }
        // A mail of which only its dead sender could say whether it arrived counts as one.
        let may_have_been_sent = |other: &Notification| {
            let is_open = other.status == NotificationStatus::Sending || other.maybe_duplicate > 0;
            other.booking_id == id && other.kind != NotificationKind::AddressChanged && is_open && is_to(other, address)
        };
        let has_mails = index > 0 || records.notifications.iter().any(may_have_been_sent);
        if !has_mails || is_present && later_changes(row.version).next().is_none() {
            wrong.push(format!("{id}: a notice to an address that has no mails to miss"));
        }
        let present = booking.guest.mail_address().filter(|_| !is_present);
        for body in [&mail.subject, &mail.text, &mail.html] {
            if body.contains("token=") || present.is_some_and(|present| body.contains(present)) {
                wrong.push(format!("{id}: a notice says too much"));
            }
        }
        told = Some(row.version);
    }
    let shown = arrived.iter().filter(|(_, row)| row.kind != NotificationKind::AddressChanged);
    let Some(shown) = shown.map(|(_, row)| row.shown_rev()).max() else { return };
    let was_refused = records.notifications.iter().any(|row| {
        row.booking_id == id
            && row.status == NotificationStatus::Failed
            && row.shown_rev() >= shown
            && is_to(row, address)
    });
    if !is_present && told.is_none() && !was_refused && later_changes(shown).next().is_some_and(explains_notice) {
        wrong.push(format!("{id}: an address was not told that no more mails come"));
    }
}

/// Whether a row is about a mail to this address: its key ends with the first bytes of the address's hash.
fn is_to(row: &Notification, address: &str) -> bool {
    let hash = Sha256::digest(address.to_lowercase().as_bytes());
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    row.key.rsplit_once('|').is_some_and(|(_, recipient)| !recipient.is_empty() && hash.starts_with(recipient))
}

/// Whether this entry can cause a notice to the address before.
pub(super) fn explains_notice(entry: &HistoryEntry) -> bool {
    changes_address(entry) && is_promised(entry)
}

/// Whether the guest got another address with this revision, or lost the only one.
fn changes_address(entry: &HistoryEntry) -> bool {
    entry.changes.as_deref().is_some_and(|changes| changes.guest && changes.links_revoked)
}

/// Whether the booking was confirmed or checked in, before and after.
fn is_promised(entry: &HistoryEntry) -> bool {
    [entry.from, entry.to].iter().all(|status| matches!(status, Status::Confirmed | Status::CheckedIn))
}
