//! A booking: the stays of one guest, their lifecycle and history.

mod absence;
mod balance;
pub mod calendar;
pub mod change_fees;
mod former_address;
pub mod history;
pub mod lifecycle;
pub mod mails;
pub mod payment;
pub mod pending_change;
mod progress;
mod revisions;
mod rooming_list;
pub(crate) mod stay_ids;

pub use crate::values::guest::{Guest, Source, recipient};
pub use crate::values::place_guest::PlaceGuest;
pub use crate::values::refusal::{Alternative, DirtyBed, RefusalCause, Rejection, Shortage};
pub use crate::values::stay::{BedMove, EarlierBeds, PartyGender, Stay, StayProgress, StayRequest};
pub use crate::values::tax::TaxExemption;
pub use absence::Absence;
pub use calendar::CalendarEntry;
pub use change_fees::{CancellationTerm, ChangeFees};
pub use former_address::FormerAddress;
pub use history::{Action, Changes, HistoryEntry};
pub use lifecycle::Status;
pub use payment::{Payment, PaymentStatus};
pub use pending_change::PendingChange;
pub use revisions::left_out;
pub use rooming_list::{Place, PlaceProgress};
pub use stay_ids::stay_id;

use crate::ids::{BedId, BookingId, PropertyId, RatePlanId};
use crate::money::is_zero;
use crate::timestamp::Timestamp;
use crate::values::policy::CancellationPolicy;
use crate::values::price::Price;
use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// A booking, as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Booking {
    /// Its id.
    #[serde(rename = "_id")]
    pub id: BookingId,
    /// Reference for people; a function of the id.
    pub reference: String,
    /// Status.
    pub status: Status,
    /// Revision: the number of history entries.
    pub rev: u32,
    /// Property.
    pub property_id: PropertyId,
    /// Rate plan.
    pub rate_plan_id: RatePlanId,
    /// Sales channel.
    pub source: Source,
    /// Stays.
    pub stays: Vec<Stay>,
    /// Stays of a booking that goes on, whose guests did not arrive: their beds are released, and what they owe is
    /// among the change fees.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub no_shows: Vec<Absence>,
    /// How many ids were given to stays, where stays with the last ones are gone; otherwise zero.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stay_ids: u32,
    /// Guest.
    pub guest: Guest,
    /// Who sleeps in which place, by stay and position. As the guest: never in events.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rooming_list: Vec<PlaceGuest>,
    /// Price; absent when the request was rejected before it could be priced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Payment.
    #[serde(default, skip_serializing_if = "Payment::is_empty")]
    pub payment: Payment,
    /// A change that waits for its deposit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_change: Option<Box<PendingChange>>,
    /// Reason of a rejection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection: Option<Rejection>,
    /// What exactly forbade the request; empty in bookings from before it was stored.
    #[serde(default, skip_serializing_if = "RefusalCause::is_empty")]
    pub rejection_cause: RefusalCause,
    /// Offers made with a rejection: at most three.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Alternative>,
    /// Cancellation policy at the time of booking; absent in bookings from before there were policies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation_policy: Option<CancellationPolicy>,
    /// Cancellation fee in minor units of the price's currency; zero when it was waived. Whether it is charged is
    /// decided apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation_fee: Option<i64>,
    /// Authenticated client that made the request; absent for anonymous callers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Epoch of the booking's tokens: a token of an earlier one opens nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub token_epoch: u32,
    /// Fingerprint of the request's body, in its canonical form (of earlier versions, as it was sent), to detect an
    /// idempotency key reused for another request.
    pub fingerprint: String,
    /// When intake accepted the request.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Every revision, oldest first.
    pub history: Vec<HistoryEntry>,
}

/// Days after the last departure until which a booking's tokens open it.
pub const TOKEN_DAYS_AFTER_DEPARTURE: u64 = 14;

impl Booking {
    /// Whether a token of this epoch opens the booking: it is of the present epoch, and the last departure is at most
    /// [`TOKEN_DAYS_AFTER_DEPARTURE`] days ago. The end follows changes of the stays, so it is not in the token.
    pub fn accepts_token(&self, epoch: u32, now: Timestamp) -> bool {
        let departure = self.stays.iter().map(|stay| stay.departure).max();
        let last_day =
            departure.and_then(|departure| departure.checked_add_days(Days::new(TOKEN_DAYS_AFTER_DEPARTURE)));
        epoch == self.token_epoch && last_day.is_none_or(|last_day| now.as_datetime().date_naive() <= last_day)
    }

    /// The bed-nights that this booking must claim, from its stays, its pending change and its status alone.
    pub fn claims(&self) -> impl Iterator<Item = (&BedId, NaiveDate)> {
        let pending = self.pending_change.as_ref().map_or(&[][..], |pending| &pending.stays);
        claimed_nights(self.status, &self.stays, pending)
    }
}

/// The bed-nights that a booking in this status must claim for its stays and those of its pending change; a bed-night
/// of both is claimed once.
pub fn claimed_nights<'a>(
    status: Status,
    stays: &'a [Stay],
    pending: &'a [Stay],
) -> impl Iterator<Item = (&'a BedId, NaiveDate)> {
    let (stays, pending) = if status.holds_beds() { (stays, pending) } else { (&[][..], &[][..]) };
    let own = || stays.iter().flat_map(Stay::bed_nights);
    let known: HashSet<_> = if pending.is_empty() { HashSet::new() } else { own().collect() };
    own().chain(pending.iter().flat_map(Stay::bed_nights).filter(move |night| !known.contains(night)))
}
