//! Arrivals and departures of a day.

use super::{staffed_inventory, today};
use crate::auth::policy::Caller;
use crate::form::query::QueryFields;
use crate::http::extract::{PathId, QueryParams};
use crate::http::problem::Problem;
use crate::http::response::Shown;
use crate::state::SharedApp;
use crate::store_call;
use axum::extract::State;
use chrono::NaiveDate;
use pvt_domain::booking::{Booking, Guest, Status, Stay, StayProgress, stay_id};
use pvt_domain::ids::{BedId, BookingId, PropertyId};
use pvt_domain::inventory::{Cleanliness, Inventory};
use pvt_domain::money::{Currency, Money};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DayQuery {
    /// The day; the property's business day by default.
    #[schemars(with = "Option<NaiveDate>")]
    date: Option<String>,
}

/// Bookings of a day, by name.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeskListing")]
pub(super) struct Listing<'a> {
    property_id: &'a str,
    date: NaiveDate,
    items: Vec<Item<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct Item<'a> {
    booking_id: BookingId,
    reference: &'a str,
    status: Status,
    rev: u32,
    guest: &'a Guest,
    /// Still owed, also the fee of a no-show.
    due: Money,
    /// Those of this day.
    stays: Vec<StayView<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct StayView<'a> {
    /// Its id in the booking.
    id: u32,
    /// Its place in the booking.
    index: usize,
    room_type_id: &'a str,
    arrival: NaiveDate,
    departure: NaiveDate,
    #[schemars(range(min = 1))]
    guests: u32,
    /// How far its guests are.
    progress: StayProgress,
    /// Its beds on this day: those of the first night and, on the day of departure, of the last one.
    assigned_beds: &'a [BedId],
    /// Who sleeps in which bed on this day, as far as the rooming list says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    names: Vec<NameView<'a>>,
    /// All its beds are made.
    ready: bool,
}

/// The guest of a place.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct NameView<'a> {
    /// Position in the stay, from 0.
    position: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    bed: Option<&'a str>,
    name: String,
}

impl<'a> NameView<'a> {
    /// Those of a booking, by stay.
    fn of_booking(booking: &'a Booking, date: NaiveDate) -> HashMap<u32, Vec<Self>> {
        let mut names: HashMap<u32, Vec<Self>> = HashMap::new();
        for place in booking.places(date) {
            if let Some(guest) = place.guest {
                let (bed, name) = (place.bed.map(BedId::as_str), guest.full_name());
                names.entry(place.stay_id).or_default().push(Self { position: place.position, bed, name });
            }
        }
        names
    }
}

fn day(query: &DayQuery, inventory: &Inventory) -> Result<NaiveDate, Problem> {
    let mut fields = QueryFields::default();
    let date = fields.optional_date("date", query.date.as_deref());
    fields.finish(Some(date.unwrap_or_else(|| today(inventory))))
}

/// `GET /api/properties/{id}/arrivals`: bookings with a stay that begins on `date`, the business day unless another is
/// named.
pub(super) async fn arrivals(
    State(app): State<SharedApp>,
    PathId(id): PathId<PropertyId>,
    caller: Caller,
    QueryParams(query): QueryParams<DayQuery>,
) -> Result<Shown<Listing<'static>>, Problem> {
    let inventory = staffed_inventory(&app, &caller, id).await?;
    let date = day(&query, &inventory)?;
    let (mongo, property) = (app.mongo.clone(), inventory.property.id.clone());
    let bookings = store_call::read(async move { mongo.occupancy().arrivals(&property, date).await }).await?;
    Ok(listing(&inventory, date, bookings, |stay| stay.arrival == date))
}

/// `GET /api/properties/{id}/departures`: bookings with a stay that ends on `date`.
pub(super) async fn departures(
    State(app): State<SharedApp>,
    PathId(id): PathId<PropertyId>,
    caller: Caller,
    QueryParams(query): QueryParams<DayQuery>,
) -> Result<Shown<Listing<'static>>, Problem> {
    let inventory = staffed_inventory(&app, &caller, id).await?;
    let date = day(&query, &inventory)?;
    let (mongo, property) = (app.mongo.clone(), inventory.property.id.clone());
    let mut bookings = store_call::read(async move { mongo.occupancy().departures(&property, date).await }).await?;
    // No-shows do not depart.
    bookings.retain(|booking| booking.status != Status::NoShow);
    Ok(listing(&inventory, date, bookings, |stay| stay.departure == date))
}

/// These bookings by name, each with the stays that are of this day.
pub(super) fn listing(
    inventory: &Inventory,
    date: NaiveDate,
    mut bookings: Vec<Booking>,
    on: impl Fn(&Stay) -> bool,
) -> Shown<Listing<'static>> {
    bookings.sort_unstable_by(|a, b| {
        (a.guest.listed_by(), &a.guest.first_name, a.id).cmp(&(b.guest.listed_by(), &b.guest.first_name, b.id))
    });
    let currency = inventory.property.currency;
    let made = |bed: &BedId| inventory.cleanliness_of(bed) == Some(Cleanliness::Clean);
    let stays = |booking: &Booking| -> Vec<usize> {
        (0..booking.stays.len()).filter(|index| on(&booking.stays[*index])).collect()
    };
    let items = bookings.iter().map(|booking| Item::of(booking, &stays(booking), date, currency, made)).collect();
    Shown::new(&Listing { property_id: inventory.property.id.as_str(), date, items })
}

impl<'a> Item<'a> {
    fn of(
        booking: &'a Booking,
        stays: &[usize],
        date: NaiveDate,
        currency: Currency,
        made: impl Fn(&BedId) -> bool,
    ) -> Self {
        let mut names = NameView::of_booking(booking, date);
        let shown = booking.stays.iter().enumerate().filter(|(index, _)| stays.contains(index));
        let stays = shown.map(|(index, stay)| {
            let beds = stay.beds_on(stay.night_nearest(date));
            let id = stay_id(&booking.stays, index);
            StayView {
                id,
                index,
                room_type_id: stay.room_type_id.as_str(),
                arrival: stay.arrival,
                departure: stay.departure,
                guests: stay.guests,
                progress: booking.progress_of(stay),
                assigned_beds: beds,
                names: names.remove(&id).unwrap_or_default(),
                ready: beds.iter().all(&made),
            }
        });
        Self {
            booking_id: booking.id,
            reference: &booking.reference,
            status: booking.status,
            rev: booking.rev,
            guest: &booking.guest,
            due: Money::new(booking.outstanding(), currency),
            stays: stays.collect(),
        }
    }
}
