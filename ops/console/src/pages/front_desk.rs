//! The front desk's day at a property: what is overdue, arrivals, departures, guests who are there, and what they owe.

use crate::access::SignedIn;
use crate::app::SharedApp;
use crate::failure::{Failure, large_page};
use crate::frame::{Choice, Frame};
use crate::pages::actions::{Action, Offer};
use crate::pages::balance::to_return;
use crate::store;
use askama::Template;
use axum::extract::{Query, State};
use axum::response::Html;
use chrono::{NaiveDate, Utc};
use pvt_domain::booking::{Booking, Status, Stay, StayProgress, stay_id};
use pvt_domain::business_day::business_date;
use pvt_domain::decide::undone_by_reinstatement;
use pvt_domain::inventory::{Cleanliness, Inventory};
use pvt_domain::money::Money;
use pvt_stores::StoreError;
use pvt_stores::mongo::front_desk::DeskBooking;
use serde::Deserialize;
use std::collections::HashSet;
use uuid::Uuid;

/// Bytes of a page without rows, and of a row.
const LISTS_SIZE: usize = 16 * 1024;
const ROW_SIZE: usize = 1_800;
/// How far guests are, as the page says it.
const EXPECTED: &str = "expected";
const CHECKED_IN: &str = "checked in";
const CHECKED_OUT: &str = "checked out";
const NO_SHOW: &str = "no show";

#[derive(Deserialize)]
pub(crate) struct PropertyQuery {
    property: Option<String>,
}

#[derive(Template)]
#[template(path = "front_desk.html")]
struct FrontDeskPage {
    frame: Frame,
    properties: Vec<Choice>,
    property: String,
    name: String,
    date: NaiveDate,
    lists: [GuestList; 4],
}

struct GuestList {
    title: &'static str,
    /// How many there are: of arrivals and departures, how many are still to come or to leave.
    count: String,
    rows: Vec<GuestRow>,
}

/// A stay of the day.
#[derive(Debug, PartialEq, Eq)]
struct GuestRow {
    booking_id: String,
    reference: String,
    guest: String,
    room_type: String,
    beds: String,
    dates: String,
    guests: u32,
    progress: &'static str,
    balance: String,
    /// Whether the beds are made; empty where that does not matter.
    made: &'static str,
    /// Id of the stay, and the revision that is shown.
    stay: u32,
    rev: u32,
    /// What is done at once, with the key of its form.
    direct: Option<(Offer, String)>,
    /// What needs a form of its own.
    offers: Vec<Offer>,
}

/// `GET /front-desk?property=`.
pub(crate) async fn show(
    State(app): State<SharedApp>,
    user: SignedIn,
    Query(query): Query<PropertyQuery>,
) -> Result<Html<String>, Failure> {
    let (property, all) = user.property(&app, query.property.as_deref()).await?;
    let mongo = app.mongo.clone();
    let read = store::read_in_turn(&app, &app.desks, async move {
        let Some(inventory) = mongo.inventories().find(&property).await? else { return Ok(None) };
        let date = business_date(&inventory.property, Utc::now().into());
        let found = mongo.front_desk().bookings(&property, date).await?;
        let lists = lists(&inventory, date, &found);
        let size = LISTS_SIZE + lists.iter().map(|list| list.rows.len()).sum::<usize>() * ROW_SIZE;
        let page = FrontDeskPage {
            frame: Frame::new(&user, "Front desk", "/front-desk"),
            properties: Choice::of_properties(&all, &property),
            property: property.to_string(),
            name: inventory.property.name.clone(),
            date,
            lists,
        };
        Ok::<_, StoreError>(Some(large_page(&page, size)))
    });
    let none = || Failure::NotFound("There is no such property that you work for.".to_owned());
    read.await?.ok_or_else(none)?
}

