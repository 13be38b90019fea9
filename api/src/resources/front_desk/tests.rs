//! Arrivals, the bed calendar and bed statistics of the demonstration property.

use super::arrivals::{Listing, listing};
use super::calendar::BedCalendar;
use super::stats::property_stats;
use crate::http::response::Shown;
use axum::body::to_bytes;
use axum::response::IntoResponse as _;
use chrono::NaiveDate;
use pvt_domain::availability::{Holding, Occupancy};
use pvt_domain::block::Block;
use pvt_domain::booking::{Booking, Status, StayProgress};
use pvt_domain::demo;
use pvt_domain::grid::OccupancyGrid;
use pvt_domain::inventory::{BedService, BedState, Cleanliness, Inventory};
use pvt_domain::nights::Nights;
use serde_json::{Value, json};
use std::sync::Arc;

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// The demonstration hostel with a bed that is not made and one that cannot be sold.
fn inventory() -> Inventory {
    let mut inventory = demo::inventory();
    let room = inventory.rooms.iter_mut().find(|room| room.beds.contains(&"d6a-1".into())).unwrap();
    room.bed_states.insert("d6a-2".into(), BedState { service: BedService::Active, cleanliness: Cleanliness::Dirty });
    room.bed_states
        .insert("d6a-6".into(), BedState { service: BedService::OutOfService, cleanliness: Cleanliness::Clean });
    inventory
}

/// Two stays: one of two guests who changed beds after their first night, one that begins later.
fn booking(id: &str, last_name: &str) -> Booking {
    serde_json::from_value(json!({
        "_id": id, "reference": "PVT-0000000000", "status": "confirmed", "rev": 3, "property_id": "pvt-montreal",
        "rate_plan_id": "standard", "source": "direct",
        "stays": [
            { "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-13", "guests": 2,
                "assigned_beds": ["d6a-1", "d6a-2"], "locked": true,
              "earlier_beds": [{ "until": "2027-01-11", "beds": ["d6a-3", "d6a-4"] }] },
            { "room_type_id": "dorm-6-mixed", "arrival": "2027-01-20", "departure": "2027-01-21", "guests": 1,
                "assigned_beds": ["d6a-1"] },
        ],
        "guest": { "first_name": "Ada", "last_name": last_name, "email": "ada@example.com" },
        "price": { "currency": "CAD", "nights": [[8400, 8400, 8400], [4200]], "taxes": [], "total": 29400 },
        "payment_status": "pay_on_arrival", "fingerprint": "f",
        "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:01.000Z", "history": [],
    }))
    .unwrap()
}

fn block() -> Block {
    serde_json::from_value(json!({
        "_id": "99999999-2222-5333-8444-555555555555", "property_id": "pvt-montreal", "kind": "maintenance",
        "bed_ids": ["d6a-5"],
        "from": "2027-01-11", "until": "2027-01-15", "status": "active", "rev": 1,
        "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:00.000Z", "history": [],
    }))
    .unwrap()
}

async fn body(answer: Shown<Listing<'static>>) -> Value {
    serde_json::from_slice(&to_bytes(answer.into_response().into_body(), usize::MAX).await.unwrap()).unwrap()
}

