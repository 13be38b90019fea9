//! The command that has a mail about an account sent.
//!
//! It names the account and never its address, and it never carries the token of a reset: the worker makes that when it
//! writes the mail, so that it lies readable in no queue and no log.

use super::UserId;
use crate::ids::{BookingId, PropertyId, uuid_text};
use crate::ledger::Attention;
use crate::messages::MessageType;
use crate::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Wire name of [`AccountMail`].
pub const ACCOUNT_MAIL: &str = "account.mail.v1";

/// Which mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountMailKind {
    /// The account is new.
    Welcome,
    /// Somebody tried to register an address that has an account.
    AlreadyRegistered,
    /// The password is to be chosen anew.
    PasswordReset,
    /// Staff have to look at the money of a booking.
    StaffAlert,
}

impl AccountMailKind {
    /// The wire name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Welcome => "welcome",
            Self::AlreadyRegistered => "already_registered",
            Self::PasswordReset => "password_reset",
            Self::StaffAlert => "staff_alert",
        }
    }
}

/// A mail about an account is to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountMail {
    /// Names this wish: the same wish twice is one mail.
    #[serde(with = "uuid_text")]
    pub mail_id: Uuid,
    /// Whose account. There may be none: who asks about an address that nobody has is answered like everybody else.
    pub user_id: UserId,
    /// Which mail.
    pub kind: AccountMailKind,
    /// What staff have to look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<StaffAlert>,
    /// When it was asked for.
    pub requested_at: Timestamp,
}

/// What staff have to look at. Names no guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaffAlert {
    /// Which booking.
    pub booking_id: BookingId,
    /// Its hostel.
    pub property_id: PropertyId,
    /// Why.
    pub attention: Attention,
}

impl StaffAlert {
    /// The mail that tells this person of it: the same however often it is found about this subject (a payment, a
    /// refund, a dispute).
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

impl MessageType for AccountMail {
    fn kind(&self) -> &'static str {
        ACCOUNT_MAIL
    }
}
