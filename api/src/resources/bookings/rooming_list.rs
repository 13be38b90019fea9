//! The rooming list of a booking: who sleeps in which place, for staff and the guest who manages the booking.

use super::rooming_list_form::SentList;
use super::submit::{BookingCommand, CommandResult, CommandSpec};
use crate::auth::booking_access::BookingAccess;
use crate::form::csv;
use crate::http::extract::{IfMatch, PrefersCsv};
use crate::http::problem::{self, Problem};
use crate::http::response::{Either, Tagged, etag};
use crate::openapi::schemas::Schemas;
use crate::openapi::{DescribeOutput, Operation};
use crate::read_models::inventory::Lookup;
use crate::state::{App, SharedApp};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use chrono::{NaiveDate, Utc};
use pvt_domain::booking::{Booking, Place, PlaceProgress, Status};
use pvt_domain::business_day::business_date;
use pvt_domain::ids::BookingId;
use pvt_domain::inventory::Inventory;
use pvt_domain::messages::{BOOKING_NAME_GUESTS, NameGuests};
use pvt_domain::people::text::shown;
use pvt_domain::rooming_list::check_rooming_list;
use schemars::JsonSchema;
use serde::Serialize;
use std::borrow::Cow;
use std::sync::Arc;

/// When to try again while the property is not cached yet, in seconds.
const RETRY_AFTER_SECS: u32 = 2;
/// The media type of the list for spreadsheets.
const CSV: &str = "text/csv; charset=utf-8; header=present";
/// The columns of the list for spreadsheets.
const COLUMNS: [&str; 11] = [
    "stay_id",
    "position",
    "room_type_id",
    "arrival",
    "departure",
    "bed",
    "progress",
    "first_name",
    "last_name",
    "birth_date",
    "nationality",
];

/// Every place of a booking.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RoomingList")]
pub(super) struct RoomingListView<'a> {
    booking_id: BookingId,
    reference: &'a str,
    #[schemars(range(min = 1))]
    rev: u32,
    /// By stay and position; those of guests who did not arrive are the last.
    guests: Vec<PlaceView<'a>>,
}

/// A place: one guest in one bed for the nights of a stay.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct PlaceView<'a> {
    stay_id: u32,
    /// Position in the stay, from 0; in a dorm, that of the bed.
    position: u32,
    room_type_id: &'a str,
    arrival: NaiveDate,
    departure: NaiveDate,
    /// The bed tonight, or on the nearest night of the stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    bed: Option<&'a str>,
    progress: PlaceProgress,
    /// Missing while the place is nobody's, and for guests with one name, which is the other.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schemars(with = "Option<String>")]
    first_name: Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schemars(with = "Option<String>")]
    last_name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    birth_date: Option<NaiveDate>,
    /// ISO 3166-1 alpha-2.
    #[serde(skip_serializing_if = "Option::is_none")]
    nationality: Option<&'a str>,
}

impl<'a> PlaceView<'a> {
    fn of(place: Place<'a>) -> Self {
        let guest = place.guest;
        Self {
            stay_id: place.stay_id,
            position: place.position,
            room_type_id: place.stay.room_type_id.as_str(),
            arrival: place.stay.arrival,
            departure: place.stay.departure,
            bed: place.bed.map(|bed| bed.as_str()),
            progress: place.progress,
            first_name: guest.map(|guest| shown(&guest.first_name)).unwrap_or_default(),
            last_name: guest.map(|guest| shown(&guest.last_name)).unwrap_or_default(),
            birth_date: guest.and_then(|guest| guest.birth_date),
            nationality: guest.and_then(|guest| guest.nationality.as_deref()),
        }
    }

    fn cells(&self) -> [Cow<'_, str>; COLUMNS.len()] {
        [
            self.stay_id.to_string().into(),
            self.position.to_string().into(),
            self.room_type_id.into(),
            self.arrival.to_string().into(),
            self.departure.to_string().into(),
            self.bed.unwrap_or_default().into(),
            self.progress.as_str().into(),
            Cow::Borrowed(&self.first_name),
            Cow::Borrowed(&self.last_name),
            self.birth_date.map(|date| date.to_string()).unwrap_or_default().into(),
            self.nationality.unwrap_or_default().into(),
        ]
    }
}

