//! Fees of guests' changes: changing before cancelling is never cheaper than cancelling at once.

use super::property::{TestProperty, booking_request, status};
use crate::actor::Actor;
use crate::booking::{ChangeFees, Status, StayRequest};
use crate::decide::{Decision, preview_modification};
use crate::fixtures::{at, sample_inventory, stay};
use crate::inventory::Inventory;
use crate::messages::*;
use crate::rates::Rates;
use crate::rates::cancellation::{CancellationPolicy, Fee, Tier};
use crate::timestamp::Timestamp;
use chrono::{Days, NaiveDate, TimeDelta};
use proptest::prelude::*;
use std::sync::Arc;

const DORM: &str = "dorm-6-mixed";

/// Two guests for three nights on the standard policy; 28,560 with taxes.
fn booked() -> TestProperty {
    let mut property = TestProperty::new();
    property.book("1", vec![stay(DORM, "2027-01-10", "2027-01-13", 2)]);
    property
}

fn by_guest(property: &TestProperty, stays: Vec<StayRequest>) -> ModifyBooking {
    let mut modify = property.modification("1", stays);
    modify.header.actor = Actor::GUEST;
    modify
}

fn guest_changes(property: &mut TestProperty, stays: Vec<StayRequest>) -> Decision {
    let modify = by_guest(property, stays);
    property.one(BookingCommand::Modify(Box::new(modify)))
}

fn cancel(property: &mut TestProperty, waive_fee: bool) {
    let header = property.header("1");
    property.one(BookingCommand::Cancel(CancelBooking { header, waive_fee }));
}

/// Fees of the changes, and the amount owed now.
fn owed(property: &TestProperty) -> (i64, i64) {
    (property.booking("1").change_fee(), property.booking("1").balance())
}

#[test]
fn postponing_before_cancelling_saves_nothing() {
    let mut property = booked();
    property.at_check_in("2027-01-10");
    guest_changes(&mut property, vec![stay(DORM, "2027-06-10", "2027-06-11", 1)]);
    // One night for one guest costs 4,760; cancelling it in time would cost 476.
    assert_eq!(property.booking("1").price.as_ref().unwrap().total, 4_760);
    assert_eq!(owed(&property), (23_800, 28_560), "the guest may stay that night, but saves nothing");
    cancel(&mut property, false);
    assert_eq!(property.booking("1").cancellation_fee, Some(28_560), "all, as without the change");
}

#[test]
fn dropped_nights_cost_what_cancelling_them_costs() {
    let mut property = booked();
    guest_changes(&mut property, vec![stay(DORM, "2027-01-10", "2027-01-11", 2)]);
    // 10 % of the two nights that were given up.
    assert_eq!(owed(&property), (1_904, 9_520 + 1_904));
    guest_changes(&mut property, vec![stay(DORM, "2027-01-10", "2027-01-13", 2)]);
    assert_eq!(owed(&property), (0, 28_560), "price and fees never exceed the highest price");
    guest_changes(&mut property, vec![stay(DORM, "2027-02-10", "2027-02-13", 2)]);
    assert_eq!(owed(&property), (0, 28_560), "another date of the same price and the same fee gives up nothing");
}

#[test]
fn changes_by_staff_cost_nothing_and_staff_may_waive() {
    let mut property = booked();
    property.at_check_in("2027-01-10");
    property.modify("1", vec![stay(DORM, "2027-01-10", "2027-01-12", 2)]);
    assert_eq!(owed(&property), (0, 19_040));
    guest_changes(&mut property, vec![stay(DORM, "2027-01-10", "2027-01-11", 2)]);
    assert_eq!(owed(&property), (9_520, 19_040));
    let header = property.header("1");
    let waive = ModifyBooking { header, stays: None, waive_change_fees: true, ..by_guest(&property, Vec::new()) };
    property.one(BookingCommand::Modify(Box::new(waive)));
    assert_eq!(owed(&property), (0, 9_520));
    assert!(property.booking("1").payment.change_fees.is_none());
    assert_eq!(property.booking("1").state_at(3).payment.change_fees.sum, 9_520, "history keeps what was waived");
}

