//! Who arrives and who leaves on a day.

use super::{house, today};
use crate::auth::credentials::Credentials;
use crate::form::query::QueryFields;
use crate::http::headers;
use crate::http::problem::{HandlerResult, Problem};
use crate::state::SharedApp;
use crate::store_call;
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use chrono::NaiveDate;
use pvt_domain::booking::{Booking, Guest, Status, Stay};
use pvt_domain::ids::{BedId, BookingId};
use pvt_domain::inventory::{Cleanliness, Inventory};
use pvt_domain::money::{Currency, Money};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DayQuery {
    date: Option<String>,
}

#[derive(Serialize)]
struct Listing<'a> {
    property_id: &'a str,
    date: NaiveDate,
    items: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    booking_id: BookingId,
    reference: &'a str,
    status: Status,
    rev: u32,
    guest: &'a Guest,
    /// What is still to be paid.
    due: Money,
    stays: Vec<StayView<'a>>,
}

#[derive(Serialize)]
struct StayView<'a> {
    /// Its place in the booking.
    index: usize,
    room_type_id: &'a str,
    arrival: NaiveDate,
    departure: NaiveDate,
    guests: u32,
    assigned_beds: &'a [BedId],
    /// Whether all its beds are made.
    ready: bool,
}

fn day(uri: &Uri, inventory: &Inventory) -> Result<NaiveDate, Problem> {
    let query: DayQuery = headers::query(uri)?;
    let mut fields = QueryFields::default();
    let date = fields.optional_date("date", query.date.as_deref());
    fields.finish(Some(date.unwrap_or_else(|| today(inventory))))
}

/// `GET /api/properties/{id}/arrivals`: bookings with a stay that begins on `date`, the business day unless another is
/// named.
pub(crate) async fn arrivals(State(app): State<SharedApp>, Path(id): Path<String>, request: Request) -> HandlerResult {
    let (parts, _) = request.into_parts();
    let inventory = house(&app, &Credentials::of(&parts).caller, id).await?;
    let date = day(&parts.uri, &inventory)?;
    let (mongo, property) = (app.mongo.clone(), inventory.property.id.clone());
    let bookings = store_call::read(async move { mongo.occupancy().arrivals(&property, date).await }).await?;
    Ok(listing(&inventory, date, bookings, |stay| stay.arrival == date))
}

/// `GET /api/properties/{id}/departures`: bookings with a stay that ends on `date`.
pub(crate) async fn departures(
    State(app): State<SharedApp>,
    Path(id): Path<String>,
    request: Request,
) -> HandlerResult {
    let (parts, _) = request.into_parts();
    let inventory = house(&app, &Credentials::of(&parts).caller, id).await?;
    let date = day(&parts.uri, &inventory)?;
    let (mongo, property) = (app.mongo.clone(), inventory.property.id.clone());
    let mut bookings = store_call::read(async move { mongo.occupancy().departures(&property, date).await }).await?;
    // Who never came does not leave.
    bookings.retain(|booking| booking.status != Status::NoShow);
    Ok(listing(&inventory, date, bookings, |stay| stay.departure == date))
}

/// These bookings by name, each with the stays that are of this day.
pub(crate) fn listing(
    inventory: &Inventory,
    date: NaiveDate,
    mut bookings: Vec<Booking>,
    on: impl Fn(&Stay) -> bool,
) -> Response {
    bookings.sort_unstable_by(|a, b| {
        (&a.guest.last_name, &a.guest.first_name, a.id).cmp(&(&b.guest.last_name, &b.guest.first_name, b.id))
    });
    let currency = inventory.property.currency;
    let made =
        |bed: &BedId| inventory.room_of(bed).is_some_and(|room| room.state_of(bed).cleanliness == Cleanliness::Clean);
    let stays = |booking: &Booking| -> Vec<usize> {
        (0..booking.stays.len()).filter(|index| on(&booking.stays[*index])).collect()
    };
    let items = bookings.iter().map(|booking| Item::of(booking, &stays(booking), currency, made)).collect();
    Json(Listing { property_id: inventory.property.id.as_str(), date, items }).into_response()
}

impl<'a> Item<'a> {
    fn of(booking: &'a Booking, stays: &[usize], currency: Currency, made: impl Fn(&BedId) -> bool) -> Self {
        let shown = booking.stays.iter().enumerate().filter(|(index, _)| stays.contains(index));
        let stays = shown.map(|(index, stay)| StayView {
            index,
            room_type_id: stay.room_type_id.as_str(),
            arrival: stay.arrival,
            departure: stay.departure,
            guests: stay.guests,
            assigned_beds: &stay.assigned_beds,
            ready: stay.assigned_beds.iter().all(&made),
        });
        Self {
            booking_id: booking.id,
            reference: &booking.reference,
            status: booking.status,
            rev: booking.rev,
            guest: &booking.guest,
            due: Money::new(booking.balance(), currency),
            stays: stays.collect(),
        }
    }
}
