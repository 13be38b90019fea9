//! Pending changes: what a guest's change adds is held until its deposit is paid; the booking stays as it was.

use super::property::{PROPERTY, TestProperty, code, id, status};
use crate::actor::Actor;
use crate::booking::{Action, PaymentStatus, Status, StayRequest};
use crate::decide::Decision;
use crate::fixtures::{at, request, stay};
use crate::inventory::{BedState, Cleanliness, Inventory};
use crate::ledger::{Ledger, Record, RecordMethod, Summary};
use crate::messages::*;
use crate::money::{Currency, Money};
use crate::rates::Rates;
use crate::stripe::amounts::payable_part;
use chrono::{Days, TimeDelta};
use proptest::prelude::*;
use uuid::Uuid;

const DORM: &str = "dorm-6-mixed";
/// One guest for one night, taxes included.
const NIGHT: i64 = 4_760;

/// A prepaid booking of this many nights, held until it is paid.
fn held_nights(count: u64) -> TestProperty {
    let mut property = TestProperty::new();
    let requested = RequestBooking { rate_plan_id: "prepaid".into(), ..request("1", nights(count)) };
    let command_id = requested.booking_id.request_command_id();
    property.run(&[(command_id, BookingCommand::Request(Box::new(requested)))]);
    property
}

/// A prepaid booking of one night, paid and confirmed.
fn paid_night() -> TestProperty {
    let mut property = held_nights(1);
    pay(&mut property, 1, NIGHT);
    assert_eq!(property.booking("1").status, Status::Confirmed);
    property
}

/// The ledger's totals become `captured` in all.
fn pay(property: &mut TestProperty, ledger_rev: u64, captured: i64) -> Decision {
    settle(property, Summary { ledger_rev, captured, cleared: captured, ..Summary::default() })
}

fn settle(property: &mut TestProperty, ledger: Summary) -> Decision {
    let header = property.header("1");
    property.one(BookingCommand::SettlePayment(SettlePayment { header, ledger }))
}

fn guest_changes(property: &mut TestProperty, stays: Vec<StayRequest>) -> Decision {
    let mut modify = property.modification("1", stays);
    modify.header.actor = Actor::GUEST;
    property.one(BookingCommand::Modify(Box::new(modify)))
}

fn expire(property: &mut TestProperty) -> Decision {
    let header = property.header("1");
    property.one(BookingCommand::ExpireHold(ExpireHold { header }))
}

fn extended() -> Vec<StayRequest> {
    vec![stay(DORM, "2027-01-10", "2027-01-14", 3)]
}

#[test]
fn addition_is_held_until_its_deposit_is_paid() {
    let mut property = paid_night();
    let decision = guest_changes(&mut property, extended());
    let Decision::Decided(event) = decision else { panic!("{decision:?}") };
    assert_eq!((event.status, event.action), (Status::Confirmed, Some(Action::HoldChange)));
    let booking = property.booking("1");
    assert_eq!((booking.stays[0].departure, booking.price.as_ref().unwrap().total), (stay_end("2027-01-11"), NIGHT));
    assert_eq!((booking.payable(), booking.balance(), booking.payment_status()), (11 * NIGHT, 0, PaymentStatus::Paid));
    assert_eq!(booking.hold_ends(), Some(at("2026-12-01T12:30:00Z")));
    assert_eq!(property.claims.len(), 12, "the beds of the change are held, the present one among them");
    pay(&mut property, 2, 5 * NIGHT);
    assert_eq!(property.booking("1").payment.to_refund, 0, "a part of the deposit is kept");
    let decision = pay(&mut property, 3, 12 * NIGHT);
    let Decision::Decided(event) = decision else { panic!("{decision:?}") };
    assert_eq!((event.action, event.stays[0].guests), (Some(Action::Modify), 3));
    let booking = property.booking("1");
    assert_eq!((booking.payable(), booking.payment.required, booking.pending_change.is_none()), (0, 12 * NIGHT, true));
    assert_eq!(property.claims.len(), 12);
}

#[test]
fn held_change_that_drops_a_stay_warns_of_it() {
    let mut property = paid_night();
    guest_changes(&mut property, extended());
    assert_eq!(property.booking("1").dropped_stays(), [], "the stay goes on");
    let mut property = paid_night();
    let instead = StayModification { stay: extended().remove(0), continues: None, beds: None };
    let mut modify = ModifyBooking { stays: Some(vec![instead]), ..property.modification("1", Vec::new()) };
    modify.header.actor = Actor::GUEST;
    property.one(BookingCommand::Modify(Box::new(modify)));
    assert_eq!(property.booking("1").history.last().unwrap().action, Action::HoldChange);
    let dropped: Vec<Option<u32>> = property.booking("1").dropped_stays().iter().map(|stay| stay.id).collect();
    assert_eq!(dropped, [Some(0)]);
}

