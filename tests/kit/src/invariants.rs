//! Invariants of stores and mails once all queues are empty, recomputed from the records alone.
//!
//! They never call the product's rules, so that a wrong rule cannot agree with itself. The numbers are those of
//! docs/testing.md.

mod money;
mod notices;

use crate::mails::Mail;
use crate::records::{MartBedNight, MartBooking, Records};
use chrono::{Days, NaiveDate};
use pvt_domain::block::{Block, BlockStatus};
use pvt_domain::booking::{Action, Booking, Changes, HistoryEntry, Status, Stay, StayProgress};
use pvt_domain::ledger::Summary;
use pvt_domain::messages::NotificationKind;
use pvt_stores::mongo::notifications::{Notification, NotificationStatus};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use uuid::Uuid;

/// Expectations of a test beyond the records.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// Bookings whose requests were answered with success.
    pub accepted: Vec<Uuid>,
    /// Mails are checked: a worker sends them.
    pub mails: bool,
    /// Most copies of one mail; 1 unless its sender was killed after the server had accepted it.
    pub mail_copies: usize,
    /// The mart is checked: a worker loads it.
    pub mart: bool,
}

/// Property, bed and night.
type BedNight = (String, String, NaiveDate);

/// A description of each violation; empty when all invariants hold.
pub fn violations(records: &Records, mails: &[Mail], expected: &Expected) -> Vec<String> {
    let mut wrong = Vec::new();
    accepted_are_decided(records, &expected.accepted, &mut wrong);
    let owners = occupied_bed_nights(records, &mut wrong);
    let blocked = blocked_bed_nights(records, &owners, &mut wrong);
    let mut claimed = owners.clone();
    pending_bed_nights(records, &mut claimed, &mut wrong);
    claims_match(records, &claimed, &blocked, &mut wrong);
    records.bookings.iter().for_each(|booking| history_is_legal(booking, &mut wrong));
    records.bookings.iter().for_each(|booking| status_follows_from_stays(booking, &mut wrong));
    records.bookings.iter().for_each(|booking| names_are_of_places(booking, &mut wrong));
    records.blocks.iter().for_each(|block| block_is_legal(block, &mut wrong));
    reassignments_match(records, &mut wrong);
    money::ledgers_match(records, &mut wrong);
    if expected.mails {
        mails_match(records, mails, expected.mail_copies.max(1), &mut wrong);
        notices::notices_match(records, mails, &mut wrong);
    }
    if expected.mart {
        mart_matches(records, &mut wrong);
        money::mart_payments_match(records, &mut wrong);
    }
    wrong
}

/// 1: every accepted request is stored and decided.
fn accepted_are_decided(records: &Records, accepted: &[Uuid], wrong: &mut Vec<String>) {
    let stored: HashSet<Uuid> = records.bookings.iter().map(|booking| booking.id.as_uuid()).collect();
    let lost = accepted.iter().filter(|id| !stored.contains(id));
    wrong.extend(lost.map(|id| format!("booking {id} was accepted and is not stored")));
    let ids: HashSet<Uuid> = accepted.iter().copied().collect();
    let undecided = records
        .bookings
        .iter()
        .filter(|booking| booking.status == Status::Requested && ids.contains(&booking.id.as_uuid()));
    wrong.extend(undecided.map(|booking| format!("booking {} is stored and not decided", booking.id)));
}

