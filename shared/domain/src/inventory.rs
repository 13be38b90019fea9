//! A hostel as it is sold: property, room types, rooms with their beds, and rate plans.

pub mod check;

use crate::ids::{BedId, PolicyId, PropertyId, RatePlanId, RoomId, RoomTypeId};
use crate::money::Currency;
use crate::rates::cancellation::CancellationPolicy;
use crate::rates::deposit::Deposit;
use chrono::{NaiveDate, NaiveTime};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// When a business day ends at a hostel that says nothing else: four in the morning, after the last guests are in.
pub const DEFAULT_CUTOFF: NaiveTime = match NaiveTime::from_hms_opt(4, 0, 0) {
    Some(time) => time,
    None => NaiveTime::MIN,
};

fn default_cutoff() -> NaiveTime {
    DEFAULT_CUTOFF
}

/// How long beds are held at a hostel that says nothing else, in minutes: the least that a page at Stripe lives by
/// itself.
pub const DEFAULT_HOLD_MINUTES: u32 = 30;
/// The shortest and the longest that beds may be held, in minutes.
pub const HOLD_MINUTES: std::ops::RangeInclusive<u32> = 1..=7 * 24 * 60;

fn default_hold() -> u32 {
    DEFAULT_HOLD_MINUTES
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_default_hold(minutes: &u32) -> bool {
    *minutes == DEFAULT_HOLD_MINUTES
}

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
    /// Until when, local time after midnight, the business day of the date before goes on.
    #[serde(default = "default_cutoff")]
    pub business_day_cutoff: NaiveTime,
    /// Languages for guests who named none, first is preferred (`fr`, `en`).
    pub locales: Vec<String>,
    /// Dated tax rules, applied in this order.
    pub taxes: Vec<TaxRule>,
    /// For how long beds are held for who has to pay first, in minutes.
    #[serde(default = "default_hold", skip_serializing_if = "is_default_hold")]
    pub hold_minutes: u32,
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

impl RoomKind {
    /// Every kind with its wire name.
    pub const ALL: [(&'static str, Self); 2] = [("dorm", Self::Dorm), ("private", Self::Private)];
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

impl DormGender {
    /// Every choice with its wire name.
    pub const ALL: [(&'static str, Self); 3] = [("mixed", Self::Mixed), ("female", Self::Female), ("male", Self::Male)];
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
    /// Age in years that every guest must have; absent when anybody may stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_age: Option<u8>,
    /// Most guests of one booking in this type; absent when only the beds limit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_group: Option<u32>,
}

impl RoomType {
    /// A type that anybody may book.
    pub fn new(id: impl Into<RoomTypeId>, name: impl Into<String>, kind: RoomKind, gender: DormGender) -> Self {
        Self { id: id.into(), name: name.into(), kind, gender, minimum_age: None, max_group: None }
    }
}

/// Whether a bed can be sold at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BedService {
    /// It can.
    #[default]
    Active,
    /// It is broken or stored away, until further notice. Beds that are missing for known nights are blocked instead.
    OutOfService,
}

/// Whether a guest can be shown to the bed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cleanliness {
    /// Made for the next guest.
    #[default]
    Clean,
    /// To be cleaned first.
    Dirty,
}

/// What staff know about a bed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BedState {
    /// Whether it can be sold at all.
    #[serde(default)]
    pub service: BedService,
    /// Whether a guest can be shown to it.
    #[serde(default)]
    pub cleanliness: Cleanliness,
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
    /// State of those beds that are not both active and clean.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bed_states: BTreeMap<BedId, BedState>,
}

impl Room {
    /// A room whose beds are all active and clean.
    pub fn new(id: impl Into<RoomId>, room_type_id: impl Into<RoomTypeId>, beds: Vec<BedId>) -> Self {
        Self { id: id.into(), room_type_id: room_type_id.into(), beds, bed_states: BTreeMap::new() }
    }

    /// The state of one of its beds.
    pub fn state_of(&self, bed: &BedId) -> BedState {
        self.bed_states.get(bed).copied().unwrap_or_default()
    }

    /// Its beds that can be sold.
    pub fn active_beds(&self) -> impl Iterator<Item = &BedId> {
        self.beds.iter().filter(|bed| self.state_of(bed).service == BedService::Active)
    }
}

/// A price list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RatePlan {
    /// Unique within the property.
    pub id: RatePlanId,
    /// For people.
    pub name: String,
    /// Price of one night in minor units: per guest in a dorm, per room in a private room type. A type that is not
    /// listed is not sold on this plan.
    pub nightly: BTreeMap<RoomTypeId, i64>,
    /// What cancelling costs; absent means [`CancellationPolicy::standard`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation_policy_id: Option<PolicyId>,
    /// What has to be paid before a booking is confirmed; absent when guests pay on arrival.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deposit: Option<Deposit>,
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
    /// What the plans refer to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cancellation_policies: Vec<CancellationPolicy>,
    /// Counts the changes of this document, so that views and caches know that they are old.
    #[serde(default)]
    pub rev: u64,
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

    /// The policy that a booking on this plan is cancelled by.
    pub fn cancellation_policy(&self, plan: &RatePlan) -> CancellationPolicy {
        let named = plan.cancellation_policy_id.as_ref();
        let found = named.and_then(|id| self.cancellation_policies.iter().find(|policy| policy.id == *id));
        found.cloned().unwrap_or_else(CancellationPolicy::standard)
    }

    /// The room that this bed stands in.
    pub fn room_of(&self, bed: &BedId) -> Option<&Room> {
        self.rooms.iter().find(|room| room.beds.contains(bed))
    }

    /// The most guests one stay in this type can have: the largest private room, or all active beds of a dorm type.
    pub fn capacity(&self, room_type: &RoomType) -> usize {
        let beds = self.rooms_of(&room_type.id).map(|room| room.active_beds().count());
        match room_type.kind {
            RoomKind::Private => beds.max().unwrap_or(0),
            RoomKind::Dorm => beds.sum(),
        }
    }
}
