//! A hostel as it is sold: property, room types, rooms with their beds, and rate plans.

use crate::ids::{BedId, PropertyId, RatePlanId, RoomId, RoomTypeId};
use crate::money::Currency;
use chrono::{NaiveDate, NaiveTime};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A hostel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Property {
    /// Its id, used in every other document.
    #[serde(rename = "_id")]
    pub id: PropertyId,
    /// For people.
    pub name: String,
    /// Postal address in one line.
    pub address: String,
    /// Nights and deadlines are dates and times on a wall here.
    pub time_zone: Tz,
    /// What everything here is priced in.
    pub currency: Currency,
    /// From when guests may check in, local time.
    pub check_in_from: NaiveTime,
    /// Until when guests must check out, local time.
    pub check_out_until: NaiveTime,
    /// Languages for guests who named none, first is preferred (`fr`, `en`).
    pub locales: Vec<String>,
    /// Dated tax rules, applied in this order.
    pub taxes: Vec<TaxRule>,
}

/// A tax on nights from `valid_from` (inclusive) until `valid_until` (exclusive).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaxRule {
    /// Short stable name, for example `gst`.
    pub code: String,
    /// For people, for example `GST`.
    pub name: String,
    /// Parts per million of the base: 5 % is 50,000.
    pub rate_ppm: u32,
    /// Codes of earlier rules whose amount belongs to the base; empty means the room alone.
    #[serde(default)]
    pub compounds_on: Vec<String>,
    /// First night the rule applies to; absent means always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<NaiveDate>,
    /// First night the rule no longer applies to; absent means for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<NaiveDate>,
}

impl TaxRule {
    /// Whether the night is taxed by this rule.
    pub fn applies_to(&self, night: NaiveDate) -> bool {
        self.valid_from.is_none_or(|from| night >= from) && self.valid_until.is_none_or(|until| night < until)
    }
}

/// How a room type is sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomKind {
    /// By the room: one stay claims all beds of one room.
    Private,
    /// By the bed.
    Dorm,
}

/// Who may sleep in a dorm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DormGender {
    /// Anybody.
    Mixed,
    /// Women only.
    Female,
    /// Men only.
    Male,
}

/// What is sold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoomType {
    /// Unique within the property.
    pub id: RoomTypeId,
    /// For people.
    pub name: String,
    /// By the room or by the bed.
    pub kind: RoomKind,
    /// Dorms only; private rooms are `mixed`.
    pub gender: DormGender,
}

/// A room and its beds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Room {
    /// Unique within the property.
    pub id: RoomId,
    /// The type it is sold as.
    pub room_type_id: RoomTypeId,
    /// Its beds, in the order in which staff count them.
    pub beds: Vec<BedId>,
}

/// A price list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RatePlan {
    /// Unique within the property.
    pub id: RatePlanId,
    /// For people.
    pub name: String,
    /// Price of one night in minor units: per guest in a dorm, per room in a private room type. A type that is not listed
    /// is not sold on this plan.
    pub nightly: BTreeMap<RoomTypeId, i64>,
}

/// Everything a decision needs to know of one property, apart from who sleeps where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// The hostel.
    pub property: Property,
    /// What is sold.
    pub room_types: Vec<RoomType>,
    /// What is assigned.
    pub rooms: Vec<Room>,
    /// At which prices.
    pub rate_plans: Vec<RatePlan>,
}

impl Inventory {
    /// The room type of this id.
    pub fn room_type(&self, id: &RoomTypeId) -> Option<&RoomType> {
        self.room_types.iter().find(|room_type| room_type.id == *id)
    }

    /// The rate plan of this id.
    pub fn rate_plan(&self, id: &RatePlanId) -> Option<&RatePlan> {
        self.rate_plans.iter().find(|plan| plan.id == *id)
    }

    /// Rooms sold as this type.
    pub fn rooms_of<'a>(&'a self, id: &'a RoomTypeId) -> impl Iterator<Item = &'a Room> {
        self.rooms.iter().filter(move |room| room.room_type_id == *id)
    }

    /// The most guests one stay in this type can have: the largest private room, or all beds of a dorm type.
    pub fn capacity(&self, room_type: &RoomType) -> usize {
        let beds = self.rooms_of(&room_type.id).map(|room| room.beds.len());
        match room_type.kind {
            RoomKind::Private => beds.max().unwrap_or(0),
            RoomKind::Dorm => beds.sum(),
        }
    }
}
