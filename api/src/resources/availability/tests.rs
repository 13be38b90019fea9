//! Answers of searches and calendars.

use super::nights::{Month, RoomNights};
use super::search_query::SearchQuery;
use super::search_view::PropertyView as Found;
use crate::http::headers;
use chrono::{Datelike as _, Days, Months, NaiveDate, Utc};
use pvt_domain::availability::Occupancy;
use pvt_domain::demo;
use pvt_domain::grid::OccupancyGrid;
use pvt_domain::inventory::{Names, RatePlan, TaxAmount, TaxRule};
use pvt_domain::nights::Nights;
use pvt_domain::rates::restrictions::Restriction;
use pvt_domain::rates::{DateSet, RateCalendar, Rates};
use serde_json::{Value, json};
use std::sync::Arc;

const DORM: &str = "dorm-6-mixed";

fn day(days: u64) -> NaiveDate {
    Utc::now().date_naive() + Days::new(days)
}

/// The demonstration hostel: one bed of a dorm blocked, two plans, and on one of them a price and a restriction of one
/// night's own.
fn occupancy() -> Occupancy {
    let mut calendar = RateCalendar::new(demo::PROPERTY_ID.into(), "standard".into(), DORM.into());
    let night = DateSet { range: Nights::new(day(21), day(22)), weekdays: Vec::new() };
    calendar.set_prices(&night, Some(9_900));
    calendar.set_restrictions(&night, &Restriction { min_stay_through: Some(3), ..Restriction::default() });
    let mut inventory = demo::inventory();
    let prepaid = RatePlan { id: "prepaid".into(), ..inventory.rate_plans[0].clone() };
    inventory.rate_plans.push(prepaid);
    let (max_nights, exempt_under, exemptions) = (None, Some(18), Vec::new());
    inventory.property.taxes.push(TaxRule {
        code: "city".into(),
        name: "City tax".into(),
        names: Names::default(),
        amount: TaxAmount::PersonNight { amount: 150, max_nights, exempt_under, exemptions },
        included: false,
        valid_from: None,
        valid_until: None,
    });
    let view =
        OccupancyGrid::new(Arc::new(inventory), day(0) - Days::new(2)).with_rates(Arc::new(Rates::new([calendar])));
    let mut occupancy = Occupancy::new(view);
    occupancy.block(&["d6a-1".into()], Nights::new(day(20), day(24)));
    occupancy
}

/// The room types that a search for nights 20 to 22 finds.
fn search(filter: &str) -> Vec<Value> {
    let uri = format!("/api/rooms/search?arrival={}&departure={}&{filter}", day(20), day(22));
    let query = headers::query(&uri.parse().unwrap()).and_then(|read| SearchQuery::new(read, None)).unwrap();
    let occupancy = occupancy();
    let found =
        Found::of(&occupancy, &query, Utc::now().into(), false).map(|found| serde_json::to_value(&found).unwrap());
    found.and_then(|found| found["room_types"].as_array().cloned()).unwrap_or_default()
}

fn ids(found: &[Value]) -> Vec<&str> {
    found.iter().filter_map(|one| one["room_type_id"].as_str()).collect()
}

#[test]
fn search_returns_availability_prices_and_restrictions() {
    let found = search("guests=2&kind=dorm&room_type_id=dorm-6-mixed");
    assert_eq!(found.len(), 1);
    assert_eq!(
        (&found[0]["units_left"], &found[0]["bookable"], found[0].get("reason")),
        (&json!(11), &json!(true), None)
    );
    let offers = found[0]["offers"].as_array().unwrap();
    let of = |plan: &str| offers.iter().find(|offer| offer["rate_plan_id"] == plan).unwrap();
    assert_eq!(of("standard")["restrictions"], json!([{ "kind": "min_stay_through", "date": day(21), "limit": 3 }]));
    assert_eq!((&of("standard")["bookable"], &of("prepaid")["bookable"]), (&json!(false), &json!(true)));
    assert_eq!(of("standard")["room"]["amount"], json!(2 * (4_200 + 9_900)), "the night's own price");
    assert_eq!(search("room_type_id=dorm-6-mixed&rate_plan_id=standard")[0]["bookable"], json!(false));
    assert!(search("room_type_id=dorm-6-mixed&rate_plan_id=standard&bookable=true").is_empty());
}

