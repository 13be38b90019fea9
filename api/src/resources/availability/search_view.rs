//! View of a search result.

use super::search_query::SearchQuery;
use crate::resources::availability::nights::is_sold_on;
use chrono::NaiveDate;
use pvt_domain::availability::{Occupancy, Offer, RoomTypeAvailability};
use pvt_domain::booking::Rejection;
use pvt_domain::business_day::{business_date, first_bookable_night};
use pvt_domain::inventory::{DormGender, Property, RoomKind, RoomType};
use pvt_domain::money::Money;
use pvt_domain::rates::restrictions::{RestrictionKind, RestrictionViolation};
use pvt_domain::timestamp::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

/// A property with its room types that match.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FoundProperty", example = example())]
pub(super) struct PropertyView<'a> {
    property_id: &'a str,
    name: &'a str,
    address: &'a str,
    arrival: NaiveDate,
    departure: NaiveDate,
    #[schemars(range(min = 1))]
    guests: u32,
    room_types: Vec<TypeView<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FoundRoomType")]
struct TypeView<'a> {
    room_type_id: &'a str,
    name: &'a str,
    kind: RoomKind,
    gender: DormGender,
    /// Beds of a dorm, or private rooms large enough, on the fullest night.
    units_left: usize,
    /// A request would be confirmed now. It promises nothing: only a booking takes beds.
    bookable: bool,
    /// Why not, where no plan can help.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Rejection>,
    offers: Vec<OfferView<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Offer")]
struct OfferView<'a> {
    rate_plan_id: &'a str,
    name: &'a str,
    bookable: bool,
    /// The nights, before the taxes that are added to them.
    room: Money,
    taxes: Vec<Tax>,
    /// What is charged.
    total: Money,
    /// Restrictions of the plan that the stay would break.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    restrictions: Vec<BrokenRestriction>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct Tax {
    code: String,
    name: String,
    /// `room` contains it: it is not added.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    included: bool,
    amount: Money,
}

/// A restriction of the plan that the stay would break.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct BrokenRestriction {
    kind: RestrictionKind,
    date: NaiveDate,
    /// In nights, or days in advance.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u16>,
}

/// The days that a search depends on.
#[derive(Debug, Clone, Copy)]
struct BookingDays {
    /// The business day.
    booked_on: NaiveDate,
    /// The first night that can be booked.
    first_night: NaiveDate,
}

impl<'a> PropertyView<'a> {
    /// The results of one property at `now`; `None` when it has nothing that was requested.
    pub(super) fn of(occupancy: &'a Occupancy, query: &SearchQuery, now: Timestamp, by_staff: bool) -> Option<Self> {
        let inventory = occupancy.grid().inventory();
        let property = &inventory.property;
        let days = BookingDays {
            booked_on: business_date(property, now),
            first_night: first_bookable_night(property, now, by_staff),
        };
        let room_types = inventory.room_types.iter().filter(|room_type| query.wants_type(room_type));
        let room_types: Vec<TypeView<'a>> =
            room_types.filter_map(|room_type| TypeView::of(occupancy, property, room_type, query, days)).collect();
        (!room_types.is_empty()).then(|| Self {
            property_id: property.id.as_str(),
            name: &property.name,
            address: &property.address,
            arrival: query.nights.arrival,
            departure: query.nights.departure,
            guests: query.guests,
            room_types,
        })
    }
}

impl<'a> TypeView<'a> {
    fn of(
        occupancy: &'a Occupancy,
        property: &Property,
        room_type: &'a RoomType,
        query: &SearchQuery,
        days: BookingDays,
    ) -> Option<Self> {
        let mut found = occupancy.search(&query.stay(room_type), days.booked_on);
        found.offers.retain(|offer| {
            query.rate_plan.as_ref().is_none_or(|plan| offer.plan.id == *plan) && query.wants_price(offer.price.total)
        });
        let reason = reason(occupancy, &found, room_type, query, days.first_night);
        let bookable = reason.is_none() && found.is_bookable();
        if found.offers.is_empty() || (query.bookable_only && !bookable) {
            return None;
        }
        Some(Self {
            room_type_id: room_type.id.as_str(),
            name: room_type.names.in_language(query.language.as_deref(), &room_type.name),
            kind: room_type.kind,
            gender: room_type.gender,
            units_left: found.vacancy.units,
            bookable,
            reason,
            offers: found
                .offers
                .into_iter()
                .map(|offer| OfferView::of(offer, property, reason.is_none(), query.language.as_deref()))
                .collect(),
        })
    }
}

/// What stands in the way whatever the plan.
fn reason(
    occupancy: &Occupancy,
    found: &RoomTypeAvailability<'_>,
    room_type: &RoomType,
    query: &SearchQuery,
    first_night: NaiveDate,
) -> Option<Rejection> {
    let capacity = occupancy.grid().inventory().capacity(room_type);
    if !is_sold_on(query.nights.arrival, first_night) {
        return Some(Rejection::InvalidDates);
    }
    if usize::try_from(query.guests).unwrap_or(usize::MAX) > capacity {
        return Some(Rejection::OverCapacity);
    }
    found.ineligible.or((!found.vacancy.fits).then_some(Rejection::NoAvailability))
}

impl<'a> OfferView<'a> {
    fn of(offer: Offer<'a>, property: &Property, possible: bool, language: Option<&str>) -> Self {
        let money = |amount| Money::new(amount, property.currency);
        let price = offer.price;
        Self {
            rate_plan_id: offer.plan.id.as_str(),
            name: offer.plan.names.in_language(language, &offer.plan.name),
            bookable: possible && offer.violations.is_empty(),
            room: money(price.nights.iter().flatten().sum()),
            total: money(price.total),
            taxes: price
                .taxes
                .into_iter()
                .map(|tax| Tax {
                    name: property.tax_name(&tax, language).to_owned(),
                    code: tax.code,
                    included: tax.included,
                    amount: money(tax.amount),
                })
                .collect(),
            restrictions: offer.violations.into_iter().map(BrokenRestriction::from).collect(),
        }
    }
}

impl From<RestrictionViolation> for BrokenRestriction {
    fn from(RestrictionViolation { date, kind, limit, .. }: RestrictionViolation) -> Self {
        Self { kind, date, limit: (limit > 0).then_some(limit) }
    }
}

fn example() -> Value {
    let money = |amount: i64| json!({ "amount": amount, "currency": "CAD" });
    let offer = json!({
        "rate_plan_id": "standard", "name": "Pay on arrival", "bookable": true, "room": money(8_400),
        "taxes": [{ "code": "gst", "name": "GST", "amount": money(420) }], "total": money(8_820),
    });
    json!({
        "property_id": "pvt-montreal", "name": "PVT Montréal", "address": "1 rue de la Commune, Montréal",
        "arrival": "2027-01-10", "departure": "2027-01-12", "guests": 1,
        "room_types": [{
            "room_type_id": "dorm-6-mixed", "name": "Six-bed dorm", "kind": "dorm", "gender": "mixed", "units_left": 9,
            "bookable": true, "offers": [offer],
        }],
    })
}
