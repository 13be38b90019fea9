//! Commands that send mails.
//!
//! An account mail names the account, never its address, and never carries the token of a reset: the worker creates
//! that when it composes the mail, so that no queue or log contains it in clear.

use crate::actor::Actor;
use crate::events::{BookingEvent, PaymentEvent};
use crate::ids::{BookingId, PropertyId, UserId, uuid_text};
use crate::ledger::Attention;
use crate::money::Money;
use crate::timestamp::Timestamp;
use crate::wire::{inbox, queues};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use crate::values::notification::{AccountMailKind, NotificationKind};

inbox! {
    /// Inbox of the `emails` queue.
    pub enum EmailCommand on queues::EMAILS {
        commands {
            /// Send one mail about a booking.
            NOTIFICATION_SEND = "notification.send.v1" => Send(SendNotification);
            /// Send one mail about an account.
            ACCOUNT_MAIL = "account.mail.v1" => Account(AccountMail);
        }
        events {
            /// A booking changed.
            Happened(Box<BookingEvent>);
            /// A payment changed.
            Paid(Box<PaymentEvent>);
        }
    }
}

/// Mail about a booking, requested by staff or by a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SendNotification {
    /// Idempotency key: the same id is one mail.
    #[serde(with = "uuid_text")]
    #[schemars(with = "Uuid")]
    pub notification_id: Uuid,
    /// Booking.
    pub booking_id: BookingId,
    /// Kind of mail.
    pub kind: NotificationKind,
    /// Who requests it.
    pub actor: Actor,
    /// Time of the request.
    pub requested_at: Timestamp,
}

/// Mail about an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountMail {
    /// Idempotency key: the same id is one mail.
    #[serde(with = "uuid_text")]
    #[schemars(with = "Uuid")]
    pub mail_id: Uuid,
    /// Account. It may not exist: a reset for an unknown address is answered like any other.
    pub user_id: UserId,
    /// Kind of mail.
    pub kind: AccountMailKind,
    /// Alert, for mails to staff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<StaffAlert>,
    /// Time of the request.
    pub requested_at: Timestamp,
}

/// A booking whose payment needs the attention of staff. Names no guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StaffAlert {
    /// Booking.
    pub booking_id: BookingId,
    /// Its property.
    pub property_id: PropertyId,
    /// Reason.
    pub attention: Attention,
    /// The amount that was paid, is to be refunded, or is disputed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
}

impl StaffAlert {
    /// The mail to this user: the same however often the alert is raised for this subject (a payment, refund or
    /// dispute).
    pub fn mail_to(&self, user: UserId, subject: &str, now: Timestamp) -> AccountMail {
        let name = format!("alert|{}|{}|{subject}", self.booking_id, self.attention.as_str());
        AccountMail {
            mail_id: Uuid::new_v5(&user.as_uuid(), name.as_bytes()),
            user_id: user,
            kind: AccountMailKind::StaffAlert,
            alert: Some(self.clone()),
            requested_at: now,
        }
    }
}
