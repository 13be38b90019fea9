//! Tape chart: the beds of a property by nights, with bookings, holds, blocks and locks.

mod entry;

use crate::access::SignedIn;
use crate::app::SharedApp;
use crate::assets::CHART_NIGHTS;
use crate::failure::{Failure, large_page};
use crate::frame::{Choice, Frame};
use crate::store;
use askama::Template;
use axum::extract::{Query, State};
use axum::response::Html;
use chrono::{Datelike as _, Days, NaiveDate, Utc};
use entry::{Entry, entries};
use pvt_domain::block::Block;
use pvt_domain::business_day::business_date;
use pvt_domain::ids::BedId;
use pvt_domain::inventory::{BedService, BedState, Cleanliness, Inventory};
use pvt_domain::nights::Nights;
use pvt_stores::StoreError;
use pvt_stores::mongo::occupancy::Occupant;
use serde::Deserialize;
use std::collections::HashMap;

/// Bytes of a page without entries, and of an entry.
const CHART_SIZE: usize = 64 * 1024;
const ENTRY_SIZE: usize = 320;
/// Nights before today with which the chart begins by default.
const DAYS_BACK: u64 = 2;

#[derive(Deserialize)]
pub(crate) struct ChartQuery {
    property: Option<String>,
    from: Option<String>,
    nights: Option<String>,
}

#[derive(Template)]
#[template(path = "chart.html")]
struct ChartPage<'a> {
    frame: Frame,
    properties: Vec<Choice>,
    property: String,
    lengths: Vec<Choice>,
    chart: Chart<'a>,
    earlier: NaiveDate,
    later: NaiveDate,
}

/// The beds of a property on some nights.
#[derive(Debug)]
struct Chart<'a> {
    from: NaiveDate,
    nights: u32,
    days: Vec<DayView>,
    /// Column of the business day, from 1, while it is shown.
    today: Option<u32>,
    rooms: Vec<RoomView<'a>>,
}

#[derive(Debug)]
struct DayView {
    column: u32,
    day: u32,
    weekday: String,
    date: NaiveDate,
    is_today: bool,
    is_weekend: bool,
}

#[derive(Debug)]
struct RoomView<'a> {
    title: String,
    room_type: &'a str,
    beds: Vec<BedView<'a>>,
}

#[derive(Debug)]
struct BedView<'a> {
    id: &'a BedId,
    /// The room type as which it is sold; empty where it is not any more.
    sold_as: &'a str,
    /// What staff have set: to be cleaned, out of service.
    notes: Vec<&'static str>,
    entries: Vec<Entry<'a>>,
}

/// `GET /chart?property=&from=&nights=`.
pub(crate) async fn show(
    State(app): State<SharedApp>,
    user: SignedIn,
    Query(query): Query<ChartQuery>,
) -> Result<Html<String>, Failure> {
    let nights = length(query.nights.as_deref())?;
    let from = query.from.as_deref().filter(|from| !from.is_empty()).map(str::parse::<NaiveDate>).transpose();
    let from = from.map_err(|_| Failure::Invalid("Write the first night as 2027-01-31.".to_owned()))?;
    let (property, all) = user.property(&app, query.property.as_deref()).await?;
    let mongo = app.mongo.clone();
    let read = store::read_in_turn(&app, &app.charts, async move {
        let Some(inventory) = mongo.inventories().find(&property).await? else { return Ok(None) };
        let today = business_date(&inventory.property, Utc::now().into());
        let first = from.unwrap_or_else(|| moved(today, -i64::try_from(DAYS_BACK).unwrap_or_default()));
        let shown = Nights::new(first, moved(first, i64::from(nights)));
        let bookings = mongo.occupancy().occupants(&property, shown).await?;
        let blocks = mongo.occupancy().blocks_within(&property, shown).await?;
        // Drawn before the place is free again: so many bookings are in memory for as many charts as there are places.
        let chart = Chart::of(&inventory, &bookings, &blocks, shown, today);
        let size = CHART_SIZE + chart.entries() * ENTRY_SIZE;
        let page = ChartPage {
            frame: Frame::new(&user, format!("Tape chart of {}", inventory.property.name), "/chart"),
            properties: Choice::of_properties(&all, &property),
            property: property.to_string(),
            lengths: CHART_NIGHTS.map(|one| Choice { value: one.to_string(), is_chosen: one == nights }).into(),
            earlier: moved(chart.from, -i64::from(nights)),
            later: moved(chart.from, i64::from(nights)),
            chart,
        };
        Ok::<_, StoreError>(Some(large_page(&page, size)))
    });
    let none = || Failure::NotFound("There is no such property that you work for.".to_owned());
    read.await?.ok_or_else(none)?
}

