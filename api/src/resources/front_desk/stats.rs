//! Bed statistics of a night.

use super::today;
use crate::auth::policy::Caller;
use crate::form::query::QueryFields;
use crate::http::extract::QueryParams;
use crate::http::problem::{self, Problem};
use crate::http::response::Shown;
use crate::state::SharedApp;
use axum::extract::State;
use chrono::{Days, NaiveDate};
use pvt_domain::availability::Occupancy;
use pvt_domain::ids::{PropertyId, RoomTypeId};
use pvt_domain::inventory::{BedService, Cleanliness, Room};
use pvt_domain::nights::Nights;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StatsQuery {
    /// Only this property; all of the caller's by default.
    property_id: Option<String>,
    /// The night; tonight by default.
    #[schemars(with = "Option<NaiveDate>")]
    date: Option<String>,
}

/// By property.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Stats {
    items: Vec<PropertyStats>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "HouseStats")]
pub(super) struct PropertyStats {
    property_id: PropertyId,
    date: NaiveDate,
    #[serde(flatten)]
    beds: BedStats,
    room_types: Vec<TypeStats>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct TypeStats {
    room_type_id: RoomTypeId,
    #[serde(flatten)]
    beds: BedStats,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
struct BedStats {
    rooms: usize,
    beds: usize,
    /// Cannot be sold until further notice.
    out_of_service: usize,
    /// To be cleaned, occupied or not.
    dirty: usize,
    /// Not for sale on this night.
    blocked: usize,
    /// Slept in, or booked to be.
    occupied: usize,
    free: usize,
}

/// `GET /api/rooms/stats`: beds by state and use on a night, tonight unless another is named, at the caller's
/// properties.
pub(super) async fn stats(
    State(app): State<SharedApp>,
    caller: Caller,
    QueryParams(query): QueryParams<StatsQuery>,
) -> Result<Shown<Stats>, Problem> {
    let mut fields = QueryFields::default();
    let date = fields.optional_date("date", query.date.as_deref());
    fields.finish(Some(()))?;
    let known = app.inventory_cache.all();
    let wanted = |id: &PropertyId| query.property_id.as_ref().is_none_or(|wanted| id.as_str() == wanted.as_str());
    let properties: Vec<PropertyId> = known.keys().filter(|id| wanted(id) && caller.is_staff_of(id)).cloned().collect();
    if properties.is_empty() && query.property_id.is_some() {
        return Err(Problem::from(problem::NOT_FOUND));
    }
    let found = app.occupancy.of_all(properties).await?;
    Ok(Shown::new(&Stats { items: found.iter().map(|occupancy| property_stats(occupancy, date)).collect() }))
}

/// One property on one night, tonight unless another is named.
pub(super) fn property_stats(occupancy: &Occupancy, date: Option<NaiveDate>) -> PropertyStats {
    let inventory = occupancy.grid().inventory();
    let date = date.unwrap_or_else(|| today(inventory));
    let blocked = occupancy.blocked_on(date);
    let of_type = |id: &RoomTypeId| count(occupancy, inventory.rooms_of(id), &blocked, date);
    PropertyStats {
        property_id: inventory.property.id.clone(),
        date,
        beds: count(occupancy, inventory.rooms.iter(), &blocked, date),
        room_types: inventory
            .room_types
            .iter()
            .map(|one| TypeStats { room_type_id: one.id.clone(), beds: of_type(&one.id) })
            .collect(),
    }
}

fn count<'a>(
    occupancy: &Occupancy,
    rooms: impl Iterator<Item = &'a Room>,
    blocked: &BTreeSet<usize>,
    date: NaiveDate,
) -> BedStats {
    let view = occupancy.grid();
    let night = view.span(Nights::new(date, date.checked_add_days(Days::new(1)).unwrap_or(date)));
    let mut stats = BedStats::default();
    for room in rooms {
        stats.rooms += 1;
        for bed in &room.beds {
            let state = room.state_of(bed);
            stats.beds += 1;
            stats.dirty += usize::from(state.cleanliness == Cleanliness::Dirty);
            let number = view.bed_number(bed);
            let taken = number.zip(night).is_some_and(|(number, night)| !view.is_free(number, &night));
            if number.is_some_and(|number| blocked.contains(&number)) {
                stats.blocked += 1;
            } else if taken {
                stats.occupied += 1;
            } else if state.service == BedService::OutOfService {
                stats.out_of_service += 1;
            } else {
                stats.free += 1;
            }
        }
    }
    stats
}
