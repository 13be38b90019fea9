//! Properties and what they sell: room types, rooms, beds, blocks, rate plans and cancellation policies.

mod bed_holds;
mod blocks;
mod cancellation_policies;
pub(crate) mod change;
mod edit;
mod rate_plans;
pub(crate) mod responses;
mod room_types;
mod rooms;
pub(crate) mod tax_forms;

use crate::auth::guard::{Endpoint, Resource, at, delete, get, patch, post, put};
use crate::auth::policy::Caller;
use crate::auth::rules::{INVENTORY_ADMIN, INVENTORY_STAFF, OPEN, RATES_ADMIN};
use crate::http::extract::PathId;
use crate::http::pagination::{Page, PageQuery, Paged};
use crate::http::problem::{self, Problem};
use crate::http::response::Tagged;
use crate::resources::properties::rate_plans::PlanView;
use crate::resources::properties::responses::shown_to;
use crate::state::SharedApp;
use axum::extract::State;
use chrono::{NaiveTime, Timelike as _};
use pvt_domain::ids::PropertyId;
use pvt_domain::inventory::{DormGender, Inventory, Names, RoomKind, RoomType, TaxRule};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Value, json};
use std::ops::Bound;

/// Properties.
pub(crate) fn properties() -> Resource {
    Resource {
        name: "Properties",
        about: "Properties: where beds can be booked.",
        routes: vec![
            at(
                "/api/properties",
                [
                    get(OPEN, "list_properties", list).summary("List properties"),
                    creation(
                        post(INVENTORY_ADMIN, "create_property", edit::create)
                            .summary("Create a property, without rooms or rates"),
                    ),
                ],
            ),
            at(
                "/api/properties/{id}",
                [
                    get(OPEN, "show_property", show)
                        .summary("Show a property, what it sells and at which prices")
                        .stored(),
                    change(
                        patch(INVENTORY_ADMIN, "change_property", edit::change)
                            .summary("Change the fields that are sent; currency and time zone never change"),
                    ),
                ],
            ),
        ],
    }
}

/// What a property consists of.
pub(crate) fn inventory() -> Resource {
    Resource {
        name: "Rooms",
        about: "Room types, rooms, beds and blocks. Ids are unique within a property, so each request names it.",
        routes: vec![
            at(
                "/api/room-types",
                [
                    get(OPEN, "list_room_types", room_types::list).summary("List room types of a property").stored(),
                    creation(
                        post(INVENTORY_ADMIN, "create_room_type", room_types::create).summary("Create a room type"),
                    ),
                ],
            ),
            at(
                "/api/room-types/{id}",
                [bed_removal(
                    patch(INVENTORY_ADMIN, "change_room_type", room_types::change)
                        .summary("Change name and limits of a room type")
                        .about("A dorm that becomes women-only or men-only must be free from today on."),
                )],
            ),
            at(
                "/api/rooms",
                [
                    get(OPEN, "list_rooms", rooms::list).summary("List rooms of a property, with their beds").stored(),
                    creation(
                        post(INVENTORY_ADMIN, "create_room", rooms::create).summary("Create a room with its beds"),
                    ),
                ],
            ),
            at(
                "/api/rooms/{id}",
                [
                    get(OPEN, "show_room", rooms::show).summary("Show a room and its beds").stored(),
                    bed_removal(
                        put(INVENTORY_ADMIN, "replace_room", rooms::replace)
                            .summary("Change type and beds of a room")
                            .about(
                                "Beds that are removed must be free from today on; the bookings in the way are listed.",
                            ),
                    ),
                    bed_removal(
                        delete(INVENTORY_ADMIN, "delete_room", rooms::remove)
                            .summary("Delete a room")
                            .about("Its beds must be free from today on; the bookings in the way are listed."),
                    ),
                ],
            ),
            at(
                "/api/beds/{id}",
                [bed_removal(
                    patch(INVENTORY_STAFF, "change_bed", rooms::change_bed)
                        .summary("Set whether a bed can be sold, and whether it is clean")
                        .about("A bed that is taken out of service must be free from today on."),
                )],
            ),
            at(
                "/api/blocks",
                [
                    get(INVENTORY_STAFF, "list_blocks", blocks::list)
                        .summary("List blocks of a property by id")
                        .stored(),
                    post(INVENTORY_STAFF, "create_block", blocks::create)
                        .summary("Block free beds from sale")
                        .about(
                            "A block goes through the property's queue, as bookings do, and never takes a bed that is \
                            booked: the bookings in the way are listed.",
                        )
                        .problems([
                            problem::NOT_FOUND,
                            problem::BED_TAKEN,
                            problem::BED_UNFIT,
                            problem::INVALID_DATES,
                            problem::CLOSED,
                        ])
                        .stored()
                        .queued(),
                ],
            ),
            at(
                "/api/blocks/{id}",
                [delete(INVENTORY_STAFF, "lift_block", blocks::lift)
                    .summary("Lift a block: its beds are for sale again")
                    .problems([problem::CLOSED])
                    .stored()
                    .queued()],
            ),
        ],
    }
}

