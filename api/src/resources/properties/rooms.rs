//! Rooms and their beds.

use super::responses::{add, known, made, property_of, shown, worker_of};
use crate::commands::idempotency::IdempotentRequest;
use crate::form;
use crate::form::json::Node;
use crate::form::reader::{Pointer, Reader};
use crate::http::extract::{OfProperty, OptionalIfMatch, PathId, StaffOfProperty};
use crate::http::headers;
use crate::http::middleware::RequestContext;
use crate::http::problem::{self, HandlerResult, Problem};
use crate::http::response::{NoContent, Tagged};
use crate::resources::properties::bed_holds::change_removing_beds;
use crate::resources::properties::change::{self, EditOutcome, PropertyChange};
use crate::state::SharedApp;
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::IntoResponse;
use pvt_domain::ids::{BedId, PropertyId, RoomId, RoomTypeId};
use pvt_domain::inventory::check::MAX_BEDS;
use pvt_domain::inventory::{BedService, Cleanliness, Inventory, Room};
use schemars::JsonSchema;
use serde::Serialize;

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
    fn new(house: &'a Inventory, room: &'a Room) -> Self {
        let beds = room.beds.iter().map(|bed| BedView::new(room, bed)).collect();
        Self {
            property_id: house.property.id.as_str(),
            id: room.id.as_str(),
            room_type_id: room.room_type_id.as_str(),
            beds,
        }
    }
}

fn room_of<'a>(house: &'a Inventory, id: &RoomId) -> Result<&'a Room, Problem> {
    house.rooms.iter().find(|room| room.id == *id).ok_or_else(|| problem::NOT_FOUND.into())
}

/// `GET /api/rooms?property_id=…`: all rooms of a property.
pub(super) async fn list(
    State(app): State<SharedApp>,
    OfProperty(property): OfProperty,
) -> Result<Tagged<Rooms<'static>>, Problem> {
    let inventory = known(&app, &property).await?;
    let items = inventory.rooms.iter().map(|room| RoomView::new(&inventory, room)).collect();
    Ok(Tagged::at(inventory.rev, &Rooms { items }))
}

/// `GET /api/rooms/{id}?property_id=…`.
pub(super) async fn show(
    State(app): State<SharedApp>,
    PathId(id): PathId<RoomId>,
    OfProperty(property): OfProperty,
) -> Result<Tagged<RoomView<'static>>, Problem> {
    let inventory = known(&app, &property).await?;
    Ok(Tagged::at(inventory.rev, &RoomView::new(&inventory, room_of(&inventory, &id)?)))
}

/// `POST /api/rooms`: 201 with the room.
pub(crate) async fn create(State(app): State<SharedApp>, request: Request) -> HandlerResult {
    let (parts, body) = request.into_parts();
    let key = headers::idempotency_key(&parts.headers)?;
    let ((property, room), fingerprint) = form::read(&parts.headers, body, read_new).await?;
    let caller = worker_of(&parts, &property)?;
    let subject = format!("room:{}", room.id);
    let once = IdempotentRequest::begin_audited(&app, &caller, key, fingerprint, &change::subject(&property, &subject))
        .await?;
    let change = PropertyChange {
        property: property.clone(),
        actor: caller.actor(),
        action: "room.create",
        subject,
        expected: None,
        wish: Some(once.id()),
    };
    let (house, new) =
        change.apply(&app, |house| add(&mut house.rooms, &room, &once, |one| one.id == room.id, "/rooms")).await?;
    once.done();
    made(
        house.rev,
        new,
        &format!("/api/rooms/{}?property_id={property}", room.id),
        RoomView::new(&house, room_of(&house, &room.id)?),
    )
}

