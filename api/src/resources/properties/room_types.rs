//! Room types: what is sold.

use super::responses::{add, known, made, property_of, shown, worker_of};
use crate::commands::idempotency::IdempotentRequest;
use crate::form;
use crate::form::json::Node;
use crate::form::reader::{Fields, Pointer, Reader};
use crate::http::extract::OfProperty;
use crate::http::headers;
use crate::http::middleware::RequestContext;
use crate::http::problem::{self, HandlerResult, Problem};
use crate::http::response::Tagged;
use crate::resources::properties::bed_holds::change_removing_beds;
use crate::resources::properties::change::{self, EditOutcome, PropertyChange};
use crate::state::SharedApp;
use axum::extract::{Path, Request, State};
use pvt_domain::ids::{PropertyId, RoomTypeId};
use pvt_domain::intake::MAX_GROUP_GUESTS;
use pvt_domain::inventory::{DormGender, Inventory, Room, RoomKind, RoomType};
use schemars::JsonSchema;
use serde::Serialize;

/// Highest minimum age, in years.
const MAX_AGE: i64 = 120;

/// Room types of a property.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Types<'a> {
    items: &'a [RoomType],
}

/// `GET /api/room-types?property_id=…`.
pub(super) async fn list(
    State(app): State<SharedApp>,
    OfProperty(property): OfProperty,
) -> Result<Tagged<Types<'static>>, Problem> {
    let inventory = known(&app, &property).await?;
    Ok(Tagged::at(inventory.rev, &Types { items: &inventory.room_types }))
}

/// `POST /api/room-types`: 201 with the type.
pub(crate) async fn create(State(app): State<SharedApp>, request: Request) -> HandlerResult {
    let (parts, body) = request.into_parts();
    let key = headers::idempotency_key(&parts.headers)?;
    let ((property, new), fingerprint) = form::read(&parts.headers, body, read_new).await?;
    let caller = worker_of(&parts, &property)?;
    let subject = format!("room_type:{}", new.id);
    let once = IdempotentRequest::begin_audited(&app, &caller, key, fingerprint, &change::subject(&property, &subject))
        .await?;
    let change = PropertyChange {
        property: property.clone(),
        actor: caller.actor(),
        action: "room_type.create",
        subject,
        expected: None,
        wish: Some(once.id()),
    };
    let (house, is_new) = change
        .apply(&app, |house| add(&mut house.room_types, &new, &once, |one| one.id == new.id, "/room_types"))
        .await?;
    once.done();
    made(house.rev, is_new, &format!("/api/room-types?property_id={property}"), house.room_type(&new.id))
}

/// `PATCH /api/room-types/{id}?property_id=…`: what is not sent stays; `null` lifts a limit. What a type is sold by
/// never changes.
pub(crate) async fn change(State(app): State<SharedApp>, Path(id): Path<String>, request: Request) -> HandlerResult {
    let (parts, body) = request.into_parts();
    let expected = Some(headers::if_match(&parts.headers)?);
    let (property, id) = (property_of(&parts.uri)?, RoomTypeId::new(id));
    let caller = worker_of(&parts, &property)?;
    let (wish, _) = form::read(&parts.headers, body, read_change).await?;
    let change = PropertyChange {
        property: property.clone(),
        actor: caller.actor(),
        action: "room_type.change",
        subject: format!("room_type:{id}"),
        expected,
        wish: None,
    };
    // Who sleeps in a dorm does not change around those who are promised a bed in it.
    let (of, gender) = (id.clone(), wish.gender);
    let leaving = move |house: &Inventory| {
        let stricter = house
            .room_type(&of)
            .is_some_and(|now| gender.is_some_and(|gender| gender != now.gender && gender != DormGender::Mixed));
        Ok(if stricter { house.rooms_of(&of).flat_map(Room::active_beds).cloned().collect() } else { Vec::new() })
    };
    let of = id.clone();
    let house = change_removing_beds(&app, &RequestContext::of_request(&parts), change, leaving, move |house| {
        let index =
            house.room_types.iter().position(|one| one.id == of).ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
        let kind = &mut house.room_types[index];
        kind.name = wish.name.clone().unwrap_or_else(|| kind.name.clone());
        kind.gender = wish.gender.unwrap_or(kind.gender);
        kind.minimum_age = wish.minimum_age.unwrap_or(kind.minimum_age);
        kind.max_group = wish.max_group.unwrap_or(kind.max_group);
        Ok(EditOutcome::ChangedAt(format!("/room_types/{index}")))
    })
    .await?;
    shown(house.rev, house.room_type(&id))
}

struct TypeChange {
    name: Option<String>,
    gender: Option<DormGender>,
    minimum_age: Option<Option<u8>>,
    max_group: Option<Option<u32>>,
}

fn read_change(node: &Node<'_>, reader: &mut Reader) -> Option<TypeChange> {
    let fields = reader.object(node, &Pointer::Root, &["name", "gender", "minimum_age", "max_group"])?;
    let name = form::optional_text(fields, "name", reader).map(str::to_owned);
    let gender = fields.optional("gender").and_then(|field| reader.one_of(field, &DormGender::ALL));
    let (age, group) = limits(fields, reader);
    Some(TypeChange {
        name,
        gender,
        minimum_age: fields.has("minimum_age").then_some(age),
        max_group: fields.has("max_group").then_some(group),
    })
}

fn read_new(node: &Node<'_>, reader: &mut Reader) -> Option<(PropertyId, RoomType)> {
    let fields = reader.object(
        node,
        &Pointer::Root,
        &["property_id", "id", "name", "kind", "gender", "minimum_age", "max_group"],
    )?;
    let (property, id, name) = (
        form::text(fields, "property_id", reader),
        form::text(fields, "id", reader),
        form::text(fields, "name", reader),
    );
    let kind = reader.required(fields, "kind").and_then(|field| reader.one_of(field, &RoomKind::ALL));
    let gender =
        fields.optional("gender").and_then(|field| reader.one_of(field, &DormGender::ALL)).unwrap_or(DormGender::Mixed);
    let (minimum_age, max_group) = limits(fields, reader);
    Some((property?.into(), RoomType { minimum_age, max_group, ..RoomType::new(id?, name?, kind?, gender) }))
}

fn limits(fields: Fields<'_, '_, '_>, reader: &mut Reader) -> (Option<u8>, Option<u32>) {
    let age = fields
        .optional("minimum_age")
        .and_then(|field| reader.integer(field, 0..=MAX_AGE))
        .and_then(|age| u8::try_from(age).ok());
    let group = fields.optional("max_group").and_then(|field| reader.integer(field, 1..=MAX_GROUP_GUESTS.into()));
    (age, group.and_then(|group| u32::try_from(group).ok()))
}