fn stay_end(day: &str) -> chrono::NaiveDate {
    crate::fixtures::date(day)
}

#[test]
fn unpaid_addition_is_released_and_the_booking_stays() {
    let mut property = paid_night();
    let before = property.booking("1").clone();
    guest_changes(&mut property, extended());
    pay(&mut property, 2, 2 * NIGHT);
    assert_eq!(code(&expire(&mut property)), Some(RefusalCode::TooEarly));
    property.now = at("2026-12-01T12:30:00Z");
    assert_eq!(status(&expire(&mut property)), Some(Status::Confirmed));
    let booking = property.booking("1");
    assert_eq!((&booking.stays, &booking.price, property.claims.len()), (&before.stays, &before.price, 1));
    assert_eq!(booking.payment.to_refund, NIGHT, "what was paid towards it goes back");
    assert_eq!(expire(&mut property), Decision::Refused(ReplyOutcome::Conflict, None));
}

/// `TestProperty` asserts after every command that the occupancy in memory is what is claimed.
#[test]
fn refused_check_in_keeps_the_beds_of_a_pending_change() {
    let mut property = paid_night();
    guest_changes(&mut property, extended());
    property.at_check_in("2027-01-10");
    let bed = property.booking("1").stays[0].assigned_beds[0].clone();
    let made = property.inventory();
    let mut dirty = Inventory::clone(&made);
    let state = BedState { cleanliness: Cleanliness::Dirty, ..BedState::default() };
    dirty.rooms[0].bed_states.insert(bed, state);
    property.rebuild(dirty, Rates::default());
    assert_eq!(code(&property.check_in("1")), Some(RefusalCode::BedNotClean));
    assert_eq!(property.claims.len(), 12);
    property.rebuild(Inventory::clone(&made), Rates::default());
    assert_eq!(status(&property.check_in("1")), Some(Status::CheckedIn));
    assert_eq!(property.claims.len(), 1, "the guest moves in to what is paid for");
}

#[test]
fn departure_of_some_guests_drops_a_pending_change() {
    let mut property = held_nights(2);
    pay(&mut property, 1, 2 * NIGHT);
    property.at_check_in("2027-01-10");
    property.check_in("1");
    let added = vec![stay(DORM, "2027-01-10", "2027-01-12", 1), stay(DORM, "2027-01-12", "2027-01-14", 2)];
    guest_changes(&mut property, added);
    let is_pending = property.booking("1").pending_change.is_some();
    let header = CommandHeader { reason: Some("paid later".to_owned()), ..property.header("1") };
    let stays = vec![StaySelection { stay: Some(0), id: None, guests: None, beds: None, places: None }];
    let check_out = CheckOutBooking { header, allow_open_balance: true, reprice: false, stays };
    let decision = property.one(BookingCommand::CheckOut(check_out));
    assert_eq!((is_pending, says_released(&decision, &property)), (true, true));
    assert_eq!((property.claims.len(), property.booking("1").status), (1, Status::CheckedOut));
}

/// Whether its latest revision says that a pending change was dropped, in the history and in the event.
fn says_released(decision: &Decision, property: &TestProperty) -> bool {
    let Decision::Decided(event) = decision else { panic!("{decision:?}") };
    let entry = property.booking("1").history.last().unwrap();
    let noted = entry.changes.as_deref().is_some_and(|changes| changes.change_released);
    assert_eq!(noted, event.change_released);
    noted
}

#[test]
fn dropped_changes_are_noted_and_applied_ones_are_not() {
    let mut property = paid_night();
    let held = guest_changes(&mut property, extended());
    assert!(!says_released(&held, &property));
    property.now = at("2026-12-01T12:10:00Z");
    let replaced = guest_changes(&mut property, vec![stay(DORM, "2027-01-10", "2027-01-12", 1)]);
    assert!(says_released(&replaced, &property));
    property.now = at("2026-12-01T12:40:00Z");
    let expired = expire(&mut property);
    assert!(says_released(&expired, &property));
    guest_changes(&mut property, extended());
    let applied = pay(&mut property, 2, 12 * NIGHT);
    assert!(!says_released(&applied, &property));
}

