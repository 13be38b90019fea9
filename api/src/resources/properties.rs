//! What can be booked, for everybody to see.

pub(crate) mod bed_holds;
pub(crate) mod blocks;
pub(crate) mod cancellation_policies;
pub(crate) mod change;
pub(crate) mod edit;
pub(crate) mod rate_plans;
pub(crate) mod responses;
pub(crate) mod room_types;
pub(crate) mod rooms;

use crate::http::pagination::{Page, PageQuery};
use crate::http::problem::{self, HandlerResult, Problem};
use crate::resources::properties::rate_plans::PlanView;
use crate::resources::properties::responses::shown;
use crate::state::SharedApp;
use axum::extract::{Path, State};
use axum::http::Uri;
use chrono::{NaiveTime, Timelike as _};
use pvt_domain::inventory::{DormGender, Inventory, RoomKind, RoomType, TaxRule};
use serde::Serialize;
use std::ops::Bound;

#[derive(Serialize)]
struct Summary<'a> {
    id: &'a str,
    name: &'a str,
    address: &'a str,
    time_zone: &'static str,
    currency: &'static str,
    check_in_from: String,
    check_out_until: String,
    links: Links,
}

#[derive(Serialize)]
struct Links {
    #[serde(rename = "self")]
    this: String,
}

#[derive(Serialize)]
pub(crate) struct PropertyView<'a> {
    #[serde(flatten)]
    summary: Summary<'a>,
    business_day_cutoff: String,
    locales: &'a [String],
    room_types: Vec<RoomTypeView<'a>>,
    rate_plans: Vec<PlanView<'a>>,
    taxes: &'a [TaxRule],
    /// For how long beds are held for who has to pay first.
    hold_minutes: u32,
}

#[derive(Serialize)]
struct RoomTypeView<'a> {
    id: &'a str,
    name: &'a str,
    /// `dorm` is sold by the bed, `private` by the room.
    kind: RoomKind,
    gender: DormGender,
    rooms: usize,
    beds: usize,
    /// Most guests of one stay.
    max_guests: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum_age: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_group: Option<u32>,
}

/// `GET /api/properties`: all of them by id, a page at a time.
pub(crate) async fn list(State(app): State<SharedApp>, uri: Uri) -> HandlerResult {
    let query = PageQuery::read(&uri)?;
    let all = app.inventory_cache.all();
    let from = query.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let found = all
        .range::<str, _>((from, Bound::Unbounded))
        .map(|(_, inventory)| &**inventory)
        .take(query.limit() + 1)
        .collect();
    Page::of(found, &query, |inventory: &&Inventory| inventory.property.id.to_string()).answer(
        "/api/properties",
        &query,
        Summary::new,
    )
}

/// `GET /api/properties/{id}`: what it sells and for how much.
pub(crate) async fn show(State(app): State<SharedApp>, Path(id): Path<String>) -> HandlerResult {
    let all = app.inventory_cache.all();
    let inventory = all.get(id.as_str()).ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
    shown(inventory.rev, PropertyView::new(inventory))
}

/// A time on the wall.
fn clock(time: NaiveTime) -> String {
    format!("{:02}:{:02}", time.hour(), time.minute())
}

impl<'a> Summary<'a> {
    fn new(inventory: &'a Inventory) -> Self {
        let property = &inventory.property;
        Self {
            id: property.id.as_str(),
            name: &property.name,
            address: &property.address,
            time_zone: property.time_zone.name(),
            currency: property.currency.code(),
            check_in_from: clock(property.check_in_from),
            check_out_until: clock(property.check_out_until),
            links: Links { this: format!("/api/properties/{}", property.id) },
        }
    }
}

impl<'a> PropertyView<'a> {
    fn new(inventory: &'a Inventory) -> Self {
        Self {
            summary: Summary::new(inventory),
            business_day_cutoff: clock(inventory.property.business_day_cutoff),
            locales: &inventory.property.locales,
            room_types: inventory.room_types.iter().map(|room_type| RoomTypeView::new(inventory, room_type)).collect(),
            rate_plans: inventory.rate_plans.iter().map(|plan| PlanView::new(inventory, plan)).collect(),
            taxes: &inventory.property.taxes,
            hold_minutes: inventory.property.hold_minutes,
        }
    }
}

impl<'a> RoomTypeView<'a> {
    fn new(inventory: &'a Inventory, room_type: &'a RoomType) -> Self {
        let rooms = || inventory.rooms_of(&room_type.id);
        Self {
            id: room_type.id.as_str(),
            name: &room_type.name,
            kind: room_type.kind,
            gender: room_type.gender,
            rooms: rooms().count(),
            beds: rooms().map(|room| room.beds.len()).sum(),
            max_guests: inventory.capacity(room_type),
            minimum_age: room_type.minimum_age,
            max_group: room_type.max_group,
        }
    }
}
