//! Events of mails about bookings.

use crate::ids::{BookingId, PropertyId, uuid_text};
use crate::timestamp::Timestamp;
use crate::wire::{DecodeError, MessageType, decode_body, message_family};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

message_family! {
    Event NotificationEvent {
        /// The mail server accepted a mail.
        NOTIFICATION_SENT = "notification.sent.v1";
        /// The mail server permanently refused a mail.
        NOTIFICATION_FAILED = "notification.failed.v1";
    }
}

/// A mail was accepted by the mail server, or permanently refused. Carries no address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotificationEvent {
    /// Also the message id.
    #[serde(with = "uuid_text")]
    #[schemars(with = "Uuid")]
    pub event_id: Uuid,
    /// Booking.
    pub booking_id: BookingId,
    /// Its property.
    pub property_id: PropertyId,
    /// Kind of mail. Text, because it is only passed on: the sender may be of a later version, with more kinds.
    pub kind: String,
    /// The booking's revision that it was about.
    pub version: u32,
    /// Whether the mail server accepted it.
    pub delivered: bool,
    /// Time.
    pub occurred_at: Timestamp,
}

impl NotificationEvent {
    /// Decodes either notification event.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode(kind: &str, body: &[u8]) -> Result<Self, DecodeError> {
        if Self::KINDS.contains(&kind) { decode_body(body) } else { Err(DecodeError::unknown(kind, Self::KINDS)) }
    }
}

impl MessageType for NotificationEvent {
    fn kind(&self) -> &'static str {
        if self.delivered { NOTIFICATION_SENT } else { NOTIFICATION_FAILED }
    }
}
