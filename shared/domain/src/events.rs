//! Events: what happened. They carry the booking's state without personal data.

use crate::booking::{Booking, HistoryEntry, Rejection, Source, Status, Stay};
use crate::ids::{BookingId, PropertyId, RatePlanId, uuid_text};
use crate::messages::{DecodeError, MessageType, NotificationKind, decode_body};
use crate::pricing::Price;
use crate::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Wire name of the event of a confirmed booking.
pub const BOOKING_CONFIRMED: &str = "booking.confirmed.v1";
/// Wire name of the event of a refused request.
pub const BOOKING_REJECTED: &str = "booking.rejected.v1";
/// Wire name of the event of a cancelled booking.
pub const BOOKING_CANCELLED: &str = "booking.cancelled.v1";

const BOOKING_EVENTS: [&str; 3] = [BOOKING_CONFIRMED, BOOKING_REJECTED, BOOKING_CANCELLED];

/// Wire name of the event of a mail that the server accepted.
pub const NOTIFICATION_SENT: &str = "notification.sent.v1";
/// Wire name of the event of a mail that can never be delivered.
pub const NOTIFICATION_FAILED: &str = "notification.failed.v1";

/// The wire name of the event by which a booking enters `status`; `None` for a status that is not an event.
pub fn event_kind(status: Status) -> Option<&'static str> {
    match status {
        Status::Requested => None,
        Status::Confirmed => Some(BOOKING_CONFIRMED),
        Status::Rejected => Some(BOOKING_REJECTED),
        Status::Cancelled => Some(BOOKING_CANCELLED),
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
    /// When intake accepted the booking.
    pub created_at: Timestamp,
    /// When this revision was decided.
    pub occurred_at: Timestamp,
}

impl BookingEvent {
    /// The event that announces `entry`, the same whenever it is made again from the stored booking.
    pub fn of(booking: &Booking, entry: &HistoryEntry) -> Self {
        Self {
            event_id: entry.event_id,
            booking_id: booking.id,
            reference: booking.reference.clone(),
            rev: entry.rev,
            status: entry.to,
            property_id: booking.property_id.clone(),
            rate_plan_id: booking.rate_plan_id.clone(),
            source: booking.source,
            stays: booking.stays.clone(),
            price: booking.price.clone(),
            rejection: booking.rejection,
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
        if event_kind(event.status) == Some(kind) {
            Ok(event)
        } else {
            Err(DecodeError::InvalidBody(format!("a `{kind}` cannot have status `{}`", event.status.as_str())))
        }
    }
}

impl MessageType for BookingEvent {
    /// A booking event is only ever made from a history entry, and no entry leads to `requested`.
    fn kind(&self) -> &'static str {
        event_kind(self.status).unwrap_or(BOOKING_REJECTED)
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
