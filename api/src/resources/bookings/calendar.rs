//! Download of the calendar file of a booking, the same file as in the guest's mails.

use crate::auth::booking_access::BookingAccess;
use crate::http::problem::{self, Problem};
use crate::openapi::schemas::Schemas;
use crate::openapi::{DescribeOutput, Operation};
use crate::read_models::inventory::Lookup;
use crate::state::SharedApp;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use pvt_calendar_files::CalendarFile;

/// Without its `method`, which depends on the booking.
const MEDIA_TYPE: &str = "text/calendar; charset=utf-8";
/// When to try again while the property is not cached yet, in seconds.
const RETRY_AFTER_SECS: u32 = 2;

/// The file, to be saved under its name.
pub(super) struct Download {
    disposition: HeaderValue,
    file: CalendarFile,
}

impl IntoResponse for Download {
    fn into_response(self) -> Response {
        let kind = HeaderValue::from_static(self.file.content_type());
        let headers = [(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, self.disposition)];
        (headers, self.file.into_text()).into_response()
    }
}

impl DescribeOutput for Download {
    fn describe(operation: Operation, _: &mut Schemas) -> Operation {
        operation.answers_text("An iCalendar file.", MEDIA_TYPE)
    }
}

/// `GET /api/bookings/{id}/calendar.ics`.
pub(super) async fn calendar(State(app): State<SharedApp>, access: BookingAccess) -> Result<Download, Problem> {
    let booking = access.decided_booking(&app).await?;
    let Lookup::Found(inventory) = app.inventory_cache.find(booking.property_id.as_str()).await else {
        return Err(Problem::from(problem::NOT_READY).retry_after(RETRY_AFTER_SECS));
    };
    let file = CalendarFile::of(&booking, &inventory.property, &app.organizer, chrono::Utc::now().into());
    let disposition =
        HeaderValue::try_from(format!("attachment; filename=\"{}\"", file.name())).map_err(Problem::internal)?;
    Ok(Download { disposition, file })
}