#[test]
fn only_other_beds_drop_a_pending_change() {
    let mut property = paid_night();
    guest_changes(&mut property, extended());
    let beds: Vec<String> = property.booking("1").stays[0].assigned_beds.iter().map(ToString::to_string).collect();
    let same: Vec<&str> = beds.iter().map(String::as_str).collect();
    for own in [None, Some(same.as_slice())] {
        let assigned = property.assign("1", own, Some(true));
        assert!(!says_released(&assigned, &property));
        let booking = property.booking("1");
        assert!(booking.stays[0].locked && booking.pending_change.as_ref().unwrap().stays[0].locked);
        assert_eq!(property.claims.len(), 12);
    }
    pay(&mut property, 2, 12 * NIGHT);
    assert!(property.booking("1").stays[0].locked, "the change keeps the lock");
    let mut property = paid_night();
    guest_changes(&mut property, vec![stay(DORM, "2027-01-10", "2027-01-12", 1)]);
    let taken = property.booking("1").stays[0].assigned_beds[0].clone();
    let free = ["a-1", "a-2"].into_iter().find(|bed| *bed != taken.as_str()).unwrap();
    let assigned = property.assign("1", Some(&[free]), None);
    assert!(says_released(&assigned, &property));
    assert_eq!((property.booking("1").pending_change.is_none(), property.claims.len()), (true, 1));
}

#[test]
fn moved_dates_keep_the_present_beds_until_paid() {
    let mut property = paid_night();
    let beds = property.booking("1").stays[0].assigned_beds.clone();
    guest_changes(&mut property, vec![stay("private-double", "2027-02-01", "2027-02-03", 2)]);
    assert_eq!(property.claims.len(), 1 + 4);
    assert_eq!(property.booking("1").stays[0].assigned_beds, beds);
    pay(&mut property, 2, 100_000);
    let booking = property.booking("1");
    assert_eq!((booking.stays[0].room_type_id.as_str(), property.claims.len()), ("private-double", 4));
}

#[test]
fn later_change_replaces_a_pending_one() {
    let mut property = paid_night();
    guest_changes(&mut property, extended());
    guest_changes(&mut property, vec![stay(DORM, "2027-01-10", "2027-01-12", 1)]);
    assert_eq!((property.booking("1").payable(), property.claims.len()), (NIGHT, 2));
    guest_changes(&mut property, vec![stay(DORM, "2027-01-10", "2027-01-11", 1)]);
    assert_eq!((property.booking("1").payable(), property.claims.len()), (0, 1));
    let refused = guest_changes(&mut property, vec![stay("castle", "2027-01-10", "2027-01-12", 1)]);
    assert_eq!(code(&refused), Some(RefusalCode::Closed));
}

#[test]
fn refused_change_keeps_the_pending_one() {
    let mut property = paid_night();
    guest_changes(&mut property, extended());
    let before = property.booking("1").clone();
    assert_eq!(
        code(&guest_changes(&mut property, vec![stay("castle", "2027-01-10", "2027-01-12", 1)])),
        Some(RefusalCode::Closed)
    );
    assert_eq!(property.booking("1"), &before);
    property.check();
}

#[test]
fn end_of_the_booking_releases_the_addition() {
    for ends in [0, 1] {
        let mut property = paid_night();
        guest_changes(&mut property, extended());
        if ends == 0 {
            let header = property.header("1");
            property.one(BookingCommand::Cancel(CancelBooking { header, waive_fee: false }));
            assert_eq!(property.claims.len(), 0);
        } else {
            property.at_check_in("2027-01-10");
            assert_eq!(status(&property.check_in("1")), Some(Status::CheckedIn));
            assert_eq!(property.claims.len(), 1);
        }
        assert!(property.booking("1").pending_change.is_none());
    }
}

#[test]
fn staff_and_paid_up_guests_need_no_further_deposit() {
    let mut property = paid_night();
    property.modify("1", extended());
    assert_eq!((property.booking("1").balance(), property.claims.len()), (11 * NIGHT, 12), "staff decide");
    let mut property = paid_night();
    pay(&mut property, 2, 20 * NIGHT);
    property.now = at("2026-12-02T12:00:00Z");
    guest_changes(&mut property, extended());
    assert!(property.booking("1").pending_change.is_some(), "a surplus that is being refunded pays for nothing");
}

