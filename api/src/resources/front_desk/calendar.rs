//! Bed calendar: every bed of a property with its bookings and blocks.

use super::staffed_inventory;
use crate::auth::policy::Caller;
use crate::form::query::QueryFields;
use crate::http::extract::{PathId, QueryParams};
use crate::http::problem::Problem;
use crate::http::response::Shown;
use crate::resources::availability::range;
use crate::state::SharedApp;
use crate::store_call;
use axum::extract::State;
use chrono::NaiveDate;
use pvt_domain::block::{Block, BlockKind};
use pvt_domain::booking::{Booking, Status, Stay, StayProgress, stay_id};
use pvt_domain::ids::{BedId, BlockId, BookingId, PropertyId};
use pvt_domain::inventory::{BedState, Inventory, Room};
use pvt_domain::nights::Nights;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RangeQuery {
    /// First night.
    #[schemars(with = "NaiveDate")]
    from: Option<String>,
    /// The day after the last night, at most 92 nights later.
    #[schemars(with = "NaiveDate")]
    until: Option<String>,
}

/// The beds of a property.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BedPlan")]
pub(super) struct BedCalendar<'a> {
    property_id: &'a str,
    from: NaiveDate,
    until: NaiveDate,
    rooms: Vec<RoomView<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct RoomView<'a> {
    id: &'a str,
    room_type_id: &'a str,
    beds: Vec<BedView<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct BedView<'a> {
    id: &'a str,
    #[serde(flatten)]
    state: BedState,
    /// By their first night; the guest departs on `until`.
    entries: Vec<Entry<'a>>,
}

/// Nights of one bed, `[from, until)`.
#[derive(Clone, Serialize, JsonSchema)]
#[schemars(inline)]
struct Entry<'a> {
    from: NaiveDate,
    until: NaiveDate,
    #[serde(flatten)]
    by: Occupant<'a>,
}

#[derive(Clone, Serialize, JsonSchema)]
#[schemars(inline)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Occupant<'a> {
    Booking {
        booking_id: BookingId,
        reference: &'a str,
        /// Of the booking.
        status: Status,
        /// How far the guests of this stay are: those of other stays may be further.
        progress: StayProgress,
        guest: String,
        stay: usize,
        stay_id: u32,
        /// Who sleeps in this bed, if the rooming list says so.
        #[serde(skip_serializing_if = "Option::is_none")]
        sleeper: Option<String>,
        locked: bool,
    },
    Block {
        block_id: BlockId,
        reason: BlockKind,
    },
}

/// `GET /api/properties/{id}/calendar?from=…&until=…`: at most 92 nights.
pub(super) async fn calendar(
    State(app): State<SharedApp>,
    PathId(id): PathId<PropertyId>,
    caller: Caller,
    QueryParams(query): QueryParams<RangeQuery>,
) -> Result<Shown<BedCalendar<'static>>, Problem> {
    let inventory = staffed_inventory(&app, &caller, id).await?;
    let mut fields = QueryFields::default();
    let nights = range(&mut fields, query.from.as_deref(), query.until.as_deref());
    let nights = fields.finish(nights)?;
    let (mongo, property) = (app.mongo.clone(), inventory.property.id.clone());
    let (bookings, blocks) = store_call::read(async move {
        Ok((
            mongo.bookings().occupants(&property, nights).await?,
            mongo.occupancy().blocks_within(&property, nights).await?,
        ))
    })
    .await?;
    let bookings: Vec<&Booking> = bookings.values().collect();
    Ok(Shown::new(&BedCalendar::of(&inventory, &bookings, &blocks, nights)))
}

impl<'a> BedCalendar<'a> {
    /// The property on these nights.
    pub(super) fn of(inventory: &'a Inventory, bookings: &[&'a Booking], blocks: &'a [Block], nights: Nights) -> Self {
        let mut entries = entries(bookings, blocks, nights);
        let rooms = inventory.rooms.iter().map(|room| RoomView::of(room, &mut entries)).collect();
        Self { property_id: inventory.property.id.as_str(), from: nights.arrival, until: nights.departure, rooms }
    }
}

fn entries<'a>(bookings: &[&'a Booking], blocks: &'a [Block], shown: Nights) -> HashMap<&'a BedId, Vec<Entry<'a>>> {
    let mut entries: HashMap<&BedId, Vec<Entry<'a>>> = HashMap::new();
    let mut add = |bed: &'a BedId, nights: Nights, by: &Occupant<'a>| {
        if nights.arrival < shown.departure && shown.arrival < nights.departure {
            entries.entry(bed).or_default().push(Entry {
                from: nights.arrival,
                until: nights.departure,
                by: by.clone(),
            });
        }
    };
    for booking in bookings {
        for (index, stay) in booking.stays.iter().enumerate() {
            let guest = booking.guest.full_name();
            let stay_id = stay_id(&booking.stays, index);
            for (bed, nights) in parts(stay) {
                let by = Occupant::Booking {
                    booking_id: booking.id,
                    reference: &booking.reference,
                    status: booking.status,
                    progress: booking.progress_of(stay),
                    guest: guest.clone(),
                    stay: index,
                    stay_id,
                    sleeper: booking.sleeper(stay_id, bed, nights.arrival),
                    locked: stay.locked,
                };
                add(bed, nights, &by);
            }
        }
    }
    for block in blocks {
        let by = Occupant::Block { block_id: block.id, reason: block.kind };
        block.bed_ids.iter().for_each(|bed| add(bed, block.nights(), &by));
    }
    entries.values_mut().for_each(|of_bed| of_bed.sort_unstable_by_key(|entry| entry.from));
    entries
}

/// Each bed of a stay with the nights that it is slept in.
fn parts(stay: &Stay) -> impl Iterator<Item = (&BedId, Nights)> {
    stay.parts().flat_map(|(nights, beds)| beds.iter().map(move |bed| (bed, nights)))
}

impl<'a> RoomView<'a> {
    fn of(room: &'a Room, entries: &mut HashMap<&'a BedId, Vec<Entry<'a>>>) -> Self {
        let bed = |bed: &'a BedId| BedView {
            id: bed.as_str(),
            state: room.state_of(bed),
            entries: entries.remove(bed).unwrap_or_default(),
        };
        Self {
            id: room.id.as_str(),
            room_type_id: room.room_type_id.as_str(),
            beds: room.beds.iter().map(bed).collect(),
        }
    }
}