/// 2: bed-nights by their booking; none has two.
fn occupied_bed_nights(records: &Records, wrong: &mut Vec<String>) -> BTreeMap<BedNight, Uuid> {
    let mut owners = BTreeMap::new();
    for booking in records.bookings.iter().filter(|booking| booking.status.holds_beds()) {
        let mut nights = 0;
        for stay in &booking.stays {
            let has_left = booking.status == Status::CheckedOut || stay.progress == Some(StayProgress::CheckedOut);
            // Guests who were reinstated and left on that day have slept in no bed.
            let is_reinstated = booking.history.iter().any(|entry| entry.action == Action::Reinstate);
            let needs_none = has_left && is_reinstated && stay.assigned_beds.is_empty();
            if !needs_none && stay.assigned_beds.len() < usize::try_from(stay.guests).unwrap_or(usize::MAX) {
                wrong.push(format!(
                    "booking {} has {} beds for {} guests",
                    booking.id,
                    stay.assigned_beds.len(),
                    stay.guests
                ));
            }
            for place in bed_nights(booking, stay) {
                nights += 1;
                if let Some(other) = owners.insert(place.clone(), booking.id.as_uuid()) {
                    wrong.push(format!("double booking of {place:?}: {other} and {}", booking.id));
                }
            }
        }
        if nights == 0 {
            wrong.push(format!("booking {} is confirmed and has no bed-night", booking.id));
        }
    }
    owners
}

/// The bed-nights of a stay, those of earlier beds included.
fn bed_nights(booking: &Booking, stay: &Stay) -> Vec<BedNight> {
    let mut nights = Vec::new();
    let mut night = stay.arrival;
    while night < stay.departure {
        let earlier = stay.earlier_beds.iter().find(|earlier| night < earlier.until);
        for bed in earlier.map_or(&stay.assigned_beds, |earlier| &earlier.beds) {
            nights.push((booking.property_id.to_string(), bed.to_string(), night));
        }
        night = night + Days::new(1);
    }
    nights
}

/// 2: bed-nights of pending changes are held beside those of their bookings, and of no other.
fn pending_bed_nights(records: &Records, owners: &mut BTreeMap<BedNight, Uuid>, wrong: &mut Vec<String>) {
    for booking in &records.bookings {
        let Some(pending) = &booking.pending_change else { continue };
        if booking.status != Status::Confirmed {
            wrong.push(format!("booking {} is {:?} and has a pending change", booking.id, booking.status));
        }
        for place in pending.stays.iter().flat_map(|stay| bed_nights(booking, stay)) {
            let owner = owners.entry(place.clone()).or_insert(booking.id.as_uuid());
            if *owner != booking.id.as_uuid() {
                wrong.push(format!("{place:?} is of {owner} and of a pending change of {}", booking.id));
            }
        }
    }
}

/// 2: bed-nights by their block; none is occupied or blocked twice.
fn blocked_bed_nights(
    records: &Records,
    owners: &BTreeMap<BedNight, Uuid>,
    wrong: &mut Vec<String>,
) -> BTreeMap<BedNight, Uuid> {
    let mut blocked = BTreeMap::new();
    for block in records.blocks.iter().filter(|block| block.status == BlockStatus::Active) {
        let mut night = block.from;
        while night < block.until {
            for bed in &block.bed_ids {
                let place = (block.property_id.to_string(), bed.to_string(), night);
                if let Some(other) = owners.get(&place).copied().or_else(|| blocked.get(&place).copied()) {
                    wrong.push(format!("{place:?} is blocked by {} and held by {other}", block.id));
                }
                blocked.insert(place, block.id.as_uuid());
            }
            night = night + Days::new(1);
        }
    }
    blocked
}

/// 3: claims are exactly the bed-nights of active bookings and blocks.
fn claims_match(
    records: &Records,
    owners: &BTreeMap<BedNight, Uuid>,
    blocked: &BTreeMap<BedNight, Uuid>,
    wrong: &mut Vec<String>,
) {
    let (mut sold, mut kept): (BTreeMap<BedNight, Uuid>, BTreeMap<BedNight, Uuid>) = Default::default();
    for claim in &records.claims {
        let parts: Vec<&str> = claim.key.split('|').collect();
        let parsed = match parts.as_slice() {
            [property, bed, night] => {
                night.parse().ok().map(|night| ((*property).to_owned(), (*bed).to_owned(), night))
            }
            _ => None,
        };
        let (claimed, id) = match claim.booking.strip_prefix("block:") {
            Some(id) => (&mut kept, id),
            None => (&mut sold, claim.booking.as_str()),
        };
        match (parsed, id.parse()) {
            (Some(place), Ok(owner)) => drop(claimed.insert(place, owner)),
            _ => wrong.push(format!("claim `{}` of `{}` cannot be read", claim.key, claim.booking)),
        }
    }
    compare_claims("sold", owners, &sold, wrong);
    compare_claims("blocked", blocked, &kept, wrong);
}

