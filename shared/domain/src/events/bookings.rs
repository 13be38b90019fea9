//! Events of bookings: one per revision.

use crate::booking::stay_ids::leave_out;
use crate::booking::{Action, BedMove, Booking, HistoryEntry, Payment, Rejection, Source, Status, Stay};
use crate::ids::{BookingId, PropertyId, RatePlanId, uuid_text};
use crate::schema::retain_names;
use crate::timestamp::Timestamp;
use crate::values::price::Price;
use crate::wire::{DecodeError, MessageType, decode_body, message_family, queues};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

message_family! {
    Event BookingEvent restricted by bodies_of {
        /// Beds are held until payment; `payment` has the amount and the deadline.
        BOOKING_HELD = "booking.held.v1" => queues::EMAILS;
        /// Beds are claimed.
        BOOKING_CONFIRMED = "booking.confirmed.v1" => queues::EMAILS;
        /// A request was rejected; `rejection` has the reason.
        BOOKING_REJECTED = "booking.rejected.v1";
        /// The booking was cancelled and its beds released.
        BOOKING_CANCELLED = "booking.cancelled.v1" => queues::EMAILS;
        /// Stays, beds, price or guest changed; `action` tells a modification from a reassignment.
        BOOKING_MODIFIED = "booking.modified.v1" => queues::EMAILS;
        /// The guests checked in.
        BOOKING_CHECKED_IN = "booking.checked_in.v1";
        /// The guests checked out.
        BOOKING_CHECKED_OUT = "booking.checked_out.v1";
        /// The guests did not arrive; their beds were released.
        BOOKING_NO_SHOW = "booking.no_show.v1" => queues::EMAILS;
        /// A check-in or a no-show was undone.
        BOOKING_REINSTATED = "booking.reinstated.v1" => queues::EMAILS;
        /// The hold expired unpaid; its beds were released.
        BOOKING_EXPIRED = "booking.expired.v1" => queues::EMAILS;
        /// The booking's payment changed; `payment` has the totals.
        BOOKING_PAYMENT_CHANGED = "booking.payment_changed.v1" => queues::EMAILS;
    }
}

/// The wire name of the event by which a booking enters `status`; `None` for a status that is not an event.
pub fn event_kind(status: Status) -> Option<&'static str> {
    match status {
        Status::Requested => None,
        Status::Held => Some(BOOKING_HELD),
        Status::Expired => Some(BOOKING_EXPIRED),
        Status::Confirmed => Some(BOOKING_CONFIRMED),
        Status::CheckedIn => Some(BOOKING_CHECKED_IN),
        Status::CheckedOut => Some(BOOKING_CHECKED_OUT),
        Status::NoShow => Some(BOOKING_NO_SHOW),
        Status::Rejected => Some(BOOKING_REJECTED),
        Status::Cancelled => Some(BOOKING_CANCELLED),
    }
}

/// The wire name of the event of `action`, after which the booking has `status`. Events from before there were actions
/// have none: their status decides.
pub fn kind_of(action: Option<Action>, status: Status) -> &'static str {
    match action {
        Some(
            Action::Modify
            | Action::HoldChange
            | Action::ReleaseChange
            | Action::Assign
            | Action::Move
            | Action::RevokeLinks,
        ) => BOOKING_MODIFIED,
        // A part of the guests: the others are expected, or in house.
        Some(Action::CheckOut) if status == Status::CheckedIn => BOOKING_MODIFIED,
        Some(Action::NoShow) if status.is_changeable() => BOOKING_MODIFIED,
        Some(Action::Reinstate) => BOOKING_REINSTATED,
        Some(Action::RecordPayment) => BOOKING_PAYMENT_CHANGED,
        // No revision has status `requested`, and decoding refuses one that claims it.
        _ => event_kind(status).unwrap_or(BOOKING_REJECTED),
    }
}

impl HistoryEntry {
    /// The wire name of the event that announces it.
    pub fn event_kind(&self) -> &'static str {
        kind_of(Some(self.action), self.to)
    }
}