#[test]
fn waived_cancellation_includes_the_change_fees() {
    let mut property = booked();
    property.at_check_in("2027-01-10");
    guest_changes(&mut property, vec![stay(DORM, "2027-06-10", "2027-06-11", 1)]);
    cancel(&mut property, true);
    assert_eq!(property.booking("1").cancellation_fee, Some(0));
}

#[test]
fn policy_allows_free_changes_until_its_deadline() {
    let mut inventory = sample_inventory();
    let policy = CancellationPolicy {
        id: "strict".into(),
        name: "Strict".to_owned(),
        names: Default::default(),
        tiers: vec![Tier { hours_before: 0, fee: Fee::Percent { ppm: 1_000_000 } }],
        free_changes_hours_before: Some(48),
    };
    inventory.cancellation_policies = vec![policy];
    inventory.rate_plans[0].cancellation_policy_id = Some("strict".into());
    let mut property = TestProperty::of(inventory);
    property.book("1", vec![stay(DORM, "2027-01-10", "2027-01-13", 2)]);
    // Check-in opens at 15:00 in Montréal, 20:00 UTC.
    property.now = at("2027-01-08T20:00:00Z");
    guest_changes(&mut property, vec![stay(DORM, "2027-01-10", "2027-01-12", 2)]);
    assert_eq!(owed(&property), (0, 19_040));
    property.now = at("2027-01-08T20:00:01Z");
    guest_changes(&mut property, vec![stay(DORM, "2027-01-10", "2027-01-11", 2)]);
    assert_eq!(owed(&property), (9_520, 19_040));
}

#[test]
fn preview_is_what_is_decided() {
    let mut property = booked();
    property.at_check_in("2027-01-10");
    let modify = by_guest(&property, vec![stay(DORM, "2027-06-10", "2027-06-12", 1)]);
    let preview = |modify: ModifyBooking| {
        preview_modification(
            property.booking("1"),
            property.inventory(),
            Arc::new(Rates::default()),
            modify,
            property.now,
        )
    };
    let shown = preview(modify.clone()).unwrap().unwrap();
    assert_eq!(
        preview(by_guest(&property, vec![stay("castle", "2027-06-10", "2027-06-12", 1)])).unwrap_err().code,
        RefusalCode::Closed
    );
    let stale = CommandHeader { expected_rev: Some(7), ..modify.header.clone() };
    assert_eq!(preview(ModifyBooking { header: stale, ..modify.clone() }), Ok(None));
    property.one(BookingCommand::Modify(Box::new(modify)));
    let decided = property.booking("1");
    assert_eq!((&shown.price, &shown.payment), (&decided.price, &decided.payment));
    assert!(shown.payment.change_fees.sum > 0);
}

#[test]
fn fees_without_a_charge_leave_no_trace() {
    assert_eq!(serde_json::to_value(ChangeFees::default()).unwrap(), serde_json::json!({}));
}

/// A guest's change, so many hours after the one before.
#[derive(Debug, Clone)]
struct Change {
    hours: i64,
    private: bool,
    ahead: u64,
    nights: u64,
    guests: u32,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Cancel,
    NoShow,
    Stay,
}

/// Policies whose fee does not fall towards arrival: otherwise waiting would be a way to save.
fn policies() -> impl Strategy<Value = CancellationPolicy> {
    let fees = (0..3_u8, prop::collection::vec(0..=10_u32, 0..4));
    (fees, prop::collection::btree_set(0..400_u32, 4)).prop_map(|((kind, mut sizes), hours)| {
        sizes.sort_unstable();
        let fee = |size: u32| match kind {
            0 => Fee::Percent { ppm: size * 100_000 },
            1 => Fee::Fixed { amount: i64::from(size) * 3_000 },
            _ => Fee::Nights { count: u16::try_from(size.max(1)).unwrap() },
        };
        let tiers =
            hours.into_iter().rev().zip(sizes).map(|(hours_before, size)| Tier { hours_before, fee: fee(size) });
        CancellationPolicy {
            id: "random".into(),
            name: "Random".to_owned(),
            names: Default::default(),
            tiers: tiers.collect(),
            free_changes_hours_before: None,
        }
    })
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = (0..100_i64, any::<bool>(), 0..40_u64, 1..6_u64, 1..3_u32)
        .prop_map(|(hours, private, ahead, nights, guests)| Change { hours, private, ahead, nights, guests });
    prop::collection::vec(change, 0..6)
}