/// `PUT /api/rooms/{id}?property_id=…` with `room_type_id` and `beds`: beds that are no longer listed leave the house.
pub(crate) async fn replace(State(app): State<SharedApp>, Path(id): Path<String>, request: Request) -> HandlerResult {
    let (parts, body) = request.into_parts();
    let expected = headers::if_match(&parts.headers)?;
    let (property, id) = (property_of(&parts.uri)?, RoomId::new(id));
    let caller = worker_of(&parts, &property)?;
    let ((room_type_id, beds), _) = form::read(&parts.headers, body, |node, reader| {
        let fields = reader.object(node, &Pointer::Root, &["room_type_id", "beds"])?;
        read_room(fields, reader)
    })
    .await?;
    let change = PropertyChange {
        property: property.clone(),
        actor: caller.actor(),
        action: "room.change",
        subject: format!("room:{id}"),
        expected: Some(expected),
        wish: None,
    };
    let (of, becomes) = (id.clone(), (room_type_id.clone(), beds.clone()));
    let leaving = move |house: &Inventory| Ok(leaving(room_of(house, &of)?, Some(&becomes)));
    let of = id.clone();
    let house = change_removing_beds(&app, &RequestContext::of_request(&parts), change, leaving, move |house| {
        let index =
            house.rooms.iter().position(|room| room.id == of).ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
        let room = &mut house.rooms[index];
        room.bed_states.retain(|bed, _| beds.contains(bed));
        (room.room_type_id, room.beds) = (room_type_id.clone(), beds.clone());
        Ok(EditOutcome::ChangedAt(format!("/rooms/{index}")))
    })
    .await?;
    shown(house.rev, RoomView::new(&house, room_of(&house, &id)?))
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
        wish: None,
    };
    let of = id.clone();
    let leaving = move |house: &Inventory| Ok(leaving(room_of(house, &of)?, None));
    change_removing_beds(&app, &context, change, leaving, move |house| {
        house.rooms.retain(|room| room.id != id);
        Ok(EditOutcome::ChangedAt("/rooms".to_owned()))
    })
    .await?;
    Ok(NoContent)
}

/// The beds that nobody may hold when the room gets this type and these beds; `None` is no room at all. Beds of another
/// type are other beds. Beds out of service are given to nobody, and nobody had them when they went.
fn leaving(room: &Room, becomes: Option<&(RoomTypeId, Vec<BedId>)>) -> Vec<BedId> {
    let stays =
        |bed: &BedId| becomes.is_some_and(|(room_type, beds)| *room_type == room.room_type_id && beds.contains(bed));
    room.active_beds().filter(|bed| !stays(bed)).cloned().collect()
}

fn read_new(node: &Node<'_>, reader: &mut Reader) -> Option<(PropertyId, Room)> {
    let fields = reader.object(node, &Pointer::Root, &["property_id", "id", "room_type_id", "beds"])?;
    let (property, id) = (form::text(fields, "property_id", reader), form::text(fields, "id", reader));
    let (room_type_id, beds) = read_room(fields, reader)?;
    Some((property?.into(), Room::new(id?, room_type_id.as_str(), beds)))
}

fn read_room(fields: crate::form::reader::Fields<'_, '_, '_>, reader: &mut Reader) -> Option<(RoomTypeId, Vec<BedId>)> {
    let room_type = form::text(fields, "room_type_id", reader);
    let beds =
        form::items(fields, "beds", MAX_BEDS, reader, |node, at, reader| reader.item_text(node, at).map(BedId::from));
    Some((room_type?.into(), beds?))
}

/// `PATCH /api/beds/{id}?property_id=…` with `service` or `cleanliness`.
pub(crate) async fn change_bed(
    State(app): State<SharedApp>,
    Path(id): Path<String>,
    request: Request,
) -> HandlerResult {
    const SERVICE: [(&str, BedService); 2] =
        [("active", BedService::Active), ("out_of_service", BedService::OutOfService)];
    const CLEANLINESS: [(&str, Cleanliness); 2] = [("clean", Cleanliness::Clean), ("dirty", Cleanliness::Dirty)];
    let (parts, body) = request.into_parts();
    let expected = headers::optional_if_match(&parts.headers)?;
    let (property, id) = (property_of(&parts.uri)?, BedId::new(id));
    let caller = worker_of(&parts, &property)?;
    let ((service, cleanliness), _) = form::read(&parts.headers, body, |node, reader| {
        let fields = reader.object(node, &Pointer::Root, &["service", "cleanliness"])?;
        let service = fields.optional("service").and_then(|field| reader.one_of(field, &SERVICE));
        Some((service, fields.optional("cleanliness").and_then(|field| reader.one_of(field, &CLEANLINESS))))
    })
    .await?;
    let change = PropertyChange {
        property: property.clone(),
        actor: caller.actor(),
        action: "bed.change",
        subject: format!("bed:{id}"),
        expected,
        wish: None,
    };
    let bed = id.clone();
    let leaving = move |house: &Inventory| {
        let room = house.room_of(&bed).ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
        let goes = service == Some(BedService::OutOfService) && room.state_of(&bed).service == BedService::Active;
        Ok(if goes { vec![bed.clone()] } else { Vec::new() })
    };
    let bed = id.clone();
    let house = change_removing_beds(&app, &RequestContext::of_request(&parts), change, leaving, move |house| {
        let index = house
            .rooms
            .iter()
            .position(|room| room.beds.contains(&bed))
            .ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
        let room = &mut house.rooms[index];
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
    let room = house.room_of(&id).ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
    Ok(([(axum::http::header::ETAG, change::etag(house.rev))], Json(BedView::new(room, &id))).into_response())
}