fn compare_claims(
    word: &str,
    rights: &BTreeMap<BedNight, Uuid>,
    claimed: &BTreeMap<BedNight, Uuid>,
    wrong: &mut Vec<String>,
) {
    for (place, owner) in rights {
        match claimed.get(place) {
            None => wrong.push(format!("{place:?} is {word} to {owner} without a claim")),
            Some(other) if other != owner => {
                wrong.push(format!("{place:?} is {word} to {owner} and claimed by {other}"))
            }
            Some(_) => {}
        }
    }
    let stray = claimed.iter().filter(|(place, _)| !rights.contains_key(*place));
    wrong.extend(stray.map(|(place, owner)| format!("{place:?} is claimed by {owner} and not {word}")));
}

/// 5: the history follows legal transitions, revisions have no gaps, ids of commands and events occur once.
fn history_is_legal(booking: &Booking, wrong: &mut Vec<String>) {
    let mut at = Status::Requested;
    let mut seen = HashSet::new();
    for (expected, entry) in (1..).zip(&booking.history) {
        let legal = matches!(
            (entry.from, entry.to),
            (Status::Requested, Status::Held | Status::Confirmed | Status::Rejected)
                | (Status::Held, Status::Held | Status::Confirmed | Status::Expired | Status::Cancelled)
                | (Status::Expired, Status::Expired | Status::Confirmed)
                | (Status::Confirmed, Status::Confirmed | Status::Cancelled | Status::CheckedIn | Status::NoShow)
                | (Status::CheckedIn, Status::CheckedIn | Status::CheckedOut | Status::Confirmed)
                | (Status::NoShow, Status::NoShow | Status::Confirmed)
                // Payments and refunds continue after the end.
                | (Status::Cancelled, Status::Cancelled)
                | (Status::CheckedOut, Status::CheckedOut)
        );
        let legal = legal && action_allows(entry);
        if entry.rev != expected || entry.from != at || !legal {
            wrong.push(format!(
                "booking {}: entry {expected} is {:?} → {:?} at revision {}",
                booking.id, entry.from, entry.to, entry.rev
            ));
        }
        if !seen.insert(entry.command_id) || !seen.insert(entry.event_id) {
            wrong.push(format!("booking {}: the ids of entry {expected} occur twice", booking.id));
        }
        at = entry.to;
    }
    let revisions = u32::try_from(booking.history.len()).unwrap_or(u32::MAX);
    if booking.status != at || booking.rev != revisions || revisions == 0 {
        let Booking { id, status, rev, .. } = booking;
        wrong
            .push(format!("booking {id} is {status:?} at revision {rev} after {revisions} entries that end in {at:?}"));
    }
    if (booking.status == Status::Rejected) != booking.rejection.is_some() {
        wrong.push(format!("booking {} is {:?} with rejection {:?}", booking.id, booking.status, booking.rejection));
    }
}

