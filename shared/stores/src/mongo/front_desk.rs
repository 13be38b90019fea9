//! Bookings of a business day, as the front desk lists them.

use super::{Mongo, bookings};
use crate::StoreError;
use chrono::{Days, NaiveDate};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use pvt_domain::booking::{Action, Booking, Status};
use pvt_domain::ids::PropertyId;
use pvt_domain::intake::MAX_NIGHTS;
use serde::Deserialize;

/// Days after a departure for which a stay that has not ended is looked for.
const OVERDUE_DAYS: Days = Days::new(30);
/// Longest possible stay.
const LONGEST_STAY: Days = Days::new(MAX_NIGHTS.unsigned_abs());

/// What the lists show, and what a booking cannot be read without.
const FIELDS: [&str; 15] = [
    "reference",
    "status",
    "rev",
    "property_id",
    "rate_plan_id",
    "source",
    "stays",
    "no_shows",
    "guest",
    "price",
    "payment",
    "cancellation_fee",
    "fingerprint",
    "created_at",
    "updated_at",
];

/// A booking without what no list shows. While guests are in house, or after a no-show, its history is that entry and
/// what followed, as much as the balance and the reversal of the entry are derived from; otherwise it is empty. It is
/// not to be stored.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct DeskBooking(Booking);

impl DeskBooking {
    /// The booking, as far as it was read.
    pub fn booking(&self) -> &Booking {
        &self.0
    }
}

/// Bookings of a business day.
#[derive(Debug, Clone, Copy)]
pub struct FrontDeskReads<'a>(pub(super) &'a Mongo);

impl FrontDeskReads<'_> {
    /// Bookings of a property with a stay that arrives or departs on this day, whose guests are there or should have
    /// come, or should have left within the thirty days before. Each once.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn bookings(self, property_id: &PropertyId, date: NaiveDate) -> Result<Vec<DeskBooking>, StoreError> {
        let bookings = self.0.collection::<DeskBooking>(bookings::COLLECTION);
        let found = bookings.find(concerning(property_id, date)).projection(fields()).await?;
        Ok(found.try_collect().await?)
    }
}

/// Matches bookings that a list of this day may show. Dates are stored as text that sorts chronologically; the longest
/// stay bounds the range of the index.
fn concerning(property_id: &PropertyId, date: NaiveDate) -> Document {
    let earliest = date.checked_sub_days(OVERDUE_DAYS).unwrap_or(NaiveDate::MIN).to_string();
    let latest = date.checked_add_days(LONGEST_STAY).unwrap_or(NaiveDate::MAX).to_string();
    let date = date.to_string();
    let open = doc! { "departure": { "$gte": earliest, "$lte": &latest }, "arrival": { "$lte": &date } };
    let arriving = doc! { "departure": { "$gt": &date, "$lte": latest }, "arrival": &date };
    let departing = doc! { "departure": date };
    let with = |statuses: &[Status], stay: Document| {
        let statuses: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
        doc! { "property_id": property_id.as_str(), "status": { "$in": statuses }, "stays": { "$elemMatch": stay } }
    };
    let ended = [Status::CheckedOut, Status::NoShow];
    doc! { "$or": [
        with(&[Status::Confirmed, Status::CheckedIn], open),
        with(&ended, arriving),
        with(&ended, departing),
    ] }
}

/// The fields of a [`DeskBooking`]. Entries are compared on the server, so that those that are not needed are neither
/// sent nor decoded, and only for bookings that need some: it takes longer than all the rest.
fn fields() -> Document {
    let reversible = doc! { "$filter": { "input": "$history", "cond": {
        "$in": ["$$this.action", [Action::CheckIn.as_str(), Action::NoShow.as_str()]],
    } } };
    // Numbers sort before texts: without such an entry none is later.
    let latest = doc! { "$ifNull": [{ "$max": { "$map": { "input": reversible, "in": "$$this.rev" } } }, "none"] };
    let since = doc! { "$let": { "vars": { "latest": latest }, "in": { "$filter": { "input": "$history", "cond": {
        "$gte": ["$$this.rev", "$$latest"],
    } } } } };
    let needs_some = doc! { "$in": ["$status", [Status::CheckedIn.as_str(), Status::NoShow.as_str()]] };
    let mut fields: Document = FIELDS.map(|field| (field.to_owned(), 1.into())).into_iter().collect();
    fields.insert("history", doc! { "$cond": [needs_some, since, []] });
    fields
}