#[tokio::test]
async fn guests_of_the_rooming_list_are_named_in_their_stays() {
    let mut booking = booking("11111111-2222-5333-8444-555555555555", "Lovelace");
    let guest = |stay_id: u32, position: u32, first_name: &str| {
        let last_name = "Byron";
        json!({ "stay_id": stay_id, "position": position, "first_name": first_name, "last_name": last_name })
    };
    booking.rooming_list =
        serde_json::from_value(json!([guest(0, 1, "Grace"), guest(1, 0, "Ada"), guest(0, 0, "Mary")])).unwrap();
    let shown = body(listing(&inventory(), date("2027-01-11"), vec![booking], |_| true)).await;
    let names = |stay: usize| {
        let names = shown["items"][0]["stays"][stay]["names"].as_array().unwrap();
        names.iter().map(|one| (one["position"].clone(), one["bed"].clone(), one["name"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(
        names(0),
        [(json!(0), json!("d6a-1"), json!("Mary Byron")), (json!(1), json!("d6a-2"), json!("Grace Byron"))]
    );
    assert_eq!(names(1), [(json!(0), json!("d6a-1"), json!("Ada Byron"))]);
}

#[tokio::test]
async fn arrivals_are_sorted_by_name_with_stays_and_bed_status() {
    let bookings = vec![
        booking("11111111-2222-5333-8444-555555555555", "Lovelace"),
        booking("21111111-2222-5333-8444-555555555555", "Byron"),
    ];
    let arrivals =
        listing(&inventory(), date("2027-01-10"), bookings.clone(), |stay| stay.arrival == date("2027-01-10"));
    let departures = listing(&inventory(), date("2027-01-13"), bookings, |stay| stay.departure == date("2027-01-13"));
    let (arrivals, departures) = (body(arrivals).await, body(departures).await);
    let names: Vec<&str> =
        arrivals["items"].as_array().unwrap().iter().filter_map(|item| item["guest"]["last_name"].as_str()).collect();
    assert_eq!(names, ["Byron", "Lovelace"]);
    let item = &arrivals["items"][0];
    assert_eq!((&item["due"]["amount"], item["stays"].as_array().map(Vec::len)), (&json!(29_400), Some(1)));
    let beds = |item: &Value| {
        let stay = &item["stays"][0];
        (stay["index"].clone(), stay["assigned_beds"].clone(), stay["ready"].clone())
    };
    assert_eq!(beds(item), (json!(0), json!(["d6a-3", "d6a-4"]), json!(true)), "the beds of the first night");
    assert_eq!(
        beds(&departures["items"][0]),
        (json!(0), json!(["d6a-1", "d6a-2"]), json!(false)),
        "one of those of the last night is not made"
    );
}

#[test]
fn calendar_shows_every_bed_per_night() {
    let (inventory, booking, blocks) =
        (inventory(), booking("11111111-2222-5333-8444-555555555555", "Lovelace"), [block()]);
    let plan = serde_json::to_value(BedCalendar::of(
        &inventory,
        &[&booking],
        &blocks,
        Nights::new(date("2027-01-11"), date("2027-01-14")),
    ))
    .unwrap();
    let beds: Vec<&Value> =
        plan["rooms"].as_array().unwrap().iter().flat_map(|room| room["beds"].as_array().unwrap()).collect();
    let entries = |id: &str| beds.iter().find(|bed| bed["id"] == id).unwrap()["entries"].as_array().unwrap().clone();
    assert_eq!(entries("d6a-3"), Vec::<Value>::new(), "left before the first night that is shown");
    assert_eq!(
        (entries("d6a-1").len(), &entries("d6a-1")[0]["from"], &entries("d6a-1")[0]["until"]),
        (1, &json!("2027-01-11"), &json!("2027-01-13"))
    );
    assert_eq!(
        (&entries("d6a-5")[0]["kind"], &entries("d6a-5")[0]["reason"]),
        (&json!("block"), &json!("maintenance"))
    );
}

#[test]
fn calendar_says_how_far_the_guests_of_each_stay_are() {
    let mut booking = booking("11111111-2222-5333-8444-555555555555", "Lovelace");
    booking.status = Status::CheckedIn;
    booking.stays[0].progress = Some(StayProgress::CheckedIn);
    booking.stays[1].progress = Some(StayProgress::Expected);
    let (inventory, bookings) = (inventory(), [&booking]);
    let calendar = BedCalendar::of(&inventory, &bookings, &[], Nights::new(date("2027-01-11"), date("2027-01-22")));
    let shown = serde_json::to_value(calendar).unwrap();
    let beds = shown["rooms"].as_array().unwrap().iter().flat_map(|room| room["beds"].as_array().unwrap());
    let bed = beds.into_iter().find(|bed| bed["id"] == "d6a-1").unwrap();
    let states: Vec<_> = bed["entries"].as_array().unwrap().iter().map(|it| (&it["status"], &it["progress"])).collect();
    assert_eq!(
        states,
        [(&json!("checked_in"), &json!("checked_in")), (&json!("checked_in"), &json!("expected"))],
        "of the booking, and of the stay"
    );
}

#[test]
fn each_bed_is_counted_once_a_night() {
    let (inventory, booking, block) =
        (inventory(), booking("11111111-2222-5333-8444-555555555555", "Lovelace"), block());
    let mut occupancy = Occupancy::new(OccupancyGrid::new(Arc::new(inventory), date("2027-01-01")));
    occupancy.block(&block.bed_ids, block.nights());
    occupancy.hold(Holding {
        booking_id: booking.id,
        rev: booking.rev,
        status: booking.status,
        stays: &booking.stays,
        pending: &[],
    });
    let stats = serde_json::to_value(property_stats(&occupancy, Some(date("2027-01-12")))).unwrap();
    let of_type =
        stats["room_types"].as_array().unwrap().iter().find(|one| one["room_type_id"] == "dorm-6-mixed").unwrap();
    let counts =
        ["beds", "occupied", "blocked", "out_of_service", "dirty", "free"].map(|name| of_type[name].as_u64().unwrap());
    assert_eq!(counts, [12, 2, 1, 1, 1, 8]);
    let sum =
        |name: &str| stats["room_types"].as_array().unwrap().iter().map(|one| one[name].as_u64().unwrap()).sum::<u64>();
    for name in ["rooms", "beds", "occupied", "blocked", "out_of_service", "dirty", "free"] {
        assert_eq!(stats[name], json!(sum(name)), "{name}: the property is the sum of its room types");
    }
}
