//! A small property for the tests of this crate.

use crate::booking::{Guest, Source, StayRequest};
use crate::commands::RequestBooking;
use crate::ids::BookingId;
use crate::inventory::{
    DEFAULT_CUTOFF, DEFAULT_HOLD_MINUTES, DormGender, ExemptionReason, Inventory, Property, RatePlan, Room, RoomKind,
    RoomType, TaxAmount, TaxRule,
};
use crate::money::Currency;
use crate::timestamp::Timestamp;
use crate::values::rate_plan::Deposit;
use chrono::{DateTime, NaiveDate, NaiveTime};

pub(crate) fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

pub(crate) fn at(text: &str) -> Timestamp {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc().into()
}

pub(crate) fn now() -> Timestamp {
    at("2026-12-01T12:00:00Z")
}

pub(crate) fn stay(room_type: &str, arrival: &str, departure: &str, guests: u32) -> StayRequest {
    StayRequest::new(room_type, date(arrival), date(departure), guests)
}

fn tax(code: &str, rate_ppm: u32, compounds_on: &[&str]) -> TaxRule {
    let compounds_on = compounds_on.iter().map(|code| (*code).to_owned()).collect();
    TaxRule {
        code: code.to_owned(),
        name: code.to_uppercase(),
        names: Default::default(),
        amount: TaxAmount::Percent { rate_ppm, compounds_on },
        included: false,
        valid_from: None,
        valid_until: None,
    }
}

/// A tax of this amount per person and night, for seven nights, from which guests under 18 and business travellers are
/// exempt.
pub(crate) fn city_tax(amount: i64) -> TaxRule {
    let reason = |code: &str, by_guests| ExemptionReason {
        code: code.to_owned(),
        name: code.to_owned(),
        names: Default::default(),
        by_guests,
    };
    let exemptions = vec![reason("business", true), reason("disability", false)];
    let amount = TaxAmount::PersonNight { amount, max_nights: Some(7), exempt_under: Some(18), exemptions };
    TaxRule { amount, ..tax("city", 0, &[]) }
}

fn room(id: &str, room_type: &str, beds: usize) -> Room {
    Room::new(id, room_type, (1..=beds).map(|n| format!("{id}-{n}").as_str().into()).collect())
}

pub(crate) fn sample_inventory() -> Inventory {
    let room_type = |id: &str, kind| RoomType::new(id, id, kind, DormGender::Mixed);
    Inventory {
        property: Property {
            id: "pvt-montreal".into(),
            name: "PVT Montréal".to_owned(),
            address: "1 rue de la Paix".to_owned(),
            time_zone: chrono_tz::America::Toronto,
            currency: Currency::CAD,
            check_in_from: NaiveTime::from_hms_opt(15, 0, 0).unwrap(),
            check_out_until: NaiveTime::from_hms_opt(11, 0, 0).unwrap(),
            business_day_cutoff: DEFAULT_CUTOFF,
            same_day_until: NaiveTime::MIN,
            locales: vec!["fr".to_owned(), "en".to_owned()],
            taxes: vec![
                tax("lodging", 35_000, &[]),
                tax("gst", 50_000, &["lodging"]),
                tax("qst", 99_750, &["lodging"]),
            ],
            hold_minutes: DEFAULT_HOLD_MINUTES,
        },
        room_types: vec![room_type("dorm-6-mixed", RoomKind::Dorm), room_type("private-double", RoomKind::Private)],
        rooms: vec![
            room("a", "dorm-6-mixed", 6),
            room("b", "dorm-6-mixed", 6),
            room("p1", "private-double", 2),
            room("p2", "private-double", 2),
        ],
        rate_plans: vec![plan("standard", None), plan("prepaid", Some(Deposit::Full))],
        cancellation_policies: Vec::new(),
        rev: 0,
    }
}

fn plan(id: &str, deposit: Option<Deposit>) -> RatePlan {
    let nightly = [("dorm-6-mixed".into(), 4_000), ("private-double".into(), 12_000)].into();
    RatePlan {
        id: id.into(),
        name: id.to_owned(),
        names: Default::default(),
        nightly,
        cancellation_policy_id: None,
        deposit,
    }
}

pub(crate) fn request(key: &str, stays: Vec<StayRequest>) -> RequestBooking {
    RequestBooking {
        booking_id: BookingId::derive(None, key, "fingerprint"),
        client: None,
        fingerprint: "fingerprint".to_owned(),
        fingerprint_as_sent: None,
        property_id: "pvt-montreal".into(),
        rate_plan_id: "standard".into(),
        source: Source::Direct,
        stays,
        guest: Guest {
            first_name: "Ada".to_owned(),
            last_name: "Lovelace".to_owned(),
            email: "ada@example.com".to_owned(),
            phone: None,
            locale: None,
        },
        requested_at: now(),
        quote: None,
        override_restrictions: false,
    }
}
