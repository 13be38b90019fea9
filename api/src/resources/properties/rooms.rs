//! Rooms and their beds.

use super::responses::{add, shown_to};
use crate::auth::policy::Caller;
use crate::commands::idempotency::IdempotentRequest;
use crate::form::form;
use crate::form::presence::{Presence as _, optional, required};
use crate::form::types::{self, inventory_id, one_of, text};
use crate::http::entity_tags::Revisions;
use crate::http::extract::{Form, IdempotencyKey, IfMatch, OfProperty, OptionalIfMatch, PathId, StaffOfProperty};
use crate::http::middleware::RequestContext;
use crate::http::problem::{self, Problem};
use crate::http::response::{Created, NoContent, Tagged};
use crate::resources::properties::bed_holds::change_removing_beds;
use crate::resources::properties::change::{self, EditOutcome, PropertyChange};
use crate::state::SharedApp;
use axum::extract::State;
use pvt_domain::ids::{BedId, PropertyId, RoomId, RoomTypeId};
use pvt_domain::inventory::check::MAX_BEDS;
use pvt_domain::inventory::{BedService, Cleanliness, Inventory, Room};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

/// A room and its beds.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Room")]
pub(super) struct RoomView<'a> {
    property_id: &'a str,
    id: &'a str,
    room_type_id: &'a str,
    beds: Vec<BedView<'a>>,
}

/// A bed: whether it can be sold, and whether it is clean.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Bed")]
pub(super) struct BedView<'a> {
    id: &'a str,
    service: BedService,
    cleanliness: Cleanliness,
}

/// Rooms of a property.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Rooms<'a> {
    items: Vec<RoomView<'a>>,
}

impl<'a> BedView<'a> {
    fn new(room: &Room, bed: &'a BedId) -> Self {
        let state = room.state_of(bed);
        Self { id: bed.as_str(), service: state.service, cleanliness: state.cleanliness }
    }
}

impl<'a> RoomView<'a> {
    fn new(inventory: &'a Inventory, room: &'a Room) -> Self {
        let beds = room.beds.iter().map(|bed| BedView::new(room, bed)).collect();
        Self {
            property_id: inventory.property.id.as_str(),
            id: room.id.as_str(),
            room_type_id: room.room_type_id.as_str(),
            beds,
        }
    }
}

fn room_of<'a>(inventory: &'a Inventory, id: &RoomId) -> Result<&'a Room, Problem> {
    inventory.rooms.iter().find(|room| room.id == *id).ok_or_else(|| problem::NOT_FOUND.into())
}

/// `GET /api/rooms?property_id=…`: all rooms of a property.
pub(super) async fn list(
    State(app): State<SharedApp>,
    caller: Caller,
    OfProperty(property): OfProperty,
) -> Result<Tagged<Rooms<'static>>, Problem> {
    let inventory = shown_to(&app, &caller, &property).await?;
    let items = inventory.rooms.iter().map(|room| RoomView::new(&inventory, room)).collect();
    Ok(Tagged::at(inventory.rev, &Rooms { items }))
}

/// `GET /api/rooms/{id}?property_id=…`.
pub(super) async fn show(
    State(app): State<SharedApp>,
    caller: Caller,
    PathId(id): PathId<RoomId>,
    OfProperty(property): OfProperty,
) -> Result<Tagged<RoomView<'static>>, Problem> {
    let inventory = shown_to(&app, &caller, &property).await?;
    Ok(Tagged::at(inventory.rev, &RoomView::new(&inventory, room_of(&inventory, &id)?)))
}

/// `POST /api/rooms`: 201 with the room.
pub(super) async fn create(
    State(app): State<SharedApp>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    Form { value: form, fingerprint }: Form<NewRoomForm>,
) -> Result<Created<RoomView<'static>>, Problem> {
    let property = form.property_id;
    let room = Room::new(form.id, form.room_type_id, form.beds);
    let caller = caller.staff_of(&property)?;
    let subject = format!("room:{}", room.id);
    let once =
        IdempotentRequest::begin_audited(&app, &caller, &key, fingerprint, &change::subject(&property, &subject))
            .await?;
    let change = PropertyChange {
        property: property.clone(),
        actor: caller.actor(),
        action: "room.create",
        subject,
        expected: Revisions::Any,
        audit_id: Some(once.id()),
    };
    let (inventory, new) = change
        .apply(&app, |inventory| add(&mut inventory.rooms, &room, &once, |one| one.id == room.id, "/rooms"))
        .await?;
    once.done();
    let location = format!("/api/rooms/{}?property_id={property}", room.id);
    Created::at(inventory.rev, new, &location, &RoomView::new(&inventory, room_of(&inventory, &room.id)?))
}

/// `PUT /api/rooms/{id}?property_id=…` with `room_type_id` and `beds`: beds that are no longer listed are removed.
pub(super) async fn replace(
    State(app): State<SharedApp>,
    PathId(id): PathId<RoomId>,
    context: RequestContext,
    IfMatch(expected): IfMatch,
    StaffOfProperty { property, caller }: StaffOfProperty,
    form: Form<RoomForm>,
) -> Result<Tagged<RoomView<'static>>, Problem> {
    let RoomForm { room_type_id, beds } = form.value;
    let change = PropertyChange {
        property: property.clone(),
        actor: caller.actor(),
        action: "room.change",
        subject: format!("room:{id}"),
        expected,
        audit_id: None,
    };
    let (of, becomes) = (id.clone(), (room_type_id.clone(), beds.clone()));
    let leaving = move |inventory: &Inventory| Ok(leaving(room_of(inventory, &of)?, Some(&becomes)));
    let of = id.clone();
    let inventory = change_removing_beds(&app, &context, change, leaving, move |inventory| {
        let index =
            inventory.rooms.iter().position(|room| room.id == of).ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
        let room = &mut inventory.rooms[index];
        room.bed_states.retain(|bed, _| beds.contains(bed));
        (room.room_type_id, room.beds) = (room_type_id.clone(), beds.clone());
        Ok(EditOutcome::ChangedAt(format!("/rooms/{index}")))
    })
    .await?;
    Ok(Tagged::at(inventory.rev, &RoomView::new(&inventory, room_of(&inventory, &id)?)))
}