#[test]
fn guest_gender_and_age_filter_room_types() {
    let reason = |filter: &str| search(filter)[0]["reason"].clone();
    assert_eq!(reason("room_type_id=dorm-4-female&gender=male"), json!("gender"));
    assert_eq!(reason("room_type_id=dorm-4-female&gender=female"), Value::Null);
    assert_eq!(reason("room_type_id=private-double&guests=3"), json!("over_capacity"));
    let kinds = search("kind=private");
    assert_eq!(ids(&kinds), ["private-double", "private-twin"]);
    assert!(!ids(&search("gender=male&bookable=true")).contains(&"dorm-4-female"));
}

#[test]
fn price_covers_the_whole_stay() {
    let total =
        search("room_type_id=dorm-6-mixed&rate_plan_id=prepaid")[0]["offers"][0]["total"]["amount"].as_i64().unwrap();
    let within = |filter: String| search(&format!("room_type_id=dorm-6-mixed&rate_plan_id=prepaid&{filter}")).len();
    assert_eq!((within(format!("max_price={total}")), within(format!("max_price={}", total - 1))), (1, 0));
    assert_eq!((within(format!("min_price={total}")), within(format!("min_price={}", total + 1))), (1, 0));
}

#[test]
fn price_depends_on_the_ages_of_the_guests() {
    let total = |filter: &str| {
        let found = search(&format!("room_type_id=dorm-6-mixed&rate_plan_id=prepaid&guests=3{filter}"));
        found[0]["offers"][0]["total"]["amount"].as_i64().unwrap()
    };
    assert_eq!(total("") - total("&guest_ages=4,30"), 2 * 150, "two nights of the child");
    assert_eq!(total("&guest_ages=4,17,18"), total("&guest_ages=4") - 2 * 150);
}

#[test]
fn month_calendar_shows_prices_and_restrictions() {
    let occupancy = occupancy();
    let first = day(21).with_day(1).unwrap();
    let month = serde_json::to_value(Month::of(&occupancy, &DORM.into(), None, first, day(0)).unwrap()).unwrap();
    let at = |date: NaiveDate| {
        month["days"].as_array().unwrap().iter().find(|one| one["date"] == json!(date)).cloned().unwrap()
    };
    assert_eq!((&at(day(21))["price"]["amount"], &at(day(21))["units_left"]), (&json!(9_900), &json!(11)));
    assert_eq!(at(day(21))["restrictions"]["min_stay_through"], json!(3));
    assert_eq!(
        month["days"].as_array().unwrap().len(),
        usize::try_from(Nights::new(first, first + Months::new(1)).count()).unwrap()
    );
    assert!(Month::of(&occupancy, &DORM.into(), Some(&"nobodys".into()), first, day(0)).is_none());
    assert!(Month::of(&occupancy, &"castle".into(), None, first, day(0)).is_none());
    let past =
        Month::of(&occupancy, &DORM.into(), None, (day(0) - Days::new(40)).with_day(1).unwrap(), day(0)).unwrap();
    assert!(
        serde_json::to_value(&past).unwrap()["days"].as_array().unwrap().iter().all(|one| one["units_left"] == 0),
        "what is over is not sold"
    );
}

#[test]
fn room_calendar_shows_free_beds() {
    let occupancy = occupancy();
    let room = occupancy.grid().inventory().room_of(&"d6a-1".into()).unwrap().id.clone();
    let nights =
        serde_json::to_value(RoomNights::of(&occupancy, room.as_str(), Nights::new(day(23), day(25)), day(0)).unwrap())
            .unwrap();
    assert_eq!(nights["nights"], json!([{ "date": day(23), "free_beds": 5 }, { "date": day(24), "free_beds": 6 }]));
    assert!(RoomNights::of(&occupancy, "cellar", Nights::new(day(23), day(25)), day(0)).is_none());
}