fn nights(count: u64) -> Vec<StayRequest> {
    let arrival = stay_end("2027-01-10");
    vec![StayRequest::new(DORM, arrival, arrival.checked_add_days(Days::new(count)).unwrap(), 1)]
}

/// A booking of four nights, paid, that staff shortened to one. Three nights are refunded, or will be.
fn shortened(refunded: i64) -> TestProperty {
    let mut property = paid_night();
    guest_changes(&mut property, nights(4));
    pay(&mut property, 2, 4 * NIGHT);
    property.modify("1", nights(1));
    let booking = property.booking("1");
    assert_eq!((booking.total(), booking.payment.to_refund), (NIGHT, 3 * NIGHT));
    let captured = 4 * NIGHT;
    settle(&mut property, Summary { ledger_rev: 3, captured, cleared: captured, refunded, ..Summary::default() });
    property
}

#[test]
fn refunded_money_pays_for_no_change() {
    for refunded in [0, 3 * NIGHT] {
        let mut property = shortened(refunded);
        // What was promised is refunded, so lengthening again is paid anew.
        guest_changes(&mut property, nights(5));
        let booking = property.booking("1");
        assert_eq!((booking.payable(), booking.payment.to_refund), (4 * NIGHT, 3 * NIGHT), "{refunded}");
        for (ledger_rev, paid) in [(4, 3 * NIGHT), (5, 4 * NIGHT)] {
            let captured = 4 * NIGHT + paid;
            let refunded = if ledger_rev == 4 { refunded } else { 3 * NIGHT };
            settle(&mut property, Summary { ledger_rev, captured, cleared: captured, refunded, ..Summary::default() });
            let booking = property.booking("1");
            assert_eq!(booking.pending_change.is_none(), paid == 4 * NIGHT, "{paid} of {}", 4 * NIGHT);
            assert_eq!(booking.payment.to_refund, 3 * NIGHT);
        }
    }
}

/// The totals of a ledger with these records of cash, negative for what was returned.
fn cash(ledger_rev: u64, amounts: &[i64]) -> Summary {
    let now = at("2026-12-01T12:00:00Z");
    let mut ledger = Ledger::new(id("1"), PROPERTY.into(), Currency::CAD, now);
    for (amount, number) in amounts.iter().zip(1..) {
        ledger.record(Record {
            id: Uuid::from_u128(number),
            method: RecordMethod::Cash,
            amount: *amount,
            actor: "staff:1".into(),
            note: None,
            at: now,
        });
    }
    Summary { ledger_rev, ..ledger.summary() }
}

#[test]
fn cash_refund_is_subtracted_once() {
    // Returned because the stay is shorter; a mistaken record and its correction, before and after that.
    for records in [
        &[2 * NIGHT, -NIGHT][..],
        &[2 * NIGHT, 2 * NIGHT, -2 * NIGHT, -NIGHT],
        &[2 * NIGHT, -NIGHT, NIGHT, -NIGHT],
        &[NIGHT],
    ] {
        let mut property = held_nights(2);
        settle(&mut property, cash(1, &records[..1]));
        if records.len() == 1 {
            let header = property.header("1");
            property.one(BookingCommand::Confirm(ConfirmBooking { header }));
        }
        property.modify("1", nights(1));
        for known in 2..=records.len() {
            settle(&mut property, cash(known.try_into().unwrap(), &records[..known]));
        }
        let booking = property.booking("1");
        assert_eq!((booking.balance(), booking.payment.refund_due()), (0, 0), "{records:?}");
        guest_changes(&mut property, nights(2));
        assert_eq!(property.booking("1").payable(), NIGHT, "{records:?}");
        let ledger_rev = 1 + u64::try_from(records.len()).unwrap();
        settle(&mut property, cash(ledger_rev, &[records, &[NIGHT]].concat()));
        let booking = property.booking("1");
        assert_eq!((booking.total(), booking.balance(), booking.payment.refund_due()), (2 * NIGHT, 0, 0));
    }
}

#[test]
fn corrected_record_confirms_no_hold() {
    let mut property = held_nights(2);
    for (ledger_rev, records) in [(1, &[NIGHT][..]), (2, &[NIGHT, -NIGHT]), (3, &[NIGHT, -NIGHT, NIGHT])] {
        settle(&mut property, cash(ledger_rev, records));
        assert_eq!(property.booking("1").status, Status::Held, "{records:?}");
    }
    settle(&mut property, cash(4, &[NIGHT, -NIGHT, 2 * NIGHT]));
    assert_eq!(property.booking("1").status, Status::Confirmed);
}

