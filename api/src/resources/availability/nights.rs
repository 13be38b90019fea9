//! Availability by night: of one room, or of a room type for a month with its prices and restrictions.

use crate::auth::policy::Caller;
use crate::form::query::QueryFields;
use crate::form::reader::is_rfc3339_date;
use crate::http::extract::{PathId, QueryParams, VerifiedCaller};
use crate::http::problem::{self, Problem};
use crate::http::response::Shown;
use crate::state::SharedApp;
use axum::extract::State;
use chrono::{Days, Months, NaiveDate, Utc};
use pvt_domain::availability::Occupancy;
use pvt_domain::booking::StayRequest;
use pvt_domain::business_day::first_bookable_night;
use pvt_domain::ids::{PropertyId, RatePlanId, RoomTypeId};
use pvt_domain::intake::MAX_DAYS_AHEAD;
use pvt_domain::inventory::RatePlan;
use pvt_domain::money::Money;
use pvt_domain::nights::Nights;
use pvt_domain::pricing::stay_amounts;
use pvt_domain::rates::restrictions::Restriction;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Most nights of one answer.
const MAX_NIGHTS_SHOWN: i64 = 92;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RoomQuery {
    /// The property of the room.
    #[schemars(with = "String")]
    property_id: Option<String>,
    /// First night.
    #[schemars(with = "NaiveDate")]
    from: Option<String>,
    /// The day after the last night, at most 92 nights later.
    #[schemars(with = "NaiveDate")]
    until: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MonthQuery {
    /// The property of the room type.
    #[schemars(with = "String")]
    property_id: Option<String>,
    /// The rate plan of prices and restrictions; the first plan that sells the type by default.
    rate_plan_id: Option<String>,
    /// The month.
    #[schemars(
        with = "String",
        extend("pattern" = "^[0-9]{4}-(0[1-9]|1[0-2])$", "examples" = ["2027-01"])
    )]
    month: Option<String>,
}

/// The nights of a room.
#[derive(Serialize, JsonSchema)]
pub(super) struct RoomNights<'a> {
    property_id: &'a str,
    room_id: &'a str,
    room_type_id: &'a str,
    beds: usize,
    nights: Vec<RoomNight>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct RoomNight {
    date: NaiveDate,
    free_beds: usize,
}

/// The days of a room type.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RoomTypeMonth")]
pub(super) struct Month<'a> {
    property_id: &'a str,
    room_type_id: &'a str,
    /// The plan of these prices; null when no plan sells the type.
    rate_plan_id: Option<&'a str>,
    #[schemars(length(min = 7, max = 7))]
    month: String,
    days: Vec<Day<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct Day<'a> {
    date: NaiveDate,
    /// Beds of a dorm, or whole private rooms.
    units_left: usize,
    /// One night before the taxes that are added: per guest in a dorm, per room in a private room type.
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restrictions: Option<&'a Restriction>,
}

/// Whether a stay may begin on this date at all; `first` is the first that can be booked.
pub(super) fn is_sold_on(date: NaiveDate, first: NaiveDate) -> bool {
    first <= date && date <= first.checked_add_days(Days::new(MAX_DAYS_AHEAD)).unwrap_or(NaiveDate::MAX)
}

/// `GET /api/rooms/{id}/availability?property_id=…&from=…&until=…`: the free beds of a room, night by night.
pub(super) async fn room(
    State(app): State<SharedApp>,
    PathId(id): PathId<String>,
    VerifiedCaller(caller): VerifiedCaller,
    QueryParams(query): QueryParams<RoomQuery>,
) -> Result<Shown<RoomNights<'static>>, Problem> {
    let mut fields = QueryFields::default();
    let property = property_id(&mut fields, query.property_id);
    let nights = range(&mut fields, query.from.as_deref(), query.until.as_deref());
    let (property, nights) = fields.finish(property.zip(nights))?;
    let occupancy = occupancy(&app, &property).await?;
    let first = first_night(&occupancy, &caller);
    let view = RoomNights::of(&occupancy, &id, nights, first).ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
    Ok(Shown::new(&view))
}

impl<'a> RoomNights<'a> {
    /// Those of this room, if there is one of that name. Nights before `first` are not sold any more.
    pub(super) fn of(occupancy: &'a Occupancy, id: &str, nights: Nights, first: NaiveDate) -> Option<Self> {
        let inventory = occupancy.grid().inventory();
        let room = inventory.rooms.iter().find(|room| room.id.as_str() == id)?;
        let night = |(date, free)| RoomNight { date, free_beds: if is_sold_on(date, first) { free } else { 0 } };
        Some(Self {
            property_id: inventory.property.id.as_str(),
            room_id: room.id.as_str(),
            room_type_id: room.room_type_id.as_str(),
            beds: room.beds.len(),
            nights: occupancy.free_beds(room, nights).into_iter().map(night).collect(),
        })
    }
}