/// What is overdue, arrivals, departures and guests who are there, each by name.
fn lists(inventory: &Inventory, date: NaiveDate, found: &[DeskBooking]) -> [GuestList; 4] {
    let name = |booking: &&Booking| {
        (booking.guest.listed_by().to_lowercase(), booking.guest.first_name.to_lowercase(), booking.id)
    };
    let mut bookings: Vec<&Booking> = found.iter().map(DeskBooking::booking).collect();
    bookings.sort_by_cached_key(name);
    let list =
        |title, is_of: &dyn Fn(&Booking, &Stay) -> bool| GuestList::of(title, rows(inventory, date, &bookings, is_of));
    let is_there = |booking: &Booking, stay: &Stay| {
        stay.arrival <= date && date < stay.departure && booking.progress_of(stay) == StayProgress::CheckedIn
    };
    // No-shows do not depart.
    let is_departing = |booking: &Booking, stay: &Stay| stay.departure == date && booking.status != Status::NoShow;
    [
        list("Overdue", &|booking, stay| is_overdue(booking, stay, date)),
        list("Arrivals", &|_, stay| stay.arrival == date).split(&[
            (EXPECTED, "to arrive"),
            (CHECKED_IN, "arrived"),
            (CHECKED_OUT, "left again"),
            (NO_SHOW, "did not come"),
        ]),
        list("Departures", &is_departing).split(&[
            (CHECKED_IN, "to leave"),
            (CHECKED_OUT, "left"),
            (EXPECTED, "never arrived"),
        ]),
        list("Staying tonight", &is_there),
    ]
    .map(GuestList::with_balances_once)
}

impl GuestList {
    fn of(title: &'static str, rows: Vec<GuestRow>) -> Self {
        Self { title, count: rows.len().to_string(), rows }
    }

    /// A balance is that of the booking: once, so that it is not taken for the stay's, nor added up.
    fn with_balances_once(mut self) -> Self {
        let mut known = HashSet::new();
        for row in &mut self.rows {
            if !known.insert(row.booking_id.clone()) {
                row.balance = "same booking".to_owned();
            }
        }
        self
    }

    /// Those of the first kind of progress first, with so many of each in words: the first kind always, others where
    /// there are some.
    fn split(mut self, kinds: &[(&str, &str)]) -> Self {
        let place = |row: &GuestRow| kinds.iter().position(|(progress, _)| *progress == row.progress);
        // Rows of a booking stay in their order where they are of one kind.
        self.rows.sort_by_key(|row| place(row).unwrap_or(kinds.len()));
        let of_kind = |kind: usize| self.rows.iter().filter(|row| place(row) == Some(kind)).count();
        let counts = kinds.iter().enumerate().map(|(kind, (_, words))| (kind, of_kind(kind), words));
        let counts = counts.filter(|(kind, count, _)| *kind == 0 || *count > 0);
        self.count = counts.map(|(_, count, words)| format!("{count} {words}")).collect::<Vec<_>>().join(", ");
        self
    }
}

/// Whether its guests should have come, or left, on an earlier day.
fn is_overdue(booking: &Booking, stay: &Stay, date: NaiveDate) -> bool {
    match (booking.status, booking.progress_of(stay)) {
        (Status::Confirmed | Status::CheckedIn, StayProgress::Expected) => stay.arrival < date,
        (_, StayProgress::CheckedIn) => stay.departure < date,
        _ => false,
    }
}

fn rows(
    inventory: &Inventory,
    date: NaiveDate,
    bookings: &[&Booking],
    is_of: &dyn Fn(&Booking, &Stay) -> bool,
) -> Vec<GuestRow> {
    let of_booking = |booking: &&Booking| -> Vec<GuestRow> {
        let stays = booking.stays.iter().enumerate().filter(|(_, stay)| is_of(booking, stay));
        stays.map(|(index, stay)| row(inventory, date, (booking, index), stay)).collect()
    };
    bookings.iter().flat_map(of_booking).collect()
}