fn with_policy(policy: CancellationPolicy) -> Inventory {
    let mut inventory = sample_inventory();
    inventory.rate_plans[0].cancellation_policy_id = Some(policy.id.clone());
    inventory.cancellation_policies = vec![policy];
    inventory
}

/// The fee of cancelling the booking at `now` by its policy, computed from the policy's text.
fn policy_fee(property: &TestProperty, policy: &CancellationPolicy, now: Timestamp) -> i64 {
    let booking = property.booking("1");
    let arrival = booking.stays.iter().map(|stay| stay.arrival).min().unwrap();
    let opens = arrival.and_hms_opt(15, 0, 0).unwrap().and_local_timezone(chrono_tz::America::Toronto).unwrap();
    let left = opens.to_utc() - now.as_datetime();
    let open = policy.tiers.iter().find(|tier| left >= TimeDelta::hours(tier.hours_before.into()));
    let Some(tier) = open.or(policy.tiers.last()) else { return 0 };
    let price = booking.price.as_ref().unwrap();
    match tier.fee {
        Fee::Percent { ppm } => (i128::from(price.total) * i128::from(ppm) / 1_000_000) as i64,
        Fee::Fixed { amount } => amount.min(price.total),
        Fee::Nights { count } => price.of_first_nights(count.into()),
    }
}

