//! Calendar file of a booking. Its `UID`s are those of the file in the guest's mails, so that a calendar that imports
//! both shows one stay.

use crate::auth::booking_access::BookingAccess;
use crate::http::problem::{self, Problem};
use crate::openapi::schemas::Schemas;
use crate::openapi::{DescribeOutput, Operation};
use crate::read_models::inventory::Lookup;
use crate::state::SharedApp;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use icalendar::{Calendar, Component, Event, EventLike, EventStatus, Property as Line};
use pvt_domain::booking::{Booking, Status};
use pvt_domain::business_day::{check_in_instant, instant_of};
use pvt_domain::inventory::Property;

const CONTENT_TYPE: &str = "text/calendar; charset=utf-8";
/// When to try again while the property is not cached yet, in seconds.
const RETRY_AFTER_SECS: u32 = 2;

/// The file, to be saved under this name.
pub(super) struct CalendarFile {
    disposition: HeaderValue,
    text: String,
}

impl IntoResponse for CalendarFile {
    fn into_response(self) -> Response {
        let kind = HeaderValue::from_static(CONTENT_TYPE);
        ([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, self.disposition)], self.text).into_response()
    }
}

impl DescribeOutput for CalendarFile {
    fn describe(operation: Operation, _: &mut Schemas) -> Operation {
        operation.answers_text("An iCalendar file.", CONTENT_TYPE)
    }
}

/// `GET /api/bookings/{id}/calendar.ics`.
pub(super) async fn calendar(State(app): State<SharedApp>, access: BookingAccess) -> Result<CalendarFile, Problem> {
    let booking = access.decided_booking(&app).await?;
    let Lookup::Found(inventory) = app.inventory_cache.find(booking.property_id.as_str()).await else {
        return Err(Problem::from(problem::NOT_READY).retry_after(RETRY_AFTER_SECS));
    };
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{}.ics\"", booking.reference))
        .map_err(Problem::internal)?;
    Ok(CalendarFile { disposition, text: file(&booking, &inventory.property) })
}

/// Stays with the same dates are one event; those that the booking no longer has are cancelled in calendars that know
/// them. Times are UTC, so that no client needs our definition of a time zone.
fn file(booking: &Booking, property: &Property) -> String {
    let mut calendar = Calendar::empty();
    for line in [
        ("VERSION", "2.0"),
        ("PRODID", "-//PVT Booking//Bookings//EN"),
        ("CALSCALE", "GREGORIAN"),
        ("METHOD", "PUBLISH"),
    ] {
        calendar.append_property(Line::from(line));
    }
    for entry in booking.calendar_entries() {
        let mut event = Event::with_uid(&entry.uid);
        event
            .timestamp(booking.updated_at.as_datetime())
            .sequence(booking.rev)
            .starts(check_in_instant(property, entry.arrival).as_datetime())
            .ends(instant_of(property.time_zone, entry.departure.and_time(property.check_out_until)))
            .summary(&format!("{} – {}", property.name, booking.reference))
            .location(&property.address)
            .status(if entry.is_dropped { EventStatus::Cancelled } else { status_of(booking.status) });
        calendar.push(event.done());
    }
    calendar.to_string()
}

fn status_of(status: Status) -> EventStatus {
    match status {
        Status::Requested | Status::Held => EventStatus::Tentative,
        Status::Confirmed | Status::CheckedIn | Status::CheckedOut => EventStatus::Confirmed,
        Status::NoShow | Status::Rejected | Status::Cancelled | Status::Expired => EventStatus::Cancelled,
    }
}

#[cfg(test)]
mod tests {
    use super::file;
    use pvt_domain::booking::{Booking, Status};
    use pvt_domain::demo;
    use serde_json::json;

    fn stored() -> Booking {
        let stay = json!({ "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-13",
            "guests": 1, "assigned_beds": ["d6a-1"] });
        serde_json::from_value(json!({
            "_id": "11111111-2222-5333-8444-555555555555", "reference": "PVT-0000000000", "status": "confirmed",
            "rev": 1,
            "property_id": "pvt-montreal", "rate_plan_id": "standard", "source": "direct", "stays": [stay, stay],
            "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com" },
            "payment_status": "pay_on_arrival", "fingerprint": "f",
            "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:01.000Z", "history": [],
        }))
        .unwrap()
    }

    #[test]
    fn stay_becomes_calendar_event() {
        let (mut booking, hostel) = (stored(), demo::inventory());
        let confirmed = file(&booking, &hostel.property);
        assert_eq!(confirmed.matches("BEGIN:VEVENT").count(), 1, "stays with the same dates are one event");
        for line in [
            "UID:11111111-2222-5333-8444-555555555555",
            "DTSTART:20270110T200000Z",
            "DTEND:20270113T160000Z",
            "SEQUENCE:1",
            "STATUS:CONFIRMED",
            "METHOD:PUBLISH",
        ] {
            assert!(confirmed.split("\r\n").any(|found| found == line), "no {line} in\n{confirmed}");
        }
        assert!(
            !confirmed.contains("Lovelace") && !confirmed.contains("ada@"),
            "a file that is passed on names no guest"
        );
        booking.status = Status::Held;
        assert!(file(&booking, &hostel.property).contains("STATUS:TENTATIVE"), "beds that are not paid are tentative");
        booking.status = Status::Cancelled;
        assert!(file(&booking, &hostel.property).contains("STATUS:CANCELLED"));
    }
}