fn row(inventory: &Inventory, date: NaiveDate, (booking, index): (&Booking, usize), stay: &Stay) -> GuestRow {
    let currency = booking.price.as_ref().map_or(inventory.property.currency, |price| price.currency);
    let beds = stay.beds_on(stay.night_nearest(date));
    let progress = booking.progress_of(stay);
    let is_made = beds.iter().all(|bed| inventory.cleanliness_of(bed) == Some(Cleanliness::Clean));
    let made = match (progress, is_made) {
        (StayProgress::Expected, true) => "beds made",
        (StayProgress::Expected, false) => "beds to be made",
        _ => "",
    };
    let beds: Vec<&str> = beds.iter().map(|bed| bed.as_str()).collect();
    GuestRow {
        booking_id: booking.id.to_string(),
        reference: booking.reference.clone(),
        guest: booking.guest.full_name(),
        room_type: stay.room_type_id.to_string(),
        beds: beds.join(", "),
        dates: format!("{} – {}", stay.arrival, stay.departure),
        guests: stay.guests,
        progress: match (booking.status, progress) {
            (Status::NoShow, _) => NO_SHOW,
            (_, StayProgress::Expected) => EXPECTED,
            (_, StayProgress::CheckedIn) => CHECKED_IN,
            (_, StayProgress::CheckedOut) => CHECKED_OUT,
        },
        balance: match (booking.outstanding(), to_return(booking, currency)) {
            (0, None) => "nothing due".to_owned(),
            (0, Some(to_return)) => to_return,
            (due, to_return) => {
                let due = format!("{} due", Money::new(due, currency));
                to_return.map_or(due.clone(), |to_return| format!("{due}, {to_return}"))
            }
        },
        made,
        stay: stay_id(&booking.stays, index),
        rev: booking.rev,
        direct: direct(booking, stay, date)
            .map(|action| (action.offer(booking, (&inventory.property, date)), Uuid::new_v4().to_string())),
        offers: offers(booking, stay, inventory, date),
    }
}

/// What the front desk does at once: guests who are due come, guests who are there leave.
fn direct(booking: &Booking, stay: &Stay, date: NaiveDate) -> Option<Action> {
    let action = match booking.progress_of(stay) {
        StayProgress::Expected if stay.arrival <= date => Action::CheckIn,
        StayProgress::CheckedIn if stay.departure <= date => Action::CheckOut,
        _ => return None,
    };
    Some(action).filter(|action| action.is_offered(booking))
}

/// What needs a form of its own: guests one by one, other beds, a reason, an amount.
fn offers(booking: &Booking, stay: &Stay, inventory: &Inventory, date: NaiveDate) -> Vec<Offer> {
    let of_progress: &[Action] = match booking.progress_of(stay) {
        StayProgress::Expected if stay.arrival <= date => &[Action::CheckIn, Action::NoShow],
        StayProgress::CheckedIn if is_undone(booking, stay) => &[Action::CheckOut, Action::Reinstate],
        StayProgress::CheckedIn => &[Action::CheckOut],
        _ => &[],
    };
    let is_open = booking.outstanding() > 0 || booking.payment.refunds_due().manual > 0;
    let payment = [Action::Payment].into_iter().filter(|_| is_open);
    let reinstate = [Action::Reinstate].into_iter().filter(|_| booking.status == Status::NoShow);
    let meant = of_progress.iter().copied().chain(reinstate).chain(payment);
    let offered = meant.filter(|action| action.is_offered(booking));
    offered.map(|action| action.offer(booking, (&inventory.property, date))).collect()
}

/// Whether this is a stay whose check-in a reinstatement would undo: it undoes the latest.
fn is_undone(booking: &Booking, stay: &Stay) -> bool {
    let index = booking.stays.iter().position(|known| known == stay);
    let id = index.map(|index| stay_id(&booking.stays, index));
    undone_by_reinstatement(booking).is_some_and(|(_, ids)| id.is_some_and(|id| ids.contains(&id)))
}

#[cfg(test)]
mod tests;