/// The schema of the bodies that this wire name may have: status and action are those of which [`kind_of`] makes it.
fn bodies_of(kind: &str, mut schema: Schema) -> Schema {
    let fits = |action: Option<Action>, status: Status| status != Status::Requested && kind_of(action, status) == kind;
    let actions = || std::iter::once(None).chain(Action::ALL.into_iter().map(|(_, action)| Some(action)));
    retain_names(&mut schema, "status", |name| {
        name.and_then(Status::parse).is_some_and(|status| actions().any(|action| fits(action, status)))
    });
    retain_names(&mut schema, "action", |name| {
        let action = name.and_then(Action::parse);
        Status::ALL.into_iter().any(|(_, status)| fits(action, status))
    });
    schema
}

/// A new revision of a booking: its state right after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BookingEvent {
    /// Also the message id; a function of booking, revision and kind.
    #[serde(with = "uuid_text")]
    #[schemars(with = "Uuid")]
    pub event_id: Uuid,
    /// Booking.
    pub booking_id: BookingId,
    /// Its reference for people.
    pub reference: String,
    /// The revision that this event announces.
    pub rev: u32,
    /// The status of that revision.
    pub status: Status,
    /// Cause; absent in events from before there were modifications.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// Property.
    pub property_id: PropertyId,
    /// Rate plan.
    pub rate_plan_id: RatePlanId,
    /// Sales channel.
    pub source: Source,
    /// Stays with their beds.
    pub stays: Vec<Stay>,
    /// Moves of the checked-in guests that this revision orders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bed_moves: Vec<BedMove>,
    /// Whether this revision dropped a change that was held until its deposit is paid.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub change_released: bool,
    /// Price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Reason of a rejection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection: Option<Rejection>,
    /// Cancellation fee, in minor units of the price's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation_fee: Option<i64>,
    /// Payment.
    #[serde(default, skip_serializing_if = "Payment::is_empty")]
    pub payment: Payment,
    /// Time at which intake accepted the request.
    pub created_at: Timestamp,
    /// Time of the decision.
    pub occurred_at: Timestamp,
}

impl BookingEvent {
    /// The event that announces `entry`: the same whenever it is derived from the stored booking, because it carries
    /// the state of that revision.
    pub fn of(booking: &Booking, entry: &HistoryEntry) -> Self {
        let mut state = booking.state_at(entry.rev);
        // Why a guest is exempt from a tax, and how old each one is, is nobody's business but the property's.
        for stay in &mut state.stays {
            if !stay.guest_ages.is_empty() {
                stay.youngest_age = None;
            }
            stay.guest_ages.clear();
            stay.tax_exemptions.clear();
        }
        leave_out(&mut state.stays);
        Self {
            event_id: entry.event_id,
            booking_id: booking.id,
            reference: booking.reference.clone(),
            rev: entry.rev,
            status: entry.to,
            action: Some(entry.action),
            property_id: booking.property_id.clone(),
            rate_plan_id: state.rate_plan_id,
            source: booking.source,
            stays: state.stays,
            bed_moves: entry.bed_moves.clone(),
            change_released: entry.changes.as_deref().is_some_and(|changes| changes.change_released),
            price: state.price,
            rejection: booking.rejection,
            cancellation_fee: booking
                .cancellation_fee
                .filter(|_| matches!(entry.to, Status::Cancelled | Status::NoShow)),
            payment: state.payment,
            created_at: booking.created_at,
            occurred_at: entry.at,
        }
    }

    /// Decodes any booking event.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode(kind: &str, body: &[u8]) -> Result<Self, DecodeError> {
        if !Self::KINDS.contains(&kind) {
            return Err(DecodeError::unknown(kind, Self::KINDS));
        }
        let event: Self = decode_body(body)?;
        if event.status != Status::Requested && event.kind() == kind {
            Ok(event)
        } else {
            Err(DecodeError::InvalidBody(format!("a `{kind}` cannot have status `{}`", event.status)))
        }
    }
}

impl MessageType for BookingEvent {
    fn kind(&self) -> &'static str {
        kind_of(self.action, self.status)
    }
}
