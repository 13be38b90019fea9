//! Tape chart: the beds of a property by nights, with bookings, holds, blocks and locks.

use crate::access::SignedIn;
use crate::app::SharedApp;
use crate::assets::CHART_NIGHTS;
use crate::failure::{Failure, page};
use crate::frame::{Choice, Frame};
use crate::pages::moves::is_movable;
use crate::store;
use askama::Template;
use axum::extract::{Query, State};
use axum::response::Html;
use chrono::{Datelike as _, Days, NaiveDate, Utc};
use pvt_domain::block::{Block, BlockKind};
use pvt_domain::booking::{Status, Stay, StayProgress, stay_id};
use pvt_domain::business_day::business_date;
use pvt_domain::ids::BedId;
use pvt_domain::inventory::{BedService, BedState, Cleanliness, Inventory};
use pvt_domain::nights::Nights;
use pvt_stores::StoreError;
use pvt_stores::mongo::occupancy::Occupant;
use serde::Deserialize;
use std::collections::{HashMap, HashSet};

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
struct ChartPage {
    frame: Frame,
    properties: Vec<Choice>,
    property: String,
    lengths: Vec<Choice>,
    chart: Chart,
    earlier: NaiveDate,
    later: NaiveDate,
}

/// The beds of a property on some nights.
#[derive(Debug)]
struct Chart {
    from: NaiveDate,
    nights: u32,
    days: Vec<DayView>,
    /// Column of the business day, from 1, while it is shown.
    today: Option<u32>,
    rooms: Vec<RoomView>,
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
struct RoomView {
    title: String,
    room_type: String,
    beds: Vec<BedView>,
}

#[derive(Debug)]
struct BedView {
    id: String,
    /// The room type as which it is sold.
    sold_as: String,
    /// What staff have set: to be cleaned, out of service.
    notes: Vec<&'static str>,
    entries: Vec<EntryView>,
}

/// Successive nights of a bed that something has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct EntryView {
    /// First column, from 1, and how many.
    column: u32,
    columns: u32,
    /// Class of the style sheet.
    kind: &'static str,
    /// The booking to open.
    booking_id: Option<String>,
    /// Booking, stay and bed, if it can be moved to another bed.
    movable: Option<String>,
    label: String,
    title: String,
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
    let (mongo, id) = (app.mongo.clone(), property.clone());
    let read = store::read_in_turn(&app, &app.charts, async move {
        let Some(inventory) = mongo.inventories().find(&id).await? else { return Ok(None) };
        let today = business_date(&inventory.property, Utc::now().into());
        let first = from.unwrap_or_else(|| moved(today, -i64::try_from(DAYS_BACK).unwrap_or_default()));
        let shown = Nights::new(first, moved(first, i64::from(nights)));
        let bookings = mongo.occupancy().occupants(&id, shown).await?;
        let blocks = mongo.occupancy().blocks_within(&id, shown).await?;
        Ok::<_, StoreError>(Some((inventory, today, shown, bookings, blocks)))
    });
    let none = || Failure::NotFound("There is no such property that you work for.".to_owned());
    let (inventory, today, shown, bookings, blocks) = read.await?.ok_or_else(none)?;
    let chart = Chart::of(&inventory, &bookings, &blocks, shown, today);
    page(&ChartPage {
        frame: Frame::new(&user, format!("Tape chart of {}", inventory.property.name), "/chart"),
        properties: Choice::of_properties(&all, &property),
        property: property.to_string(),
        lengths: CHART_NIGHTS.map(|one| Choice { value: one.to_string(), is_chosen: one == nights }).into(),
        earlier: moved(chart.from, -i64::from(nights)),
        later: moved(chart.from, i64::from(nights)),
        chart,
    })
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

impl Chart {
    fn of(inventory: &Inventory, bookings: &[Occupant], blocks: &[Block], shown: Nights, today: NaiveDate) -> Self {
        let mut entries = entries(bookings, blocks, shown);
        let mut rooms: Vec<RoomView> = Vec::new();
        rooms.extend(inventory.rooms.iter().map(|room| {
            RoomView {
                title: format!("Room {}", room.id),
                room_type: inventory.room_type(&room.room_type_id).map_or_else(String::new, |one| one.name.clone()),
                beds: room
                    .beds
                    .iter()
                    .map(|bed| BedView {
                        id: bed.to_string(),
                        sold_as: room.room_type_id.to_string(),
                        notes: notes(room.state_of(bed)),
                        entries: entries.remove(bed).unwrap_or_default(),
                    })
                    .collect(),
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
fn removed_beds(entries: HashMap<&BedId, Vec<EntryView>>) -> Option<RoomView> {
    let bed = |(bed, entries): (&BedId, Vec<EntryView>)| BedView {
        id: bed.to_string(),
        sold_as: String::new(),
        notes: Vec::new(),
        entries,
    };
    let mut beds: Vec<BedView> = entries.into_iter().map(bed).collect();
    beds.sort_by(|one, other| one.id.cmp(&other.id));
    let title = "Beds that are not in the inventory".to_owned();
    (!beds.is_empty()).then_some(RoomView { title, room_type: String::new(), beds })
}

fn notes(state: BedState) -> Vec<&'static str> {
    let dirty = (state.cleanliness == Cleanliness::Dirty).then_some("dirty");
    let out = (state.service == BedService::OutOfService).then_some("out of service");
    dirty.into_iter().chain(out).collect()
}

/// What has each bed, by bed, in the order of the nights.
fn entries<'a>(bookings: &'a [Occupant], blocks: &'a [Block], shown: Nights) -> HashMap<&'a BedId, Vec<EntryView>> {
    let mut entries: HashMap<&BedId, Vec<EntryView>> = HashMap::new();
    let mut add = |bed: &'a BedId, nights: Nights, entry: &EntryView| {
        if let Some((column, columns)) = columns(nights, shown) {
            entries.entry(bed).or_default().push(EntryView { column, columns, ..entry.clone() });
        }
    };
    for booking in bookings {
        for (index, stay) in booking.stays.iter().enumerate() {
            let entry = of_stay(booking, stay, false);
            for (nights, beds) in stay.parts() {
                for bed in beds {
                    let is_last = nights.departure == stay.departure && is_movable(booking.status, stay);
                    let key = || format!("{}/{}/{bed}", booking.id, stay_id(&booking.stays, index));
                    add(bed, nights, &EntryView { movable: is_last.then(key), ..entry.clone() });
                }
            }
        }
        let own: HashSet<(&BedId, NaiveDate)> = booking.stays.iter().flat_map(Stay::bed_nights).collect();
        for stay in booking.pending_stays() {
            let entry = of_stay(booking, stay, true);
            for (nights, beds) in stay.parts() {
                for bed in beds {
                    runs(nights, |night| !own.contains(&(bed, night))).for_each(|run| add(bed, run, &entry));
                }
            }
        }
    }
    for block in blocks {
        let entry = of_block(block);
        block.bed_ids.iter().for_each(|bed| add(bed, block.nights(), &entry));
    }
    entries.values_mut().for_each(|of_bed| of_bed.sort_by_key(|entry| entry.column));
    entries
}

/// Runs of successive nights that are meant.
fn runs(nights: Nights, is_meant: impl Fn(NaiveDate) -> bool) -> impl Iterator<Item = Nights> {
    let mut runs: Vec<Nights> = Vec::new();
    for night in nights.iter().filter(|night| is_meant(*night)) {
        let end = moved(night, 1);
        match runs.last_mut().filter(|run| run.departure == night) {
            Some(run) => run.departure = end,
            None => runs.push(Nights::new(night, end)),
        }
    }
    runs.into_iter()
}

/// The columns of these nights, as far as they are shown.
fn columns(nights: Nights, shown: Nights) -> Option<(u32, u32)> {
    let (first, end) = (nights.arrival.max(shown.arrival), nights.departure.min(shown.departure));
    let columns = u32::try_from((end - first).num_days()).ok().filter(|columns| *columns > 0)?;
    Some((u32::try_from((first - shown.arrival).num_days()).ok()? + 1, columns))
}

fn of_stay(booking: &Occupant, stay: &Stay, is_pending: bool) -> EntryView {
    let (kind, status) = match (is_pending, booking.status, stay.progress_in(booking.status)) {
        (true, ..) => ("held", "pending change"),
        (false, Status::Held, _) => ("held", "held"),
        (false, _, StayProgress::CheckedIn) => ("checked-in", "checked in"),
        (false, _, StayProgress::CheckedOut) => ("checked-out", "checked out"),
        (false, _, StayProgress::Expected) => ("confirmed", "confirmed"),
    };
    let lock = if stay.locked { ", locked" } else { "" };
    let guest = booking.guest.full_name();
    EntryView {
        column: 1,
        columns: 1,
        kind,
        booking_id: Some(booking.id.to_string()),
        movable: None,
        title: format!("{guest}, {}, {status}{lock}, {} – {}", booking.reference, stay.arrival, stay.departure),
        label: format!("{guest} ({status}{lock})"),
    }
}

fn of_block(block: &Block) -> EntryView {
    let kind = match block.kind {
        BlockKind::OutOfOrder => "out of order",
        BlockKind::Maintenance => "maintenance",
        BlockKind::InternalUse => "internal use",
        BlockKind::Channel => "channel",
    };
    EntryView {
        column: 1,
        columns: 1,
        kind: "block",
        booking_id: None,
        movable: None,
        title: format!("Block: {kind}, {} – {}", block.from, block.until),
        label: format!("Block: {kind}"),
    }
}

#[cfg(test)]
mod tests;
