//! History of a booking for staff: one entry per revision, with actor, reason, and the values before and after.

use crate::auth::booking_access::BookingAccess;
use crate::http::problem::Problem;
use crate::http::response::Tagged;
use crate::state::SharedApp;
use axum::extract::State;
use pvt_domain::actor::Actor;
use pvt_domain::booking::history::{PriceChange, RatePlanChange, StayChange};
use pvt_domain::booking::{Action, BedMove, Changes, HistoryEntry, Status};
use pvt_domain::ids::BookingId;
use pvt_domain::money::Money;
use pvt_domain::pricing::Price;
use pvt_domain::timestamp::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// The history of a booking.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BookingHistory")]
pub(super) struct HistoryView<'a> {
    id: BookingId,
    reference: &'a str,
    #[schemars(range(min = 1))]
    rev: u32,
    /// Oldest first.
    items: Vec<EntryView<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct EntryView<'a> {
    #[schemars(range(min = 1))]
    rev: u32,
    at: Timestamp,
    action: Action,
    from: Status,
    to: Status,
    #[schemars(with = "String")]
    actor: &'a Actor,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<ChangesView<'a>>,
    /// Bookings that were reassigned to other beds.
    #[serde(skip_serializing_if = "<[BookingId]>::is_empty")]
    moved: &'a [BookingId],
    /// Moves of the checked-in guests to other beds, each from its first night on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bed_moves: Vec<BedMove>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct ChangesView<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stays: Vec<StayChange>,
    /// Totals.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<TotalView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_plan: Option<&'a RatePlanChange>,
    /// Whether the guest's name or address was changed.
    guest: bool,
    /// Whether names of the rooming list were changed.
    rooming_list: bool,
    /// Whether the links that the guest was given before stopped working.
    links_revoked: bool,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
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
            bed_moves: entry.numbered_bed_moves(),
        }
    }
}

impl<'a> From<&'a Changes> for ChangesView<'a> {
    fn from(changes: &'a Changes) -> Self {
        let total = |price: &Option<Price>| price.as_ref().map(|price| Money::new(price.total, price.currency));
        let totals = |change: &PriceChange| TotalView { before: total(&change.before), after: total(&change.after) };
        Self {
            stays: changes.stays.iter().map(StayChange::numbered).collect(),
            total: changes.price.as_ref().map(totals),
            rate_plan: changes.rate_plan.as_ref(),
            guest: changes.guest,
            rooming_list: changes.rooming_list,
            links_revoked: changes.links_revoked,
        }
    }
}

/// `GET /api/bookings/{id}/history`.
pub(super) async fn history(
    State(app): State<SharedApp>,
    access: BookingAccess,
) -> Result<Tagged<HistoryView<'static>>, Problem> {
    let booking = access.booking_for_staff(&app).await?;
    let items = booking.history.iter().map(EntryView::from).collect();
    let view = HistoryView { id: booking.id, reference: &booking.reference, rev: booking.rev, items };
    Ok(Tagged::at(booking.rev, &view))
}
