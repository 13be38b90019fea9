//! Bookings: the search, and the timeline of one.

use crate::access::SignedIn;
use crate::actors::{self, ActorNames};
use crate::app::SharedApp;
use crate::failure::{Failure, page};
use crate::frame::Frame;
use crate::pages::actions::{Action, Offer};
use crate::pages::balance::balance;
use crate::pages::moves::is_movable;
use crate::pages::shown;
use crate::store;
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use chrono::Utc;
use pvt_domain::booking::{Booking, Stay};
use pvt_domain::business_day::business_date;
use pvt_domain::ids::BookingId;
use pvt_domain::money::Currency;
use pvt_operations::trace::{self, MAX_FOUND, TimelineEvent, Trace, Wait, time_span};
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
pub(crate) struct SearchQuery {
    q: Option<String>,
}

#[derive(Template)]
#[template(path = "bookings.html")]
struct SearchPage {
    frame: Frame,
    note: String,
    rows: Vec<BookingRow>,
}

/// A booking in a list.
struct BookingRow {
    id: String,
    reference: String,
    status: &'static str,
    guest: String,
    property: String,
    dates: String,
}

impl BookingRow {
    fn of(booking: &Booking) -> Self {
        let arrival = booking.stays.iter().map(|stay| stay.arrival).min();
        let departure = booking.stays.iter().map(|stay| stay.departure).max();
        Self {
            id: booking.id.to_string(),
            reference: booking.reference.clone(),
            status: booking.status.as_str(),
            guest: booking.guest.full_name(),
            property: booking.property_id.to_string(),
            dates: arrival.zip(departure).map_or_else(String::new, |(from, until)| format!("{from} – {until}")),
        }
    }
}

/// `GET /bookings?q=`: leads to the timeline when the search finds one booking.
pub(crate) async fn search(
    State(app): State<SharedApp>,
    user: SignedIn,
    Query(query): Query<SearchQuery>,
) -> Result<Response, Failure> {
    let sought = query.q.unwrap_or_default().trim().to_owned();
    let found = if sought.is_empty() {
        Vec::new()
    } else {
        let (mongo, properties, text) = (app.mongo.clone(), user.properties(&app).await?, sought.clone());
        let may_scan = trace::may_scan(&text);
        let search = async move { trace::search(&mongo, &properties, &text).await };
        if may_scan { store::read_in_turn(&app, &app.scans, search).await? } else { store::read(&app, search).await? }
    };
    if let [booking] = found.as_slice() {
        return Ok(Redirect::to(&format!("/bookings/{}", booking.id)).into_response());
    }
    if let Some(id) = Uuid::try_parse(&sought).ok().filter(|_| found.is_empty() && user.is_admin()) {
        let mongo = app.mongo.clone();
        let dead_letters = store::read(&app, async move { mongo.dead_letters().find(id).await }).await?;
        if !dead_letters.is_empty() {
            return Ok(Redirect::to(&format!("/dead-letters/messages/{id}")).into_response());
        }
    }
    let note = note(&sought, found.len());
    let rows = found.iter().map(BookingRow::of).collect();
    let frame = Frame { sought, ..Frame::new(&user, "Bookings", "/bookings") };
    Ok(page(&SearchPage { frame, note, rows })?.into_response())
}

fn note(sought: &str, found: usize) -> String {
    match found {
        _ if sought.is_empty() => {
            "Search by reference, id, the guest’s name or address, the id of a message, or an id of Stripe.".to_owned()
        }
        0 => "No booking at your properties matches.".to_owned(),
        _ if i64::try_from(found).is_ok_and(|found| found >= MAX_FOUND) => {
            format!("The newest {found} bookings that match.")
        }
        _ => format!("{found} bookings match."),
    }
}

#[derive(Template)]
#[template(path = "booking.html")]
struct BookingPage {
    frame: Frame,
    booking: BookingRow,
    rev: u32,
    claims: u64,
    balance: String,
    stays: Vec<String>,
    offers: Vec<Offer>,
    is_movable: bool,
    waits: Vec<WaitRow>,
    events: Vec<EventRow>,
}