/// Rates and cancellation policies.
pub(crate) fn rates() -> Resource {
    Resource {
        name: "Rates",
        about: "Rate plans, their calendars, cancellation policies and quotes.",
        routes: vec![
            at(
                "/api/rate-plans",
                [
                    get(OPEN, "list_rate_plans", rate_plans::list).summary("List rate plans of a property").stored(),
                    creation(post(RATES_ADMIN, "create_rate_plan", rate_plans::create).summary("Create a rate plan")),
                ],
            ),
            at(
                "/api/rate-plans/{id}",
                [change(
                    patch(RATES_ADMIN, "change_rate_plan", rate_plans::change)
                        .summary("Change the fields that are sent; `nightly` replaces all prices"),
                )],
            ),
            at(
                "/api/rate-plans/{id}/calendar",
                [
                    get(OPEN, "show_rate_calendar", rate_plans::calendar::show)
                        .summary("Show prices and restrictions of a room type by date")
                        .stored(),
                    change(
                        put(RATES_ADMIN, "set_prices", rate_plans::calendar::set_prices)
                            .summary("Set prices of many dates; null returns to the plan's own"),
                    ),
                ],
            ),
            at(
                "/api/rate-plans/{id}/restrictions",
                [change(
                    put(RATES_ADMIN, "set_restrictions", rate_plans::calendar::set_restrictions)
                        .summary("Replace the restrictions of many dates; an empty object lifts them"),
                )],
            ),
            at(
                "/api/cancellation-policies",
                [
                    get(OPEN, "list_cancellation_policies", cancellation_policies::list)
                        .summary("List cancellation policies of a property")
                        .stored(),
                    creation(
                        post(RATES_ADMIN, "create_cancellation_policy", cancellation_policies::create)
                            .summary("Create a cancellation policy; policies never change"),
                    ),
                ],
            ),
        ],
    }
}

/// Creates a part of an inventory, once.
fn creation(endpoint: Endpoint) -> Endpoint {
    change(endpoint.problems([problem::ALREADY_EXISTS]))
}

/// Changes an inventory, perhaps against others who change it.
fn change(endpoint: Endpoint) -> Endpoint {
    endpoint.problems([problem::NOT_FOUND, problem::PROPERTY_BUSY]).stored()
}

/// Changes an inventory so that beds may leave it, which the property's queue must agree to.
fn bed_removal(endpoint: Endpoint) -> Endpoint {
    change(endpoint)
        .problems([
            problem::BED_TAKEN,
            problem::BED_UNFIT,
            problem::INVALID_DATES,
            problem::CLOSED,
            problem::STILL_PROCESSING,
        ])
        .queued()
}

/// A property.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PropertySummary", example = summary_example())]
struct Summary<'a> {
    id: &'a str,
    name: &'a str,
    address: &'a str,
    /// IANA name, for example America/Toronto.
    time_zone: &'static str,
    currency: &'static str,
    #[schemars(schema_with = "time_of_day")]
    check_in_from: String,
    #[schemars(schema_with = "time_of_day")]
    check_out_until: String,
    links: Links,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct Links {
    #[serde(rename = "self")]
    this: String,
}

/// A property and what it sells.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Property", transform = without_examples)]
pub(crate) struct PropertyView<'a> {
    #[serde(flatten)]
    summary: Summary<'a>,
    #[schemars(schema_with = "time_of_day")]
    business_day_cutoff: String,
    /// Until when guests may book the night that begins; after midnight if it is before `business_day_cutoff`.
    #[schemars(schema_with = "time_of_day")]
    same_day_until: String,
    locales: &'a [String],
    room_types: Vec<RoomTypeView<'a>>,
    rate_plans: Vec<PlanView<'a>>,
    taxes: &'a [TaxRule],
    /// How long beds are held for guests who must pay first.
    #[schemars(range(min = 1))]
    hold_minutes: u32,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct RoomTypeView<'a> {
    id: &'a str,
    name: &'a str,
    /// By language tag; `name` is for the other languages.
    #[serde(skip_serializing_if = "Names::is_empty")]
    names: &'a Names,
    /// A dorm is sold by the bed, a private room as a whole.
    kind: RoomKind,
    gender: DormGender,
    rooms: usize,
    beds: usize,
    /// Most guests of one stay.
    max_guests: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u32>")]
    minimum_age: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    max_group: Option<u32>,
}

/// `GET /api/properties`: all of them by id, a page at a time.
async fn list(State(app): State<SharedApp>, query: PageQuery) -> Result<Paged<Summary<'static>>, Problem> {
    let all = app.inventory_cache.all();
    let from = query.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let found = all
        .range::<str, _>((from, Bound::Unbounded))
        .map(|(_, inventory)| &**inventory)
        .take(query.limit() + 1)
        .collect();
    let key = |inventory: &&Inventory| inventory.property.id.to_string();
    Page::of(found, &query, key).respond("/api/properties", &query, Summary::new)
}

/// `GET /api/properties/{id}`: what it sells and for how much.
async fn show(
    State(app): State<SharedApp>,
    caller: Caller,
    PathId(id): PathId<PropertyId>,
) -> Result<Tagged<PropertyView<'static>>, Problem> {
    let inventory = shown_to(&app, &caller, &id).await?;
    Ok(Tagged::at(inventory.rev, &PropertyView::new(&inventory)))
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
            same_day_until: clock(inventory.property.same_day_until),
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
            names: &room_type.names,
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

/// The example of a summary is none of the whole.
fn without_examples(schema: &mut Schema) {
    schema.remove("examples");
}

fn time_of_day(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]$" })
}

fn summary_example() -> Value {
    json!({
        "id": "pvt-montreal", "name": "PVT Montréal", "address": "1 rue de la Commune, Montréal",
        "time_zone": "America/Toronto", "currency": "CAD",
        "check_in_from": "15:00", "check_out_until": "11:00", "links": { "self": "/api/properties/pvt-montreal" },
    })
}