/// The list as CSV.
pub(super) struct CsvList {
    rev: u32,
    text: String,
}

impl IntoResponse for CsvList {
    fn into_response(self) -> Response {
        let disposition = "attachment; filename=\"guests.csv\"";
        let headers = [(header::CONTENT_TYPE, CSV), (header::CONTENT_DISPOSITION, disposition)];
        ([(header::ETAG, etag(self.rev))], headers, self.text).into_response()
    }
}

impl DescribeOutput for CsvList {
    fn describe(operation: Operation, _: &mut Schemas) -> Operation {
        operation.answers_csv_too()
    }
}

/// `GET /api/bookings/{id}/guests`.
pub(super) async fn show(
    State(app): State<SharedApp>,
    access: BookingAccess,
    PrefersCsv(prefers_csv): PrefersCsv,
) -> Result<Either<Tagged<RoomingListView<'static>>, CsvList>, Problem> {
    let booking = access.decided_booking(&app).await?;
    let inventory = inventory_of(&app, &booking).await?;
    let today = business_date(&inventory.property, Utc::now().into());
    let guests: Vec<PlaceView<'_>> = booking.places(today).into_iter().map(PlaceView::of).collect();
    if prefers_csv {
        let mut text = String::from(csv::BYTE_ORDER_MARK);
        csv::write(&mut text, COLUMNS.map(Cow::from));
        guests.iter().for_each(|place| csv::write(&mut text, place.cells()));
        return Ok(Either::That(CsvList { rev: booking.rev, text }));
    }
    let view = RoomingListView { booking_id: booking.id, reference: &booking.reference, rev: booking.rev, guests };
    Ok(Either::This(Tagged::at(booking.rev, &view)))
}

/// `PUT /api/bookings/{id}/guests`: the whole list.
pub(super) async fn replace(
    State(app): State<SharedApp>,
    request: BookingCommand,
    IfMatch(revisions): IfMatch,
    list: SentList,
) -> CommandResult {
    let booking = request.access.decided_booking(&app).await?;
    let by_staff = request.access.is_staff_of(&booking);
    let inventory = inventory_of(&app, &booking).await?;
    // The newest revision is the one that the list is checked against here.
    let rev = revisions.expected(booking.rev).unwrap_or(booking.rev);
    if rev != booking.rev && request.key.is_none() {
        return Err(request.conflict(&app, problem::PRECONDITION_FAILED, &booking));
    }
    let today = business_date(&inventory.property, Utc::now().into());
    let fingerprint = list.fingerprint;
    let (guests, located) = list.guests(&booking, today);
    // A list for an older revision is outdated, or was applied before: its places are those of then.
    if rev == booking.rev {
        let violations = check_rooming_list(&booking, &inventory, &guests, today, by_staff);
        if !violations.is_empty() {
            return Err(located.problem(violations));
        }
    }
    let guests = guests.into_iter().map(|(_, guest)| guest).collect();
    let spec = CommandSpec {
        name: "guests",
        kind: BOOKING_NAME_GUESTS,
        fingerprint,
        reason: None,
        expected_rev: Some(rev),
        from: if by_staff { &Status::WITH_GUEST } else { &[Status::Held, Status::Confirmed, Status::CheckedIn] },
        conflict_problem: problem::WRONG_STATUS,
        is_settled: false,
    };
    request.submit(&app, booking, spec, |header| NameGuests { header, guests }).await
}

async fn inventory_of(app: &App, booking: &Booking) -> Result<Arc<Inventory>, Problem> {
    match app.inventory_cache.find(booking.property_id.as_str()).await {
        Lookup::Found(inventory) => Ok(inventory),
        _ => Err(Problem::from(problem::NOT_READY).retry_after(RETRY_AFTER_SECS)),
    }
}