/// Whether the action of an entry allows its transition.
fn action_allows(entry: &HistoryEntry) -> bool {
    match entry.action {
        Action::Request => entry.rev == 1 && entry.from == Status::Requested,
        Action::Cancel => entry.from != entry.to && entry.to == Status::Cancelled,
        // A booking ends when the stays still expected are dropped, after the others have left.
        Action::Modify if entry.from == Status::CheckedIn && entry.to == Status::CheckedOut => true,
        // The guest's details are corrected after the stay, too.
        Action::Modify if !entry.to.is_changeable() => {
            let corrects = |changes: &Changes| {
                (changes.guest || changes.rooming_list) && changes.stays.is_empty() && changes.price.is_none()
            };
            entry.from == entry.to && entry.changes.as_deref().is_some_and(corrects)
        }
        Action::Modify | Action::HoldChange | Action::ReleaseChange | Action::Assign | Action::Move => {
            entry.from == entry.to && entry.to.holds_beds() && entry.to != Status::CheckedOut
        }
        Action::RevokeLinks => entry.from == entry.to && entry.changes.as_ref().is_some_and(|it| it.links_revoked),
        Action::RecordPayment => entry.from == entry.to && entry.to != Status::Rejected,
        Action::Confirm => matches!(entry.from, Status::Held | Status::Expired) && entry.to == Status::Confirmed,
        Action::Expire => entry.from == Status::Held && entry.to == Status::Expired,
        // Guests of a part of the booking change stays where they do not change its status.
        Action::CheckIn | Action::CheckOut | Action::NoShow | Action::Reinstate if entry.from == entry.to => {
            let is_of_part = entry.changes.as_ref().is_some_and(|changes| !changes.stays.is_empty());
            is_of_part && entry.to.is_changeable()
        }
        Action::CheckIn => entry.from == Status::Confirmed && entry.to == Status::CheckedIn,
        Action::CheckOut => entry.from == Status::CheckedIn && entry.to == Status::CheckedOut,
        Action::NoShow => {
            matches!(
                (entry.from, entry.to),
                (Status::Confirmed, Status::NoShow) | (Status::CheckedIn, Status::CheckedOut)
            )
        }
        Action::Reinstate => entry.from != Status::Confirmed && entry.to == Status::Confirmed,
    }
}

/// 5: the rooming list names places of the booking, each once.
fn names_are_of_places(booking: &Booking, wrong: &mut Vec<String>) {
    let mut places = HashSet::new();
    for (index, stay) in booking.stays.iter().enumerate() {
        let id = stay.id.map_or(index, |id| id as usize);
        places.extend((0..stay.guests).map(|position| (id, position)));
    }
    for stay in booking.no_shows.iter().map(|absence| &absence.stay) {
        places.extend(stay.id.into_iter().flat_map(|id| (0..stay.guests).map(move |at| (id as usize, at))));
    }
    if !booking.rooming_list.iter().all(|guest| places.remove(&(guest.stay_id as usize, guest.position))) {
        wrong.push(format!("booking {} names guests in places that it does not have, or twice", booking.id));
    }
}

/// 5: the status is the one that follows from the stays.
fn status_follows_from_stays(booking: &Booking, wrong: &mut Vec<String>) {
    let progress: HashSet<StayProgress> = booking.stays.iter().map(|stay| booking.progress_of(stay)).collect();
    let has = |one: StayProgress| progress.contains(&one);
    let is_partly = has(StayProgress::CheckedIn) || (has(StayProgress::CheckedOut) && has(StayProgress::Expected));
    let fits = match booking.status {
        Status::CheckedIn => is_partly,
        Status::CheckedOut => progress.len() == 1 && has(StayProgress::CheckedOut),
        _ => progress.len() <= 1 && !has(StayProgress::CheckedIn) && !has(StayProgress::CheckedOut),
    };
    if !fits {
        wrong.push(format!("booking {} is {:?} with stays that are {progress:?}", booking.id, booking.status));
    }
}

/// 5: a block starts active and is lifted at most once.
fn block_is_legal(block: &Block, wrong: &mut Vec<String>) {
    let path: Vec<BlockStatus> = block.history.iter().map(|entry| entry.to).collect();
    let legal = matches!(path.as_slice(), [BlockStatus::Active] | [BlockStatus::Active, BlockStatus::Lifted]);
    let counted = (1..).zip(&block.history).all(|(rev, entry)| entry.rev == rev);
    let revisions = u32::try_from(path.len()).unwrap_or(u32::MAX);
    if !legal || !counted || block.rev != revisions || path.last() != Some(&block.status) {
        wrong.push(format!("block {} is {:?} at revision {} after {path:?}", block.id, block.status, block.rev));
    }
}

