//! History of a booking for staff: one entry per revision, with actor, reason, and the values before and after.

use super::etag;
use crate::auth::booking_access::BookingAccess;
use crate::http::problem::HandlerResult;
use crate::state::SharedApp;
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::header;
use axum::response::IntoResponse;
use pvt_domain::actor::Actor;
use pvt_domain::booking::history::{PriceChange, RatePlanChange, StayChange};
use pvt_domain::booking::{Action, Changes, HistoryEntry, Status};
use pvt_domain::ids::BookingId;
use pvt_domain::money::Money;
use pvt_domain::pricing::Price;
use pvt_domain::timestamp::Timestamp;
use serde::Serialize;

#[derive(Serialize)]
struct HistoryView<'a> {
    id: BookingId,
    reference: &'a str,
    rev: u32,
    /// Oldest first.
    items: Vec<EntryView<'a>>,
}

#[derive(Serialize)]
struct EntryView<'a> {
    rev: u32,
    at: Timestamp,
    action: Action,
    from: Status,
    to: Status,
    actor: &'a Actor,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<ChangesView<'a>>,
    /// Bookings that were reassigned to other beds.
    #[serde(skip_serializing_if = "<[BookingId]>::is_empty")]
    moved: &'a [BookingId],
}

#[derive(Serialize)]
struct ChangesView<'a> {
    #[serde(skip_serializing_if = "<[StayChange]>::is_empty")]
    stays: &'a [StayChange],
    /// Totals.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<TotalView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_plan: Option<&'a RatePlanChange>,
    /// Whether the guest's name or address was changed.
    guest: bool,
}

#[derive(Serialize)]
struct TotalView {
    before: Option<Money>,
    after: Option<Money>,
}

impl<'a> From<&'a HistoryEntry> for EntryView<'a> {
    fn from(entry: &'a HistoryEntry) -> Self {
        Self {
            rev: entry.rev,
            at: entry.at,
            action: entry.action,
            from: entry.from,
            to: entry.to,
            actor: &entry.actor,
            reason: entry.reason.as_deref(),
            changes: entry.changes.as_deref().map(ChangesView::from),
            moved: &entry.moved,
        }
    }
}

impl<'a> From<&'a Changes> for ChangesView<'a> {
    fn from(changes: &'a Changes) -> Self {
        let total = |price: &Option<Price>| price.as_ref().map(|price| Money::new(price.total, price.currency));
        let totals = |change: &PriceChange| TotalView { before: total(&change.before), after: total(&change.after) };
        Self {
            stays: &changes.stays,
            total: changes.price.as_ref().map(totals),
            rate_plan: changes.rate_plan.as_ref(),
            guest: changes.guest,
        }
    }
}

/// `GET /api/bookings/{id}/history`.
pub(crate) async fn history(State(app): State<SharedApp>, Path(id): Path<String>, request: Request) -> HandlerResult {
    let (parts, _) = request.into_parts();
    let booking = BookingAccess::of(&app, &id, &parts)?.booking_for_staff(&app).await?;
    let items = booking.history.iter().map(EntryView::from).collect();
    let view = HistoryView { id: booking.id, reference: &booking.reference, rev: booking.rev, items };
    Ok(([(header::ETAG, etag(booking.rev))], Json(view)).into_response())
}