/// `GET /api/room-types/{id}/calendar?property_id=…&month=2027-01`: a month of a room type on one rate plan, the first
/// that sells it unless another is named.
pub(super) async fn room_type(
    State(app): State<SharedApp>,
    PathId(id): PathId<RoomTypeId>,
    VerifiedCaller(caller): VerifiedCaller,
    QueryParams(query): QueryParams<MonthQuery>,
) -> Result<Shown<Month<'static>>, Problem> {
    let mut fields = QueryFields::default();
    let property = property_id(&mut fields, query.property_id);
    let first = query
        .month
        .map(|month| format!("{month}-01"))
        .filter(|day| is_rfc3339_date(day))
        .and_then(|day| day.parse().ok());
    if first.is_none() {
        fields.violation("`month` takes a month such as 2027-01");
    }
    let (property, first): (_, NaiveDate) = fields.finish(property.zip(first))?;
    let occupancy = occupancy(&app, &property).await?;
    let plan = query.rate_plan_id.map(RatePlanId::new);
    let first_night = first_night(&occupancy, &caller);
    let view = Month::of(&occupancy, &id, plan.as_ref(), first, first_night)
        .ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
    Ok(Shown::new(&view))
}

impl<'a> Month<'a> {
    /// The month that begins on `first`, if the plan that is named sells the type. Nights before `first_night` are not
    /// sold any more.
    pub(super) fn of(
        occupancy: &'a Occupancy,
        room_type: &RoomTypeId,
        plan: Option<&RatePlanId>,
        first: NaiveDate,
        first_night: NaiveDate,
    ) -> Option<Self> {
        let inventory = occupancy.grid().inventory();
        let known = inventory.room_type(room_type)?;
        let sells = |plan: &&RatePlan| plan.nightly.contains_key(room_type);
        let plan = match plan {
            Some(plan) => Some(inventory.rate_plan(plan).filter(sells)?),
            None => inventory.rate_plans.iter().find(sells),
        };
        let nights = Nights::new(first, first.checked_add_months(Months::new(1)).unwrap_or(first));
        Some(Self {
            property_id: inventory.property.id.as_str(),
            room_type_id: known.id.as_str(),
            rate_plan_id: plan.map(|plan| plan.id.as_str()),
            month: first.format("%Y-%m").to_string(),
            days: days(occupancy, room_type, plan, nights, first_night),
        })
    }
}

fn days<'a>(
    occupancy: &'a Occupancy,
    room_type: &RoomTypeId,
    plan: Option<&RatePlan>,
    nights: Nights,
    first_night: NaiveDate,
) -> Vec<Day<'a>> {
    let (inventory, rates) = (occupancy.grid().inventory(), occupancy.grid().rates());
    let one_guest = StayRequest::new(room_type.as_str(), nights.arrival, nights.departure, 1);
    let amounts = plan.and_then(|plan| stay_amounts(inventory, rates, plan, &one_guest)).unwrap_or_default();
    let calendar = plan.and_then(|plan| rates.calendar(&plan.id, room_type));
    let free = occupancy.free_units(room_type, nights).into_iter().enumerate();
    free.map(|(index, (date, free))| Day {
        date,
        units_left: if is_sold_on(date, first_night) { free } else { 0 },
        price: amounts.get(index).map(|amount| Money::new(*amount, inventory.property.currency)),
        restrictions: calendar.and_then(|calendar| calendar.restrictions.get(&date)),
    })
    .collect()
}

fn property_id(fields: &mut QueryFields, text: Option<String>) -> Option<PropertyId> {
    if text.is_none() {
        fields.violation("`property_id` is missing; GET /api/properties lists them");
    }
    text.map(PropertyId::new)
}

/// `from` and `until`, the latter excluded.
pub(crate) fn range(fields: &mut QueryFields, from: Option<&str>, until: Option<&str>) -> Option<Nights> {
    let (from, until) = (fields.date("from", from), fields.date("until", until));
    let nights = Nights::new(from?, until?);
    if !(1..=MAX_NIGHTS_SHOWN).contains(&nights.count()) {
        fields.violation(format!("`until` takes a date 1 to {MAX_NIGHTS_SHOWN} days after `from`"));
    }
    Some(nights)
}

/// The occupancy of a property. Only known properties are looked for, so that no caller fills the cache with others.
pub(crate) async fn occupancy(app: &SharedApp, property: &PropertyId) -> Result<Arc<Occupancy>, Problem> {
    let known = app.inventory_cache.all().contains_key(property);
    let found = if known { app.occupancy.of(property).await? } else { None };
    found.ok_or_else(|| problem::NOT_FOUND.into())
}

/// The first night that this caller may book now.
fn first_night(occupancy: &Occupancy, caller: &Caller) -> NaiveDate {
    let property = &occupancy.grid().inventory().property;
    first_bookable_night(property, Utc::now().into(), caller.is_staff_of(&property.id))
}