/// 4: a reassigned booking records the command that needed the room, and that command's booking names it.
fn reassignments_match(records: &Records, wrong: &mut Vec<String>) {
    let entries =
        || records.bookings.iter().flat_map(|booking| booking.history.iter().map(move |entry| (booking.id, entry)));
    let named: HashSet<_> =
        entries().flat_map(|(_, entry)| entry.moved.iter().map(|moved| (*moved, entry.command_id))).collect();
    let made: HashSet<_> =
        entries().filter(|(_, entry)| entry.action == Action::Move).map(|(id, entry)| (id, entry.command_id)).collect();
    wrong.extend(
        named
            .difference(&made)
            .map(|(id, command)| format!("booking {id} is named as reassigned for {command} and was not")),
    );
    wrong.extend(
        made.difference(&named)
            .map(|(id, command)| format!("booking {id} was reassigned for {command}, which does not name it")),
    );
}

/// 8 and 9: every required mail arrived, none too often, and none contradicts the booking.
fn mails_match(records: &Records, mails: &[Mail], copies: usize, wrong: &mut Vec<String>) {
    let rows: HashMap<String, &Notification> =
        records.notifications.iter().map(|row| (row.message_id.trim_matches(['<', '>']).to_owned(), row)).collect();
    let bookings: HashMap<Uuid, &Booking> =
        records.bookings.iter().map(|booking| (booking.id.as_uuid(), booking)).collect();
    let about_accounts: HashSet<&str> =
        records.account_mails.iter().map(|row| row.message_id.trim_matches(['<', '>'])).collect();
    let mut arrived: BTreeMap<&str, usize> = BTreeMap::new();
    let mut ended: HashMap<Uuid, NotificationKind> = HashMap::new();
    for mail in mails {
        *arrived.entry(&mail.message_id).or_default() += 1;
        let Some(row) = rows.get(&mail.message_id) else {
            if about_accounts.contains(&*mail.message_id) {
                continue;
            }
            wrong.push(format!("mail {} arrived and is not in the notification ledger", mail.message_id));
            continue;
        };
        let id = row.booking_id.as_uuid();
        match bookings.get(&id) {
            None => wrong.push(format!("a mail arrived about {id}, which is not stored")),
            // It goes to an earlier address, and is checked apart.
            Some(_) if row.kind == NotificationKind::AddressChanged => {}
            Some(booking) if booking.guest.email != mail.to && !is_readdressed_after(booking, row.shown_rev()) => {
                wrong.push(format!("the mail about {id} went to another address"))
            }
            Some(booking) if !booking.history.iter().any(|entry| explains_mail(row.kind, entry)) => {
                wrong.push(format!("mail {:?} about {id} has no revision behind it", row.kind))
            }
            Some(_) => {}
        }
        let undone = bookings
            .get(&id)
            .is_some_and(|booking| booking.history.iter().any(|entry| entry.action == Action::Reinstate));
        match (ended.get(&id), row.kind) {
            (
                _,
                NotificationKind::PaymentRefunded | NotificationKind::RefundFailed | NotificationKind::AddressChanged,
            ) => {}
            (Some(NotificationKind::BookingCancelled), kind) if kind != NotificationKind::BookingCancelled => {
                wrong.push(format!("{id}: mail {kind:?} after the cancellation"));
            }
            (Some(NotificationKind::BookingNoShow), kind) if kind != NotificationKind::BookingNoShow && !undone => {
                wrong.push(format!("{id}: mail {kind:?} after a no-show"));
            }
            (_, NotificationKind::BookingCancelled | NotificationKind::BookingNoShow) => {
                ended.insert(id, row.kind);
            }
            _ => {}
        }
    }
    wrong.extend(
        arrived
            .iter()
            .filter(|(_, count)| **count > copies)
            .map(|(id, count)| format!("mail {id} arrived {count} times")),
    );
    for booking in records.bookings.iter().filter(|booking| booking.guest.mail_address().is_some()) {
        let notified = |kind: NotificationKind, rev: u32| {
            records.notifications.iter().any(|row| {
                let id = row.message_id.trim_matches(['<', '>']);
                let sent = row.status == NotificationStatus::Sent && arrived.contains_key(id);
                row.booking_id == booking.id && row.kind == kind && row.version >= rev && sent
            })
        };
        if required_mail(booking).is_some_and(|kind| !notified(kind, 1)) {
            wrong.push(format!("booking {} is {:?} and its guest was not notified", booking.id, booking.status));
        }
        let changed = booking
            .history
            .iter()
            .rfind(|entry| explains_mail(NotificationKind::BookingModified, entry))
            .filter(|_| booking.status == Status::Confirmed);
        if changed.is_some_and(|entry| !notified(NotificationKind::BookingModified, entry.rev)) {
            wrong.push(format!("booking {} was changed and its guest was not notified", booking.id));
        }
    }
}