#[test]
fn money_charged_back_pays_for_no_change() {
    let mut property = paid_night();
    let lost = Summary { ledger_rev: 2, captured: NIGHT, cleared: NIGHT, charged_back: NIGHT, ..Summary::default() };
    settle(&mut property, lost);
    guest_changes(&mut property, nights(2));
    assert_eq!(property.booking("1").payable(), 2 * NIGHT);
}

#[test]
fn lower_price_by_staff_lowers_the_deposit() {
    let mut property = paid_night();
    guest_changes(&mut property, nights(4));
    pay(&mut property, 2, 4 * NIGHT);
    property.modify("1", nights(1));
    assert_eq!(property.booking("1").payment.required, NIGHT);
    guest_changes(&mut property, nights(3));
    assert_eq!(property.booking("1").payable(), 2 * NIGHT);
}

#[test]
fn rest_below_the_smallest_payment_is_left_to_the_balance() {
    let mut property = paid_night();
    guest_changes(&mut property, nights(2));
    // 0.30 are missing; Stripe takes no payment below 0.50.
    pay(&mut property, 2, 2 * NIGHT - 30);
    let booking = property.booking("1");
    assert_eq!((booking.pending_change.is_none(), booking.balance()), (true, 30));
}

#[test]
fn payment_in_another_currency_refers_a_change_to_staff() {
    let mut property = paid_night();
    let other_currencies = vec![Money::new(NIGHT, Currency::USD)];
    let ledger = Summary { ledger_rev: 2, captured: NIGHT, cleared: NIGHT, other_currencies, ..Summary::default() };
    settle(&mut property, ledger);
    let decision = guest_changes(&mut property, nights(2));
    assert_eq!(code(&decision), Some(RefusalCode::PaymentUnderWay));
    property.modify("1", nights(2));
    assert_eq!(property.booking("1").total(), 2 * NIGHT);
}

#[test]
fn waived_fees_stay_waived_in_a_pending_change() {
    let mut property = held_nights(3);
    let header = property.header("1");
    property.one(BookingCommand::Confirm(ConfirmBooking { header }));
    property.at_check_in("2027-01-10");
    // Shorter for a fee, and then dearer on another date: that fee is in the pending change alone.
    guest_changes(&mut property, nights(1));
    assert_eq!(property.booking("1").change_fee(), 2 * NIGHT);
    guest_changes(&mut property, vec![stay(DORM, "2027-02-01", "2027-02-03", 1)]);
    let before = property.booking("1").clone();
    let pending = before.pending_change.clone().unwrap();
    assert!(pending.change_fees.sum > before.payment.change_fees.sum && pending.change_fees.beside_price() > 0);
    let deposit = before.payable();
    assert_eq!(deposit, 2 * NIGHT, "a deposit includes no fees");

    let mut waive = property.modification("1", Vec::new());
    (waive.stays, waive.reprice, waive.waive_change_fees) = (None, false, true);
    let waived = property.one(BookingCommand::Modify(Box::new(waive.clone())));
    assert!(!says_released(&waived, &property));
    let booking = property.booking("1");
    let kept = booking.pending_change.as_deref().unwrap();
    assert_eq!((&kept.stays, kept.expires_at, booking.change_fee()), (&pending.stays, pending.expires_at, 0));
    assert_eq!(booking.payable(), deposit);
    pay(&mut property, 1, deposit);
    let booking = property.booking("1");
    assert_eq!((&booking.stays, booking.total()), (&pending.stays, 2 * NIGHT));
    assert_eq!((booking.change_fee(), booking.balance()), (0, 0), "it does not bring the fees back");

    // With another change, the pending one gives way as ever.
    guest_changes(&mut property, vec![stay(DORM, "2027-02-01", "2027-02-05", 1)]);
    assert!(property.booking("1").pending_change.is_some());
    waive.reprice = true;
    let repriced = property.one(BookingCommand::Modify(Box::new(waive)));
    assert!(says_released(&repriced, &property));
}

