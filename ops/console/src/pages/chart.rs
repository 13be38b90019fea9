//! Tape chart: the beds of a property by nights, with bookings, holds, blocks and locks.

use crate::access::SignedIn;
use crate::app::SharedApp;
use crate::assets::CHART_NIGHTS;
use crate::failure::{Failure, page};
use crate::frame::{Choice, Frame};
use crate::store;
use askama::Template;
use axum::extract::{Query, State};
use axum::response::Html;
use chrono::{Datelike as _, Days, NaiveDate, Utc};
use pvt_domain::block::{Block, BlockKind};
use pvt_domain::booking::{Status, Stay, StayProgress};
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
    let bed = |(bed, entries): (&BedId, Vec<EntryView>)| BedView { id: bed.to_string(), notes: Vec::new(), entries };
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
        for stay in &booking.stays {
            let entry = of_stay(booking, stay, false);
            stay.parts().for_each(|(nights, beds)| beds.iter().for_each(|bed| add(bed, nights, &entry)));
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
        title: format!("Block: {kind}, {} – {}", block.from, block.until),
        label: format!("Block: {kind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Chart, Nights, Occupant, columns, length};
    use chrono::NaiveDate;
    use pvt_domain::block::Block;
    use pvt_domain::demo;
    use serde_json::{Value, json};

    fn nights(arrival: &str, departure: &str) -> Nights {
        Nights::new(arrival.parse::<NaiveDate>().unwrap(), departure.parse().unwrap())
    }

    #[test]
    fn stays_are_cut_to_the_nights_that_are_shown() {
        let shown = nights("2027-01-10", "2027-01-24");
        assert_eq!(columns(nights("2027-01-10", "2027-01-11"), shown), Some((1, 1)));
        assert_eq!(columns(nights("2027-01-08", "2027-01-12"), shown), Some((1, 2)));
        assert_eq!(columns(nights("2027-01-23", "2027-02-01"), shown), Some((14, 1)));
        assert_eq!(columns(nights("2027-01-01", "2027-01-10"), shown), None);
        assert_eq!(columns(nights("2027-01-24", "2027-01-25"), shown), None);
    }

    fn stay(arrival: &str, departure: &str, bed: &str) -> Value {
        json!({ "room_type_id": "dorm-6-mixed", "arrival": arrival, "departure": departure, "guests": 1,
            "assigned_beds": [bed] })
    }

    fn with(mut stay: Value, name: &str, value: Value) -> Value {
        stay[name] = value;
        stay
    }

    fn booking(status: &str, stays: Value, pending: Value) -> Occupant {
        let id = uuid::Uuid::from_u128(7);
        let mut booking = json!({ "_id": id, "reference": "PVT-1", "status": status, "stays": stays,
            "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "" } });
        if pending.is_array() {
            booking["pending_change"] = json!({ "stays": pending });
        }
        serde_json::from_value(booking).unwrap()
    }

    /// Bed, first column, columns, class and label of each entry, from the 10th of January on.
    fn drawn(bookings: &[Occupant], blocks: &[Block]) -> Vec<(String, u32, u32, &'static str, String)> {
        let shown = nights("2027-01-10", "2027-01-24");
        let chart = Chart::of(&demo::inventory(), bookings, blocks, shown, shown.arrival);
        let beds = chart.rooms.into_iter().flat_map(|room| room.beds);
        beds.flat_map(|bed| {
            let entry =
                |entry: super::EntryView| (bed.id.clone(), entry.column, entry.columns, entry.kind, entry.label);
            bed.entries.into_iter().map(entry).collect::<Vec<_>>()
        })
        .collect()
    }

    fn entry(
        bed: &str,
        column: u32,
        columns: u32,
        kind: &'static str,
        words: &str,
    ) -> (String, u32, u32, &'static str, String) {
        (bed.to_owned(), column, columns, kind, words.to_owned())
    }

    #[test]
    fn moved_and_locked_stay_is_drawn_in_each_of_its_beds() {
        let earlier = json!([{ "until": "2027-01-12", "beds": ["d6a-1"] }]);
        let moved = with(stay("2027-01-10", "2027-01-15", "d6a-2"), "earlier_beds", earlier);
        let moved = with(moved, "locked", true.into());
        let words = "Ada Lovelace (confirmed, locked)";
        let expected = [entry("d6a-1", 1, 2, "confirmed", words), entry("d6a-2", 3, 3, "confirmed", words)];
        assert_eq!(drawn(&[booking("confirmed", json!([moved]), Value::Null)], &[]), expected);
    }

    #[test]
    fn each_stay_is_as_far_as_its_own_guests() {
        let progress = |bed, progress: &str| with(stay("2027-01-10", "2027-01-12", bed), "progress", progress.into());
        let stays =
            json!([progress("d6a-1", "checked_in"), progress("d6a-2", "expected"), progress("d6a-3", "checked_out")]);
        let expected = [
            entry("d6a-1", 1, 2, "checked-in", "Ada Lovelace (checked in)"),
            entry("d6a-2", 1, 2, "confirmed", "Ada Lovelace (confirmed)"),
            entry("d6a-3", 1, 2, "checked-out", "Ada Lovelace (checked out)"),
        ];
        assert_eq!(drawn(&[booking("checked_in", stays, Value::Null)], &[]), expected);
    }

    #[test]
    fn pending_change_adds_only_what_the_booking_does_not_have() {
        let (own, after) = (stay("2027-01-11", "2027-01-13", "d6a-1"), stay("2027-01-10", "2027-01-15", "d6a-1"));
        let expected = [
            entry("d6a-1", 1, 1, "held", "Ada Lovelace (pending change)"),
            entry("d6a-1", 2, 2, "confirmed", "Ada Lovelace (confirmed)"),
            entry("d6a-1", 4, 2, "held", "Ada Lovelace (pending change)"),
        ];
        assert_eq!(drawn(&[booking("confirmed", json!([own]), json!([after]))], &[]), expected);
    }

    #[test]
    fn blocks_and_beds_that_were_removed_are_drawn() {
        let block: Block = serde_json::from_value(json!({
            "_id": uuid::Uuid::from_u128(8), "property_id": "here", "kind": "maintenance", "bed_ids": ["d6a-1", "gone-2"],
            "from": "2027-01-09", "until": "2027-01-11", "status": "active", "rev": 1, "actor": "staff:1",
            "created_at": "2027-01-01T00:00:00.000Z", "updated_at": "2027-01-01T00:00:00.000Z", "history": [],
        }))
        .unwrap();
        let removed = booking("confirmed", json!([stay("2027-01-10", "2027-01-12", "gone-1")]), Value::Null);
        let expected = [
            entry("d6a-1", 1, 1, "block", "Block: maintenance"),
            entry("gone-1", 1, 2, "confirmed", "Ada Lovelace (confirmed)"),
            entry("gone-2", 1, 1, "block", "Block: maintenance"),
        ];
        assert_eq!(drawn(&[removed], &[block]), expected);
    }

    #[test]
    fn beds_say_what_staff_have_set() {
        use pvt_domain::inventory::{BedService, BedState, Cleanliness};
        let state = BedState { cleanliness: Cleanliness::Dirty, service: BedService::OutOfService };
        assert_eq!(super::notes(state), ["dirty", "out of service"]);
        assert!(super::notes(BedState::default()).is_empty());
    }

    #[test]
    fn only_lengths_with_columns_are_shown() {
        assert_eq!((length(None).unwrap(), length(Some("60")).unwrap()), (14, 60));
        assert!(length(Some("15")).is_err() && length(Some("x")).is_err());
    }
}