/// Whether the guest's address was corrected after this revision.
fn is_readdressed_after(booking: &Booking, rev: u32) -> bool {
    let later = booking.history.iter().filter(|entry| entry.rev > rev);
    later.filter_map(|entry| entry.changes.as_deref()).any(|changes| changes.guest)
}

/// Whether this entry can cause a mail of this kind. Changed beds alone cause none.
fn explains_mail(kind: NotificationKind, entry: &HistoryEntry) -> bool {
    match kind {
        NotificationKind::BookingConfirmed | NotificationKind::ArrivalSoon | NotificationKind::ArrivalToday => {
            entry.to == Status::Confirmed
        }
        NotificationKind::BookingCancelled => entry.to == Status::Cancelled,
        NotificationKind::BookingNoShow => entry.to == Status::NoShow,
        NotificationKind::PaymentLink => entry.to == Status::Held,
        NotificationKind::ChangePaymentLink => entry.action == Action::HoldChange,
        NotificationKind::ChangeReleased => entry.changes.as_deref().is_some_and(|changes| changes.change_released),
        NotificationKind::HoldExpired => entry.action == Action::Expire,
        NotificationKind::PaymentReceived => entry.to.holds_beds() && increased(entry, |ledger| ledger.captured),
        NotificationKind::PaymentRefunded => increased(entry, |ledger| ledger.refunded),
        NotificationKind::RefundFailed => {
            let payment = entry.changes.as_deref().and_then(|changes| changes.payment.as_ref());
            entry.action == Action::RecordPayment
                && payment.is_some_and(|payment| {
                    let (before, after) = (payment.before.ledger(), payment.after.ledger());
                    after.refunded < before.refunded || after.manual > before.manual
                })
        }
        NotificationKind::PaymentReturned => entry.to == Status::Expired && increased(entry, |ledger| ledger.captured),
        // A failed attempt to pay changes no booking.
        NotificationKind::PaymentFailed => true,
        NotificationKind::AddressChanged => notices::explains_notice(entry),
        NotificationKind::BookingModified => {
            // The absence of some guests is a change, too, and so is their coming after all.
            let is_mailed =
                matches!(entry.action, Action::Modify | Action::NoShow | Action::Reinstate) && entry.to.is_changeable();
            let Some(changes) = entry.changes.as_deref().filter(|_| is_mailed) else {
                return false;
            };
            let sold = |stay: &Option<pvt_domain::booking::Stay>| {
                stay.as_ref().map(|stay| {
                    (
                        stay.room_type_id.clone(),
                        stay.arrival,
                        stay.departure,
                        stay.guests,
                        stay.gender,
                        stay.youngest_age,
                    )
                })
            };
            changes.guest
                || changes.price.is_some()
                || changes.stays.iter().any(|change| sold(&change.before) != sold(&change.after))
        }
    }
}