/// Advances to the start of check-in on `day`, unless that has passed.
fn later(property: &mut TestProperty, day: NaiveDate) {
    let before = property.now;
    property.at_check_in(&day.to_string());
    property.now = property.now.max(before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn changing_first_never_pays(policy in policies(), changes in changes(), ahead in 0..30_u64, end in 0..3_u8) {
        let end = [End::Cancel, End::NoShow, End::Stay][usize::from(end)];
        let mut property = TestProperty::of(with_policy(policy.clone()));
        let day = |property: &TestProperty, ahead: u64| {
            property.now.as_datetime().date_naive().checked_add_days(Days::new(ahead)).unwrap()
        };
        let first = day(&property, ahead);
        let first = StayRequest::new(DORM, first, first.checked_add_days(Days::new(3)).unwrap(), 2);
        prop_assert_eq!(status(&property.run(&[booking_request("1", vec![first])])[0]), Some(Status::Confirmed));
        let (mut least, mut most) = (0, property.booking("1").balance());
        let cancelled_at_once = |property: &TestProperty| policy_fee(property, &policy, property.now);
        least = least.max(cancelled_at_once(&property));
        for change in changes {
            property.now = (property.now.as_datetime() + TimeDelta::hours(change.hours)).into();
            least = least.max(cancelled_at_once(&property));
            let arrival = day(&property, change.ahead + 1);
            let departure = arrival.checked_add_days(Days::new(change.nights)).unwrap();
            let room_type = if change.private { "private-double" } else { DORM };
            guest_changes(&mut property, vec![StayRequest::new(room_type, arrival, departure, change.guests)]);
            most = most.max(property.booking("1").price.as_ref().unwrap().total);
        }
        let (arrival, departure) = (property.booking("1").stays[0].arrival, property.booking("1").stays[0].departure);
        let kept = match end {
            End::Cancel => {
                least = least.max(cancelled_at_once(&property));
                cancel(&mut property, false);
                property.booking("1").cancellation_fee.unwrap()
            }
            End::NoShow => {
                later(&mut property, arrival.succ_opt().unwrap());
                least = least.max(cancelled_at_once(&property));
                let header = property.header("1");
                property.one(BookingCommand::NoShow(MarkNoShow { header, stays: Vec::new() }));
                property.booking("1").cancellation_fee.unwrap()
            }
            End::Stay => {
                later(&mut property, arrival);
                prop_assume!(property.now.as_datetime().date_naive() < departure);
                prop_assert_eq!(status(&property.check_in("1")), Some(Status::CheckedIn));
                later(&mut property, departure);
                let header = CommandHeader { reason: Some("invoice".to_owned()), ..property.header("1") };
                let (allow_open_balance, reprice) = (true, false);
                let check_out = CheckOutBooking { header, allow_open_balance, reprice, stays: Vec::new() };
                prop_assert_eq!(status(&property.one(BookingCommand::CheckOut(check_out))), Some(Status::CheckedOut));
                property.booking("1").balance()
            }
        };
        prop_assert!(kept >= least, "{kept} is kept, cancelling at once would have left {least}");
        prop_assert!(kept <= most, "{kept} is kept of a booking that never cost more than {most}");
    }
}

#[test]
fn terms_say_what_cancelling_costs_at_any_time() {
    let mut property = booked();
    guest_changes(&mut property, vec![stay(DORM, "2027-01-10", "2027-01-12", 2)]);
    let (booking, inventory) = (property.booking("1").clone(), property.inventory());
    let made = at("2026-12-10T12:00:00Z");
    let terms = booking.cancellation_terms(&inventory.property, made);
    assert_eq!(terms.len(), 4, "the standard policy: {terms:?}");
    assert!(terms.windows(2).all(|pair| pair[0].until < pair[1].until || pair[1].until.is_none()), "{terms:?}");
    for hours in 0..40 * 24_i64 {
        let now = made.as_datetime() + TimeDelta::hours(hours);
        let over = terms.iter().take_while(|term| term.until.is_some_and(|until| until < now)).count();
        let fee = booking.cancellation_fee_at(&inventory.property, Timestamp::new(now));
        assert_eq!(terms[over].fee, fee, "at {now}: {terms:?}");
        let ahead = booking.cancellation_terms(&inventory.property, Timestamp::new(now));
        assert_eq!(ahead, terms[over..], "at {now}");
    }
    cancel(&mut property, false);
    assert_eq!(property.booking("1").cancellation_terms(&inventory.property, made), []);
}

proptest! {
    /// The clocks change in the night before the arrival, so that deadlines lie on both sides of it.
    #[test]
    fn cancelling_is_free_exactly_until_a_deadline_that_lies_ahead(
        tiers in prop::collection::btree_map(0..100_u32, prop_oneof![Just(0), Just(250_000_u32)], 0..4),
        seconds in 0..1_000_000_i64,
    ) {
        let tiers: Vec<Tier> = tiers
            .into_iter()
            .rev()
            // No two deadlines meet in the hour that the clocks skip.
            .map(|(hours, ppm)| Tier { hours_before: 2 * hours, fee: Fee::Percent { ppm } })
            .collect();
        let is_always_free = tiers.iter().all(|tier| tier.fee == Fee::Percent { ppm: 0 });
        let mut property = TestProperty::new();
        property.book("1", vec![stay(DORM, "2027-03-14", "2027-03-17", 2)]);
        let (mut booking, inventory) = (property.booking("1").clone(), property.inventory());
        booking.cancellation_policy = Some(CancellationPolicy { tiers, ..CancellationPolicy::standard() });
        let fee_at = |at| booking.cancellation_fee_at(&inventory.property, Timestamp::new(at));
        let now = at("2027-03-05T00:00:00Z").as_datetime() + TimeDelta::seconds(seconds);
        let opens = at("2027-03-14T19:00:00Z").as_datetime();
        match booking.free_cancellation_until(&inventory.property, Timestamp::new(now)) {
            // The last fee has no end, but no deadline after check-in opens is promised.
            None => prop_assert!(fee_at(now) > 0 || now > opens),
            Some(until) => {
                prop_assert!(now <= until, "{until} is over at {now}");
                prop_assert!(fee_at(now) == 0 && fee_at(until) == 0);
                prop_assert!(until == opens || fee_at(until + TimeDelta::milliseconds(1)) > 0);
                prop_assert!(!is_always_free || until == opens);
            }
        }
    }
}