/// The number of nights, one of those that the style sheet has columns for.
fn length(named: Option<&str>) -> Result<u32, Failure> {
    let [shortest, ..] = CHART_NIGHTS;
    let Some(named) = named.filter(|named| !named.is_empty()) else { return Ok(shortest) };
    let known = CHART_NIGHTS.into_iter().find(|nights| nights.to_string() == named);
    known.ok_or_else(|| Failure::Invalid("The chart shows 14, 30, 60 or 92 nights.".to_owned()))
}

fn moved(date: NaiveDate, days: i64) -> NaiveDate {
    let distance = Days::new(days.unsigned_abs());
    let moved = if days < 0 { date.checked_sub_days(distance) } else { date.checked_add_days(distance) };
    moved.unwrap_or(date)
}

impl<'a> Chart<'a> {
    fn of(
        inventory: &'a Inventory,
        bookings: &'a [Occupant],
        blocks: &'a [Block],
        shown: Nights,
        today: NaiveDate,
    ) -> Self {
        let mut entries = entries(bookings, blocks, shown);
        let mut rooms: Vec<RoomView<'a>> = Vec::new();
        rooms.extend(inventory.rooms.iter().map(|room| {
            let bed = |bed: &'a BedId| BedView {
                id: bed,
                sold_as: room.room_type_id.as_str(),
                notes: notes(room.state_of(bed)),
                entries: entries.remove(bed).unwrap_or_default(),
            };
            RoomView {
                title: format!("Room {}", room.id),
                room_type: inventory.room_type(&room.room_type_id).map_or("", |one| one.name.as_str()),
                beds: room.beds.iter().map(bed).collect(),
            }
        }));
        rooms.extend(removed_beds(entries));
        let column = |date: NaiveDate| u32::try_from((date - shown.arrival).num_days() + 1).unwrap_or(1);
        Self {
            from: shown.arrival,
            nights: u32::try_from(shown.count()).unwrap_or_default(),
            days: shown.iter().map(|date| DayView::of(date, column(date), today)).collect(),
            today: (shown.arrival <= today && today < shown.departure).then(|| column(today)),
            rooms,
        }
    }

    /// The number of its entries.
    fn entries(&self) -> usize {
        self.rooms.iter().flat_map(|room| &room.beds).map(|bed| bed.entries.len()).sum()
    }
}

impl DayView {
    fn of(date: NaiveDate, column: u32, today: NaiveDate) -> Self {
        let weekday = date.weekday();
        Self {
            column,
            day: date.day(),
            weekday: weekday.to_string(),
            date,
            is_today: date == today,
            is_weekend: weekday.num_days_from_monday() >= 5,
        }
    }
}

/// Beds that the inventory has no more, and that something has still.
fn removed_beds<'a>(entries: HashMap<&'a BedId, Vec<Entry<'a>>>) -> Option<RoomView<'a>> {
    let bed = |(id, entries)| BedView { id, sold_as: "", notes: Vec::new(), entries };
    let mut beds: Vec<BedView<'a>> = entries.into_iter().map(bed).collect();
    beds.sort_by_key(|bed| bed.id);
    let title = "Beds that are not in the inventory".to_owned();
    (!beds.is_empty()).then_some(RoomView { title, room_type: "", beds })
}

fn notes(state: BedState) -> Vec<&'static str> {
    let dirty = (state.cleanliness == Cleanliness::Dirty).then_some("dirty");
    let out = (state.service == BedService::OutOfService).then_some("out of service");
    dirty.into_iter().chain(out).collect()
}

#[cfg(test)]
mod tests;