/// Whether this total increased with an entry.
fn increased(entry: &HistoryEntry, part: impl Fn(&Summary) -> i64) -> bool {
    let payment = entry.changes.as_deref().and_then(|changes| changes.payment.as_ref());
    payment.is_some_and(|change| part(&change.after.ledger()) > part(&change.before.ledger()))
}

/// The mail that tells a guest how their booking stands. After a late payment it replaces the one about the hold's end.
fn required_mail(booking: &Booking) -> Option<NotificationKind> {
    let late = booking.history.iter().any(|entry| explains_mail(NotificationKind::PaymentReturned, entry));
    match booking.status {
        Status::Expired if late => Some(NotificationKind::PaymentReturned),
        // The payment was in time but not the requested one, and was refunded.
        Status::Expired if booking.payment.ledger().captured > 0 => None,
        Status::Held => Some(NotificationKind::PaymentLink),
        Status::Expired => Some(NotificationKind::HoldExpired),
        Status::Confirmed => Some(NotificationKind::BookingConfirmed),
        Status::Cancelled => Some(NotificationKind::BookingCancelled),
        Status::NoShow => Some(NotificationKind::BookingNoShow),
        Status::Requested | Status::Rejected | Status::CheckedIn | Status::CheckedOut => None,
    }
}

/// 7 and 10: the mart agrees with the bookings and has each event once.
fn mart_matches(records: &Records, wrong: &mut Vec<String>) {
    let rows = |booking: &Booking| {
        let price = booking.price.as_ref();
        let tax_amount = price.map(|price| price.taxes.iter().map(|line| line.amount).sum());
        MartBooking {
            booking_id: booking.id.as_uuid(),
            rev: booking.rev.into(),
            status: booking.status.as_str().to_owned(),
            room_amount: price.zip(tax_amount).map(|(price, taxes): (_, i64)| price.total - taxes),
            tax_amount,
            total_amount: price.map(|price| price.total),
        }
    };
    compare_rows("fact_booking", records.bookings.iter().map(rows).collect(), &records.mart_bookings, wrong);
    let owned = occupied_bed_nights(records, &mut Vec::new());
    let held: HashSet<Uuid> = records
        .bookings
        .iter()
        .filter(|booking| !booking.status.has_sold())
        .map(|booking| booking.id.as_uuid())
        .collect();
    let nights = owned
        .into_iter()
        .filter(|(_, owner)| !held.contains(owner))
        .map(|((_, bed_id, night), booking_id)| MartBedNight { booking_id, bed_id, night })
        .collect();
    compare_rows("fact_bed_night", nights, &records.mart_bed_nights, wrong);
    let events =
        records.bookings.iter().flat_map(|booking| booking.history.iter().map(|entry| entry.event_id)).collect();
    compare_rows("fact_booking_event", events, &records.mart_events, wrong);
    let finished = records.notifications.iter().filter(|row| row.status.is_final()).count();
    if finished != records.mart_notifications {
        wrong.push(format!("{finished} notifications are final, fact_notification has {}", records.mart_notifications));
    }
}

fn compare_rows<T: Ord + Clone + std::fmt::Debug>(
    table: &str,
    expected: BTreeSet<T>,
    found: &[T],
    wrong: &mut Vec<String>,
) {
    let rows: BTreeSet<T> = found.iter().cloned().collect();
    if rows.len() != found.len() {
        wrong.push(format!("{table} has duplicate rows"));
    }
    wrong.extend(expected.difference(&rows).take(5).map(|row| format!("{table} lacks {row:?}")));
    wrong.extend(rows.difference(&expected).take(5).map(|row| format!("{table} has unexpected {row:?}")));
}

/// 13: lines of a text that contain one of these secrets, with the secret masked.
pub fn leaks(text: &str, secrets: &[String]) -> Vec<String> {
    let masked = |line: &str, secret: &str| line.replace(secret, "▇");
    let found = text.lines().flat_map(|line| {
        secrets.iter().filter(|secret| line.contains(secret.as_str())).map(move |secret| masked(line, secret))
    });
    found.take(5).collect()
}

#[cfg(test)]
mod tests;