struct EventRow {
    at: String,
    after: String,
    place: &'static str,
    what: String,
    /// The id of its message, as in log lines.
    message: String,
}

/// What the booking waits for.
struct WaitRow {
    text: String,
    /// The dead letter that it is about, for administrators.
    dead_letter: Option<String>,
}

impl WaitRow {
    fn of(wait: &Wait, names: &ActorNames) -> Self {
        Self { text: names.within(&wait.text), dead_letter: wait.dead_letter.map(|id| id.to_string()) }
    }
}

/// `GET /bookings/{id}`.
pub(crate) async fn show(
    State(app): State<SharedApp>,
    user: SignedIn,
    Path(id): Path<String>,
) -> Result<Html<String>, Failure> {
    let none = || Failure::NotFound("There is no such booking at your properties.".to_owned());
    let id: BookingId = id.parse().map_err(|_| none())?;
    let (mongo, mart, topology) = (app.mongo.clone(), app.mart.clone(), app.topology.clone());
    let properties = user.properties(&app).await?;
    let found = store::read(&app, async move {
        let Some(booking) = mongo.bookings().find(id).await? else { return Ok(None) };
        if !properties.contains(&booking.property_id) {
            return Ok(None);
        }
        let Some(inventory) = mongo.inventories().find(&booking.property_id).await? else { return Ok(None) };
        let traced = trace::of_booking(&mongo, &mart, &topology, &booking, Utc::now().into()).await?;
        anyhow::Ok(Some((booking, inventory.property, traced)))
    });
    let (booking, property, Trace { events, summary, claims }) = found.await?.ok_or_else(none)?;
    let texts = events.iter().map(|event| event.what.as_str()).chain(summary.iter().map(|wait| wait.text.as_str()));
    let acted = texts.flat_map(actors::named_in).collect::<Vec<_>>();
    let names = actors::names(&app, &acted).await;
    let currency = booking.price.as_ref().map_or(Currency::XXX, |price| price.currency);
    let title = format!("Booking {}", booking.reference);
    page(&BookingPage {
        frame: Frame::new(&user, title, "/bookings"),
        rev: booking.rev,
        claims,
        balance: balance(&booking, currency),
        stays: booking.stays.iter().map(|stay| stay_words(&booking, stay)).collect(),
        offers: Action::offers(&booking, (&property, business_date(&property, Utc::now().into())), None),
        is_movable: booking.stays.iter().any(|stay| is_movable(booking.status, stay)),
        waits: summary.iter().map(|wait| WaitRow::of(wait, &names)).collect(),
        events: event_rows(events, &names),
        booking: BookingRow::of(&booking),
    })
}

/// A stay with the beds that it has tonight, or on its night that is nearest.
fn stay_words(booking: &Booking, stay: &Stay) -> String {
    let guests = if stay.guests == 1 { "guest" } else { "guests" };
    let about = format!("{} – {}, {}, {} {guests}", stay.arrival, stay.departure, stay.room_type_id, stay.guests);
    let beds: Vec<&str> =
        stay.beds_on(stay.night_nearest(Utc::now().date_naive())).iter().map(|bed| bed.as_str()).collect();
    if beds.is_empty() || !booking.status.holds_beds() { about } else { format!("{about}, beds {}", beds.join(", ")) }
}

fn event_rows(events: Vec<TimelineEvent>, names: &ActorNames) -> Vec<EventRow> {
    let row = |event: TimelineEvent| EventRow {
        at: instant(&event),
        after: event.after_ms.map_or_else(String::new, |after| format!("+{}", time_span(after))),
        place: event.place,
        what: names.within(&event.what),
        message: event.message_id.map_or_else(String::new, |id| id.to_string()),
    };
    events.into_iter().map(row).collect()
}

/// When an event was, as exactly as its clock says.
fn instant(event: &TimelineEvent) -> String {
    match event.in_seconds {
        true => shown(event.at),
        false => event.at.as_datetime().format("%Y-%m-%d %H:%M:%S%.3f").to_string(),
    }
}
