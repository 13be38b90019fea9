//! Taxes per person and per stay over the life of a booking.

use super::parts_of_bookings::some;
use super::property::{TestProperty, status};
use crate::actor::Actor;
use crate::booking::{Status, Stay, StayRequest, TaxExemption};
use crate::decide::Decision;
use crate::fixtures::{city_tax, sample_inventory, stay};
use crate::inventory::{TaxAmount, TaxRule};
use crate::messages::*;
use crate::rates::Rates;

const DORM: &str = "dorm-6-mixed";

/// Four guests for three nights at 40.00, with a city tax of 1.65, 5.00 for the linen of each stay, and 10 % that
/// prices include.
fn group() -> TestProperty {
    let mut inventory = sample_inventory();
    let linen = TaxRule { code: "linen".to_owned(), amount: TaxAmount::Stay { amount: 500 }, ..city_tax(0) };
    let vat = TaxAmount::Percent { rate_ppm: 100_000, compounds_on: Vec::new() };
    let vat = TaxRule { code: "vat".to_owned(), amount: vat, included: true, ..city_tax(0) };
    inventory.property.taxes = vec![city_tax(165), linen, vat];
    let mut property = TestProperty::of(inventory);
    property.book("1", vec![stay(DORM, "2027-01-10", "2027-01-13", 4)]);
    property
}

/// Amounts of the taxes, and the total.
fn taxed(property: &TestProperty) -> (Vec<i64>, i64) {
    let price = property.booking("1").price.as_ref().unwrap();
    (price.taxes.iter().map(|line| line.amount).collect(), price.total)
}

fn stays(property: &TestProperty) -> Vec<StayRequest> {
    property.booking("1").stays.iter().map(Stay::as_request).collect()
}

/// Declares something of the guests of a stay, and nothing else.
fn declare(property: &mut TestProperty, actor: Actor, index: usize, set: impl Fn(&mut StayRequest)) -> Decision {
    let mut stays = stays(property);
    set(&mut stays[index]);
    let mut modify = ModifyBooking { reprice: false, ..property.modification("1", stays) };
    modify.header.actor = actor;
    property.one(BookingCommand::Modify(Box::new(modify)))
}

fn disabled(guests: u32) -> impl Fn(&mut StayRequest) {
    move |stay| {
        stay.tax_exemptions = vec![TaxExemption { code: "city".to_owned(), reason: "disability".to_owned(), guests }];
    }
}

#[test]
fn exemption_changes_taxes_and_nothing_else() {
    let mut property = group();
    assert_eq!(taxed(&property), (vec![12 * 165, 500, 4_364], 48_000 + 1_980 + 500));
    // Today's rates are others.
    let mut inventory = (*property.inventory()).clone();
    inventory.rate_plans[0].nightly.values_mut().for_each(|amount| *amount += 1_000);
    property.rebuild(inventory, Rates::default());
    let beds: Vec<String> = property.beds("1").into_iter().map(str::to_owned).collect();
    let Decision::Decided(event) = declare(&mut property, "staff:1".into(), 0, disabled(1)) else { panic!() };
    assert_eq!(taxed(&property), (vec![9 * 165, 500, 4_364], 48_000 + 1_485 + 500));
    assert_eq!(property.beds("1"), beds);
    assert!(event.stays.iter().all(|stay| stay.tax_exemptions.is_empty()), "no event says why");
    assert_eq!(property.booking("1").stays[0].tax_exemptions.len(), 1);
    declare(&mut property, "staff:1".into(), 0, |stay| stay.tax_exemptions.clear());
    assert_eq!(taxed(&property).1, 48_000 + 1_980 + 500);
}

#[test]
fn declaring_children_has_no_change_fee() {
    let mut property = group();
    property.at_check_in("2027-01-09");
    let declared = declare(&mut property, Actor::GUEST, 0, |stay| {
        (stay.guest_ages, stay.youngest_age) = (vec![12, 9], Some(9));
    });
    let Decision::Decided(event) = declared else { panic!() };
    assert_eq!(event.stays[0].as_request().youngest(), None, "no event says how old guests are");
    assert_eq!(taxed(&property), (vec![6 * 165, 500, 4_364], 48_000 + 990 + 500));
    assert_eq!(property.booking("1").change_fee(), 0);
}

#[test]
fn nights_that_are_not_slept_have_no_city_tax() {
    let mut property = group();
    declare(&mut property, "staff:1".into(), 0, disabled(1));
    property.at_check_in("2027-01-10");
    let header = property.header("1");
    property.one(BookingCommand::CheckIn(CheckInBooking { header, stays: Vec::new() }));
    property.at_check_in("2027-01-11");
    let before = taxed(&property);
    let leave = |property: &mut TestProperty, guests: u32, reprice: bool| {
        let header = CommandHeader { reason: Some("left".to_owned()), ..property.header("1") };
        let stays = vec![some(0, guests)];
        let check_out = CheckOutBooking { header, stays, reprice, allow_open_balance: true };
        assert_eq!(status(&property.one(BookingCommand::CheckOut(check_out))), Some(Status::CheckedIn));
    };
    leave(&mut property, 1, false);
    assert_eq!(taxed(&property), before, "the agreed total stays owed");
    leave(&mut property, 1, true);
    // Two guests for three nights, two for one of which one is exempt; unused nights of 80.00 stay owed.
    let price = property.booking("1").price.clone().unwrap();
    assert_eq!((price.unused_nights, price.nights.len()), (8_000, 3));
    assert_eq!(taxed(&property).0, [7 * 165, 500, (24_000 + 8_000 + 8_000) / 11]);
    assert_eq!(taxed(&property).1, 40_000 + 7 * 165 + 500, "the linen of the stay is paid once");
    // What is known only now counts for guests who have left, too.
    declare(&mut property, "staff:1".into(), 1, |stay| stay.tax_exemptions.clear());
    assert_eq!(taxed(&property).0[0], 8 * 165);
}

#[test]
fn absent_guests_are_not_taxed() {
    let mut property = group();
    property.at_check_in("2027-01-10");
    let header = property.header("1");
    property.one(BookingCommand::CheckIn(CheckInBooking { header, stays: vec![some(0, 3)] }));
    assert_eq!(taxed(&property).1, 48_000 + 1_980 + 500);
    property.at_check_in("2027-01-11");
    let header = property.header("1");
    property.one(BookingCommand::NoShow(MarkNoShow { header, stays: Vec::new() }));
    assert_eq!(taxed(&property), (vec![9 * 165, 500, 3_273], 36_000 + 1_485 + 500), "linen is due for who came");
}
