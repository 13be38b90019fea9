//! Events: what happened. They carry the booking's state without personal data.

mod inventory;
mod payments;

pub use inventory::{INVENTORY_CHANGED, InventoryChange, InventoryChanged};
pub use payments::{
    EntrySnapshot, PAYMENT_CAPTURED, PAYMENT_DISPUTED, PAYMENT_EVENTS, PAYMENT_FAILED, PAYMENT_OPENED,
    PAYMENT_REFUNDED, PaymentEvent, PaymentEventKind,
};

use crate::booking::{Action, Booking, HistoryEntry, Payment, Rejection, Source, Status, Stay};
use crate::ids::{BookingId, PropertyId, RatePlanId, uuid_text};
use crate::messages::{DecodeError, MessageType, NotificationKind, decode_body};
use crate::pricing::Price;
use crate::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Wire name of the event of a booking whose beds are held until it is paid.
pub const BOOKING_HELD: &str = "booking.held.v1";
/// Wire name of the event of a hold that nobody paid for in time.
pub const BOOKING_EXPIRED: &str = "booking.expired.v1";
/// Wire name of the event of a booking whose money changed.
pub const BOOKING_PAYMENT_CHANGED: &str = "booking.payment_changed.v1";
/// Wire name of the event of a confirmed booking.
pub const BOOKING_CONFIRMED: &str = "booking.confirmed.v1";
/// Wire name of the event of a refused request.
pub const BOOKING_REJECTED: &str = "booking.rejected.v1";
/// Wire name of the event of a cancelled booking.
pub const BOOKING_CANCELLED: &str = "booking.cancelled.v1";
/// Wire name of the event of a booking whose stays, beds, price or guest changed.
pub const BOOKING_MODIFIED: &str = "booking.modified.v1";
/// Wire name of the event of guests who came.
pub const BOOKING_CHECKED_IN: &str = "booking.checked_in.v1";
/// Wire name of the event of guests who left.
pub const BOOKING_CHECKED_OUT: &str = "booking.checked_out.v1";
/// Wire name of the event of guests who did not come.
pub const BOOKING_NO_SHOW: &str = "booking.no_show.v1";
/// Wire name of the event of a check-in or no-show that was undone.
pub const BOOKING_REINSTATED: &str = "booking.reinstated.v1";

const BOOKING_EVENTS: [&str; 11] = [
    BOOKING_HELD,
    BOOKING_CONFIRMED,
    BOOKING_REJECTED,
    BOOKING_CANCELLED,
    BOOKING_MODIFIED,
    BOOKING_CHECKED_IN,
    BOOKING_CHECKED_OUT,
    BOOKING_NO_SHOW,
    BOOKING_REINSTATED,
    BOOKING_EXPIRED,
    BOOKING_PAYMENT_CHANGED,
];

/// Wire name of the event of a mail that the server accepted.
pub const NOTIFICATION_SENT: &str = "notification.sent.v1";
/// Wire name of the event of a mail that can never be delivered.
pub const NOTIFICATION_FAILED: &str = "notification.failed.v1";

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

/// The wire name of the event that tells of `action`, after which the booking has `status`. Events from before there
/// were actions have none: their status tells it.
pub fn kind_of(action: Option<Action>, status: Status) -> &'static str {
    match action {
        Some(Action::Modify | Action::Assign | Action::Move) => BOOKING_MODIFIED,
        Some(Action::Reinstate) => BOOKING_REINSTATED,
        Some(Action::RecordPayment) => BOOKING_PAYMENT_CHANGED,
        // No entry leads to `requested`.
        _ => event_kind(status).unwrap_or(BOOKING_REJECTED),
    }
}

/// A booking entered a new revision: its state right after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BookingEvent {
    /// Also the message id; a function of booking, revision and kind.
    #[serde(with = "uuid_text")]
    pub event_id: Uuid,
    /// Which booking.
    pub booking_id: BookingId,
    /// Its code for people.
    pub reference: String,
    /// The revision that this event announces.
    pub rev: u32,
    /// The status of that revision.
    pub status: Status,
    /// What caused it; absent in events from before there were changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// The hostel.
    pub property_id: PropertyId,
    /// The price list.
    pub rate_plan_id: RatePlanId,
    /// Where it came from.
    pub source: Source,
    /// What is booked, with its beds.
    pub stays: Vec<Stay>,
    /// What it costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection: Option<Rejection>,
    /// What cancelling cost, in minor units of the price's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation_fee: Option<i64>,
    /// How it is paid.
    #[serde(default, skip_serializing_if = "Payment::is_empty")]
    pub payment: Payment,
    /// When intake accepted the booking.
    pub created_at: Timestamp,
    /// When this revision was decided.
    pub occurred_at: Timestamp,
}

impl BookingEvent {
    /// The event that announces `entry`, the same whenever it is made again from the stored booking.
    ///
    /// It tells what was booked at that revision, whatever has changed since.
    pub fn of(booking: &Booking, entry: &HistoryEntry) -> Self {
        let terms = booking.state_at(entry.rev);
        Self {
            event_id: entry.event_id,
            booking_id: booking.id,
            reference: booking.reference.clone(),
            rev: entry.rev,
            status: entry.to,
            action: Some(entry.action),
            property_id: booking.property_id.clone(),
            rate_plan_id: terms.rate_plan_id,
            source: booking.source,
            stays: terms.stays,
            price: terms.price,
            rejection: booking.rejection,
            cancellation_fee: booking
                .cancellation_fee
                .filter(|_| matches!(entry.to, Status::Cancelled | Status::NoShow)),
            payment: terms.payment,
            created_at: booking.created_at,
            occurred_at: entry.at,
        }
    }

    /// Decodes any booking event.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode(kind: &str, body: &[u8]) -> Result<Self, DecodeError> {
        if !BOOKING_EVENTS.contains(&kind) {
            return Err(DecodeError::unknown(kind, &BOOKING_EVENTS));
        }
        let event: Self = decode_body(body)?;
        if event.status != Status::Requested && event.kind() == kind {
            Ok(event)
        } else {
            Err(DecodeError::InvalidBody(format!("a `{kind}` cannot have status `{}`", event.status.as_str())))
        }
    }
}

impl MessageType for BookingEvent {
    fn kind(&self) -> &'static str {
        kind_of(self.action, self.status)
    }
}

/// A mail was accepted by the server, or refused for good. Carries no address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationEvent {
    /// Also the message id.
    #[serde(with = "uuid_text")]
    pub event_id: Uuid,
    /// About which booking.
    pub booking_id: BookingId,
    /// Its hostel.
    pub property_id: PropertyId,
    /// Which mail.
    pub kind: NotificationKind,
    /// The booking's revision that it told of.
    pub version: u32,
    /// Whether the server accepted it.
    pub delivered: bool,
    /// When.
    pub occurred_at: Timestamp,
}

impl NotificationEvent {
    /// Decodes either notification event.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode(kind: &str, body: &[u8]) -> Result<Self, DecodeError> {
        match kind {
            NOTIFICATION_SENT | NOTIFICATION_FAILED => decode_body(body),
            other => Err(DecodeError::unknown(other, &[NOTIFICATION_SENT, NOTIFICATION_FAILED])),
        }
    }
}

impl MessageType for NotificationEvent {
    fn kind(&self) -> &'static str {
        if self.delivered { NOTIFICATION_SENT } else { NOTIFICATION_FAILED }
    }
}
