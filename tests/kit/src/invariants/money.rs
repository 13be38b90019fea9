//! Invariant 6: bookings, their ledgers and the mart agree on money, and every charge has its reason.
//!
//! Totals are taken from the ledger itself. Whether the ledger is right is checked by tests that know the other side:
//! the Stripe simulator counts actual effects.

use crate::Records;
use pvt_domain::booking::{Action, Booking, Status};
use pvt_domain::ids::BookingId;
use pvt_domain::ledger::{Ledger, Summary};
use std::collections::{BTreeMap, HashMap};

/// Compares ledgers with bookings.
pub(super) fn ledgers_match(records: &Records, wrong: &mut Vec<String>) {
    let ledgers: HashMap<BookingId, &Ledger> =
        records.ledgers.iter().map(|ledger| (ledger.booking_id, ledger)).collect();
    for booking in &records.bookings {
        let totals = ledgers.get(&booking.id).map(|ledger| ledger.summary()).unwrap_or_default();
        let known = booking.payment.ledger();
        if !totals.same_totals_as(&known) {
            wrong.push(format!("booking {} knows {known:?}, its ledger has {totals:?}", booking.id));
        }
        if let Some(ledger) = ledgers.get(&booking.id) {
            check_ledger(booking, ledger, &totals, wrong);
        }
        check_confirmation(booking, wrong);
    }
    let known: HashMap<BookingId, ()> = records.bookings.iter().map(|booking| (booking.id, ())).collect();
    wrong.extend(
        ledgers.keys().filter(|id| !known.contains_key(id)).map(|id| format!("a ledger of {id}, which is not stored")),
    );
}

fn check_ledger(booking: &Booking, ledger: &Ledger, sum: &Summary, wrong: &mut Vec<String>) {
    if sum.refunded > sum.captured || sum.captured < 0 || sum.charged_back < 0 {
        wrong.push(format!("booking {}: more was refunded than captured: {sum:?}", booking.id));
    }
    let open = ledger.open_instructions().count();
    if open > 0 {
        wrong.push(format!("booking {}: {open} refund instructions are open", booking.id));
    }
    // What Stripe cannot return, and what a dispute delays, is left to staff, and shown to them.
    let due = booking.payment.refunds_due();
    if due.automatic > 0 {
        wrong
            .push(format!("booking {}: {} is owed to the guest and no refund is under way", booking.id, due.automatic));
    }
    if due.manual > 0 && ledger.attention().is_empty() {
        wrong.push(format!("booking {}: {} is owed to the guest and not shown to staff", booking.id, due.manual));
    }
    let balance = ledger.entries().last().map_or(0, |entry| entry.balance);
    if balance != sum.kept() {
        wrong.push(format!("booking {}: entries add up to {balance}, the total is {}", booking.id, sum.kept()));
    }
}

/// A booking that requires payment is confirmed if and only if it was paid, unless staff decided otherwise.
fn check_confirmation(booking: &Booking, wrong: &mut Vec<String>) {
    if booking.payment.required == 0 {
        return;
    }
    let by_staff = booking.history.iter().any(|entry| entry.action == Action::Confirm && entry.actor.is_staff());
    let confirmed = matches!(booking.status, Status::Confirmed | Status::CheckedIn | Status::CheckedOut);
    let returned = booking.payment.to_refund;
    let ledger = booking.payment.ledger();
    if confirmed && !by_staff && ledger.cleared < booking.payment.required {
        wrong.push(format!("booking {} is {:?} without payment", booking.id, booking.status));
    }
    if matches!(booking.status, Status::Held | Status::Expired) && booking.payment.covers() {
        wrong.push(format!("booking {} is paid and still {:?}", booking.id, booking.status));
    }
    if confirmed
        && returned > 0
        && ledger.captured - returned
            < booking.payment.required.min(booking.price.as_ref().map_or(0, |price| price.total))
    {
        wrong.push(format!("booking {} is {:?} and its payment is refunded", booking.id, booking.status));
    }
}

/// Compares the mart's entries with those of the ledgers.
pub(super) fn mart_payments_match(records: &Records, wrong: &mut Vec<String>) {
    let entries = records.ledgers.iter().flat_map(Ledger::entries);
    let expected: BTreeMap<String, (String, i64)> =
        entries.map(|entry| (entry.id, (entry.kind.as_str().to_owned(), entry.amount))).collect();
    // A reversed entry remains with the amount 0.
    let rows = records.mart_payments.iter().filter(|row| row.amount != 0 || expected.contains_key(&row.entry_id));
    let found: BTreeMap<String, (String, i64)> =
        rows.map(|row| (row.entry_id.clone(), (row.kind.clone(), row.amount))).collect();
    for (id, row) in &expected {
        if found.get(id) != Some(row) {
            wrong.push(format!("fact_payment has {:?} for {id}, which is {row:?}", found.get(id)));
        }
    }
    wrong.extend(
        found
            .keys()
            .filter(|id| !expected.contains_key(*id))
            .map(|id| format!("fact_payment has {id}, which no ledger has")),
    );
}