/// `DELETE /api/rooms/{id}?property_id=…`: 204, or 409 with the bookings that hold one of its beds.
pub(super) async fn remove(
    State(app): State<SharedApp>,
    PathId(id): PathId<RoomId>,
    context: RequestContext,
    OptionalIfMatch(expected): OptionalIfMatch,
    StaffOfProperty { property, caller }: StaffOfProperty,
) -> Result<NoContent, Problem> {
    let change = PropertyChange {
        property: property.clone(),
        actor: caller.actor(),
        action: "room.delete",
        subject: format!("room:{id}"),
        expected,
        audit_id: None,
    };
    let of = id.clone();
    let leaving = move |inventory: &Inventory| Ok(leaving(room_of(inventory, &of)?, None));
    change_removing_beds(&app, &context, change, leaving, move |inventory| {
        inventory.rooms.retain(|room| room.id != id);
        Ok(EditOutcome::ChangedAt("/rooms".to_owned()))
    })
    .await?;
    Ok(NoContent)
}

/// The beds that must be free when the room gets this type and these beds; `None` deletes the room. A bed whose room
/// changes type counts as removed. Beds out of service are free already: they had to be when they were taken out.
fn leaving(room: &Room, becomes: Option<&(RoomTypeId, Vec<BedId>)>) -> Vec<BedId> {
    let stays =
        |bed: &BedId| becomes.is_some_and(|(room_type, beds)| *room_type == room.room_type_id && beds.contains(bed));
    room.active_beds().filter(|bed| !stays(bed)).cloned().collect()
}

const SERVICE: [(&str, BedService); 2] = [("active", BedService::Active), ("out_of_service", BedService::OutOfService)];
const CLEANLINESS: [(&str, Cleanliness); 2] = [("clean", Cleanliness::Clean), ("dirty", Cleanliness::Dirty)];

form! {
    /// A new room, with its beds.
    pub(crate) struct NewRoomForm {
        property_id: PropertyId = required(text()),
        id: RoomId = required(inventory_id()),
        room_type_id: RoomTypeId = required(text()),
        beds: Vec<BedId> = required(types::list(inventory_id(), MAX_BEDS).at_least(1)),
    }
    example json!({ "property_id": "pvt-quebec", "id": "q1", "room_type_id": "dorm-6", "beds": ["q1-1", "q1-2"] });
}

form! {
    /// The type and the beds of a room.
    pub(crate) struct RoomForm {
        room_type_id: RoomTypeId = required(text()),
        /// Beds that are not listed are removed from the property.
        beds: Vec<BedId> = required(types::list(inventory_id(), MAX_BEDS).at_least(1)),
    }
    example json!({ "room_type_id": "dorm-6", "beds": ["q1-1", "q1-2", "q1-3"] });
}

form! {
    /// The state of a bed.
    pub(crate) struct BedForm {
        service: Option<BedService> = optional(one_of(&SERVICE)).not_null(),
        cleanliness: Option<Cleanliness> = optional(one_of(&CLEANLINESS)).not_null(),
    }
    example json!({ "cleanliness": "dirty" });
}

/// `PATCH /api/beds/{id}?property_id=…` with `service` or `cleanliness`.
pub(super) async fn change_bed(
    State(app): State<SharedApp>,
    PathId(id): PathId<BedId>,
    context: RequestContext,
    OptionalIfMatch(expected): OptionalIfMatch,
    StaffOfProperty { property, caller }: StaffOfProperty,
    form: Form<BedForm>,
) -> Result<Tagged<BedView<'static>>, Problem> {
    let BedForm { service, cleanliness } = form.value;
    let change = PropertyChange {
        property: property.clone(),
        actor: caller.actor(),
        action: "bed.change",
        subject: format!("bed:{id}"),
        expected,
        audit_id: None,
    };
    let bed = id.clone();
    let leaving = move |inventory: &Inventory| {
        let room = inventory.room_of(&bed).ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
        let goes = service == Some(BedService::OutOfService) && room.state_of(&bed).service == BedService::Active;
        Ok(if goes { vec![bed.clone()] } else { Vec::new() })
    };
    let bed = id.clone();
    let inventory = change_removing_beds(&app, &context, change, leaving, move |inventory| {
        let index = inventory
            .rooms
            .iter()
            .position(|room| room.beds.contains(&bed))
            .ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
        let room = &mut inventory.rooms[index];
        let before = room.state_of(&bed);
        let mut state = before;
        (state.service, state.cleanliness) =
            (service.unwrap_or(before.service), cleanliness.unwrap_or(before.cleanliness));
        if state == before {
            return Ok(EditOutcome::Unchanged);
        }
        room.bed_states.insert(bed.clone(), state);
        room.bed_states.retain(|_, state| *state != Default::default());
        Ok(EditOutcome::ChangedAt(format!("/rooms/{index}")))
    })
    .await?;
    let room = inventory.room_of(&id).ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
    Ok(Tagged::at(inventory.rev, &BedView::new(room, &id)))
}
