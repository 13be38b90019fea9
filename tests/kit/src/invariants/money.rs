//! 6: what bookings, their ledgers and the mart say of money is one thing, and nobody is charged for nothing.
//!
//! What a ledger comes to is asked of the ledger itself; whether the ledger is right is for those to say who know the
//! other side, which counts what really happened.

use crate::Records;
use pvt_domain::booking::{Action, Booking, Status};
use pvt_domain::ids::BookingId;
use pvt_domain::ledger::{InstructionState, Ledger, Summary};
use std::collections::{BTreeMap, HashMap};

/// Ledgers against bookings.
pub(super) fn ledgers_match(records: &Records, wrong: &mut Vec<String>) {
    let ledgers: HashMap<BookingId, &Ledger> =
        records.ledgers.iter().map(|ledger| (ledger.booking_id, ledger)).collect();
    for booking in &records.bookings {
        let comes_to = ledgers.get(&booking.id).map(|ledger| ledger.summary()).unwrap_or_default();
        let known = booking.payment.ledger();
        if !comes_to.same_totals_as(&known) {
            wrong.push(format!("booking {} knows {known:?}, its ledger comes to {comes_to:?}", booking.id));
        }
        if let Some(ledger) = ledgers.get(&booking.id) {
            is_sound(booking, ledger, &comes_to, wrong);
        }
        is_paid(booking, wrong);
    }
    let known: HashMap<BookingId, ()> = records.bookings.iter().map(|booking| (booking.id, ())).collect();
    wrong.extend(
        ledgers.keys().filter(|id| !known.contains_key(id)).map(|id| format!("a ledger of {id}, which is no booking")),
    );
}

fn is_sound(booking: &Booking, ledger: &Ledger, sum: &Summary, wrong: &mut Vec<String>) {
    if sum.refunded > sum.captured || sum.captured < 0 || sum.charged_back < 0 {
        wrong.push(format!("booking {}: more went than came: {sum:?}", booking.id));
    }
    let open = ledger.open_instructions().count();
    if open > 0 {
        wrong.push(format!("booking {}: {open} refunds are ordered and not made", booking.id));
    }
    let failed = ledger.orders.iter().any(|order| ledger.instruction_state(order) == InstructionState::Failed);
    let frozen = ledger.disputes.iter().any(|dispute| dispute.freezes());
    // What staff took in cash is given back in cash.
    if booking.payment.return_due() > 0 && !failed && !frozen && ledger.records.is_empty() {
        wrong.push(format!(
            "booking {}: {} is owed to the guest and nothing is done about it",
            booking.id,
            booking.payment.return_due()
        ));
    }
    let balance = ledger.entries().last().map_or(0, |entry| entry.balance);
    if balance != sum.kept() {
        wrong.push(format!("booking {}: entries add up to {balance}, the sum says {}", booking.id, sum.kept()));
    }
}

/// What had to be paid first is confirmed if and only if it was paid, unless staff said otherwise.
fn is_paid(booking: &Booking, wrong: &mut Vec<String>) {
    if booking.payment.required == 0 {
        return;
    }
    let by_staff =
        booking.history.iter().any(|entry| entry.action == Action::Confirm && entry.actor.starts_with("staff:"));
    let confirmed = matches!(booking.status, Status::Confirmed | Status::CheckedIn | Status::CheckedOut);
    let returned = booking.payment.to_return;
    let ledger = booking.payment.ledger();
    if confirmed && !by_staff && ledger.cleared < booking.payment.required {
        wrong.push(format!("booking {} is {:?} and was not paid", booking.id, booking.status));
    }
    if matches!(booking.status, Status::Held | Status::Expired) && booking.payment.covers() {
        wrong.push(format!("booking {} is paid and {:?}", booking.id, booking.status));
    }
    if confirmed
        && returned > 0
        && ledger.captured - returned
            < booking.payment.required.min(booking.price.as_ref().map_or(0, |price| price.total))
    {
        wrong.push(format!("booking {} is {:?} and its money is given back", booking.id, booking.status));
    }
}

/// The mart's entries are those of the ledgers.
pub(super) fn mart_payments_match(records: &Records, wrong: &mut Vec<String>) {
    let entries = records.ledgers.iter().flat_map(Ledger::entries);
    let expected: BTreeMap<String, (String, i64)> =
        entries.map(|entry| (entry.id, (entry.kind.as_str().to_owned(), entry.amount))).collect();
    // What was taken back stays with the amount 0.
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