#[derive(Debug, Clone)]
enum Step {
    Change {
        ahead: u64,
        nights: u64,
        guests: u32,
        private: bool,
    },
    Pay(i64),
    /// Makes what is to be refunded.
    Refund,
    ChargeBack(i64),
    /// Staff record cash: taken, returned, or a correction of a mistaken record, which is the same.
    Record(i64),
    Wait(i64),
    Expire,
    Other {
        ahead: u64,
        guests: u32,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..6_u64, 1..5_u64, 1..5_u32, any::<bool>()).prop_map(|(ahead, nights, guests, private)| Step::Change {
            ahead, nights, guests, private
        }),
        2 => (1..60_i64).prop_map(Step::Pay),
        1 => Just(Step::Refund),
        1 => (1..4_i64).prop_map(Step::ChargeBack),
        3 => (-4..5_i64).prop_map(Step::Record),
        1 => (1..60_i64).prop_map(Step::Wait),
        2 => Just(Step::Expire),
        2 => (0..6_u64, 1..7_u32).prop_map(|(ahead, guests)| Step::Other { ahead, guests }),
    ];
    prop::collection::vec(step, 0..14)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Claims, grid and bookings agree after every step (see `TestProperty::apply`).
    #[test]
    fn nothing_is_confirmed_beyond_its_deposit(steps in steps()) {
        let mut property = paid_night();
        let mut ledger = Summary { ledger_rev: 1, captured: NIGHT, cleared: NIGHT, ..Summary::default() };
        let mut records = Vec::new();
        let first = crate::fixtures::date("2027-01-10");
        let room_type = |private: bool| if private { "private-double" } else { DORM };
        let nights = |ahead: u64, nights: u64, guests: u32, private: bool| {
            let arrival = first.checked_add_days(Days::new(ahead)).unwrap();
            let departure = arrival.checked_add_days(Days::new(nights)).unwrap();
            StayRequest::new(room_type(private), arrival, departure, guests)
        };
        for (index, step) in steps.into_iter().enumerate() {
            let before = property.booking("1").clone();
            match step {
                Step::Change { ahead, nights: count, guests, private } => {
                    let guests = if private { guests.min(2) } else { guests };
                    guest_changes(&mut property, vec![nights(ahead, count, guests, private)]);
                }
                Step::Pay(count) => {
                    ledger.captured += count * NIGHT / 2;
                    ledger.cleared += count * NIGHT / 2;
                    ledger.ledger_rev += 1;
                    settle(&mut property, ledger.clone());
                }
                Step::Refund => {
                    ledger.refunded += before.payment.refund_due();
                    ledger.ledger_rev += 1;
                    settle(&mut property, ledger.clone());
                }
                Step::ChargeBack(count) => {
                    ledger.charged_back += (count * NIGHT / 2).min(ledger.kept());
                    ledger.ledger_rev += 1;
                    settle(&mut property, ledger.clone());
                }
                Step::Record(count) => {
                    // Never more than is kept is returned.
                    let amount = (count * NIGHT / 2).max(-ledger.kept());
                    let before = cash(0, &records);
                    records.push(amount);
                    let after = cash(0, &records);
                    ledger.captured += after.captured - before.captured;
                    ledger.refunded += after.refunded - before.refunded;
                    ledger.cleared += after.cleared - before.cleared;
                    ledger.ledger_rev += 1;
                    settle(&mut property, ledger.clone());
                }
                Step::Wait(minutes) => {
                    property.now = (property.now.as_datetime() + TimeDelta::minutes(minutes)).into();
                }
                Step::Expire => {
                    expire(&mut property);
                }
                Step::Other { ahead, guests } => {
                    property.book(&format!("other-{index}"), vec![nights(ahead, 2, guests, false)]);
                }
            }
            let booking = property.booking("1");
            let total = booking.price.as_ref().unwrap().total;
            prop_assert_eq!(booking.status, Status::Confirmed);
            // The plan requires everything. A booking that costs more than before was paid with what is kept.
            let kept = ledger.kept() - booking.payment.refund_due();
            let is_dearer = total > before.price.as_ref().unwrap().total;
            prop_assert!(!is_dearer || total <= kept, "{total} is confirmed, {kept} is kept");
            if booking.pending_change.is_some() {
                prop_assert_eq!((&booking.stays, &booking.price), (&before.stays, &before.price));
                let pending = booking.pending_change.as_ref().unwrap();
                prop_assert!(pending.price.as_ref().unwrap().total > total);
                // Every payment pays a demand exactly: what is kept pays for the change, once.
                let missing = (pending.required - kept.max(0)).max(0);
                prop_assert_eq!(booking.payable(), payable_part(missing, Currency::CAD), "{} is kept", kept);
            }
            prop_assert!(property.bookings.contains_key(&id("1")));
        }
    }
}
