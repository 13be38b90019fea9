//! Room types: what is sold.

use super::responses::{add, shown_to};
use crate::auth::policy::Caller;
use crate::commands::idempotency::IdempotentRequest;
use crate::form::form;
use crate::form::names::names;
use crate::form::presence::{Presence as _, optional, patch, required};
use crate::form::types::{integer, inventory_id, one_of, text, trimmed};
use crate::http::entity_tags::Revisions;
use crate::http::extract::{Form, IdempotencyKey, IfMatch, OfProperty, PathId, StaffOfProperty};
use crate::http::middleware::RequestContext;
use crate::http::problem::{self, Problem};
use crate::http::response::{Created, Tagged};
use crate::resources::properties::bed_holds::change_removing_beds;
use crate::resources::properties::change::{self, EditOutcome, PropertyChange};
use crate::state::SharedApp;
use axum::extract::State;
use pvt_domain::ids::{PropertyId, RoomTypeId};
use pvt_domain::intake::{MAX_AGE_YEARS, MAX_GROUP_GUESTS, MAX_NAME_CHARS};
use pvt_domain::inventory::{DormGender, Inventory, Names, Room, RoomKind, RoomType};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

/// Room types of a property.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Types<'a> {
    items: &'a [RoomType],
}

/// `GET /api/room-types?property_id=…`.
pub(super) async fn list(
    State(app): State<SharedApp>,
    caller: Caller,
    OfProperty(property): OfProperty,
) -> Result<Tagged<Types<'static>>, Problem> {
    let inventory = shown_to(&app, &caller, &property).await?;
    Ok(Tagged::at(inventory.rev, &Types { items: &inventory.room_types }))
}

/// `POST /api/room-types`: 201 with the type.
pub(super) async fn create(
    State(app): State<SharedApp>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    Form { value: form, fingerprint }: Form<NewRoomTypeForm>,
) -> Result<Created<RoomType>, Problem> {
    let (property, new) = form.into_room_type();
    let caller = caller.staff_of(&property)?;
    let subject = format!("room_type:{}", new.id);
    let once =
        IdempotentRequest::begin_audited(&app, &caller, &key, fingerprint, &change::subject(&property, &subject))
            .await?;
    let change = PropertyChange {
        property: property.clone(),
        actor: caller.actor(),
        action: "room_type.create",
        subject,
        expected: Revisions::Any,
        audit_id: Some(once.id()),
    };
    let (inventory, is_new) = change
        .apply(&app, |inventory| add(&mut inventory.room_types, &new, &once, |one| one.id == new.id, "/room_types"))
        .await?;
    once.done();
    let created = inventory.room_type(&new.id).ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
    Created::at(inventory.rev, is_new, &format!("/api/room-types?property_id={property}"), created)
}

/// `PATCH /api/room-types/{id}?property_id=…`: what is not sent stays; `null` lifts a limit. What a type is sold by
/// never changes.
pub(super) async fn change(
    State(app): State<SharedApp>,
    PathId(id): PathId<RoomTypeId>,
    context: RequestContext,
    IfMatch(expected): IfMatch,
    StaffOfProperty { property, caller }: StaffOfProperty,
    Form { value: form, .. }: Form<RoomTypeChangeForm>,
) -> Result<Tagged<RoomType>, Problem> {
    let change = PropertyChange {
        property: property.clone(),
        actor: caller.actor(),
        action: "room_type.change",
        subject: format!("room_type:{id}"),
        expected,
        audit_id: None,
    };
    // The gender of a dorm does not change around guests who were promised a bed in it.
    let (of, gender) = (id.clone(), form.gender);
    let leaving = move |inventory: &Inventory| {
        let stricter = inventory
            .room_type(&of)
            .is_some_and(|now| gender.is_some_and(|gender| gender != now.gender && gender != DormGender::Mixed));
        Ok(if stricter { inventory.rooms_of(&of).flat_map(Room::active_beds).cloned().collect() } else { Vec::new() })
    };
    let of = id.clone();
    let inventory = change_removing_beds(&app, &context, change, leaving, move |inventory| {
        let index = inventory
            .room_types
            .iter()
            .position(|one| one.id == of)
            .ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
        let kind = &mut inventory.room_types[index];
        kind.name = form.name.clone().unwrap_or_else(|| kind.name.clone());
        kind.names = form.names.clone().unwrap_or_else(|| kind.names.clone());
        kind.gender = form.gender.unwrap_or(kind.gender);
        kind.minimum_age = form.minimum_age.unwrap_or(kind.minimum_age);
        kind.max_group = form.max_group.unwrap_or(kind.max_group);
        Ok(EditOutcome::ChangedAt(format!("/room_types/{index}")))
    })
    .await?;
    let changed = inventory.room_type(&id).ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
    Ok(Tagged::at(inventory.rev, changed))
}

form! {
    /// A new room type.
    pub(crate) struct NewRoomTypeForm {
        property_id: PropertyId = required(text()),
        id: RoomTypeId = required(inventory_id()),
        name: String = required(trimmed(1, MAX_NAME_CHARS)),
        /// By language tag; `name` is for the other languages.
        names: Option<Names> = optional(names()),
        /// A dorm is sold by the bed, a private room as a whole.
        kind: RoomKind = required(one_of(&RoomKind::ALL)),
        gender: Option<DormGender> = optional(one_of(&DormGender::ALL)),
        minimum_age: Option<u8> = optional(integer(0..=MAX_AGE_YEARS.into())),
        max_group: Option<u32> = optional(integer(1..=MAX_GROUP_GUESTS.into())),
    }
    example json!({ "property_id": "pvt-quebec", "id": "dorm-6", "name": "Bed in 6-bed dorm",
        "names": { "fr": "Lit en dortoir de 6" }, "kind": "dorm", "gender": "mixed", "minimum_age": 18 });
}

form! {
    /// A change of a room type: `null` removes a limit.
    pub(crate) struct RoomTypeChangeForm {
        name: Option<String> = optional(trimmed(1, MAX_NAME_CHARS)).not_null(),
        /// All of them, by language tag.
        names: Option<Names> = optional(names()).not_null(),
        gender: Option<DormGender> = optional(one_of(&DormGender::ALL)).not_null(),
        minimum_age: Option<Option<u8>> = patch(integer(0..=MAX_AGE_YEARS.into())),
        max_group: Option<Option<u32>> = patch(integer(1..=MAX_GROUP_GUESTS.into())),
    }
    example json!({ "max_group": 12, "minimum_age": null });
}

impl NewRoomTypeForm {
    fn into_room_type(self) -> (PropertyId, RoomType) {
        let Self { property_id, id, name, names, kind, gender, minimum_age, max_group } = self;
        let gender = gender.unwrap_or(DormGender::Mixed);
        let names = names.unwrap_or_default();
        (property_id, RoomType { names, minimum_age, max_group, ..RoomType::new(id.as_str(), &name, kind, gender) })
    }
}
