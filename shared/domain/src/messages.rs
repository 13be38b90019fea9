//! Commands: what someone wants done. Their wire names and JSON forms are contracts with messages already queued.
//!
//! Unknown fields are ignored on read; a removed or retyped field is a new version. A committed example of every type
//! and version is decoded by a test.

/// The wire name of messages that have one each.
macro_rules! wire_name {
    ($($message:ident => $kind:ident),+ $(,)?) => {
        $(impl MessageType for $message {
            fn kind(&self) -> &'static str {
                $kind
            }
        })+
    };
}

mod bookings;
pub mod catalog;
mod payments;
mod size;

pub use bookings::*;
pub use payments::*;

use crate::accounts::mail::{ACCOUNT_MAIL, AccountMail};
use crate::booking::{Alternative, Rejection};
use crate::events::{BookingEvent, InventoryChanged, NotificationEvent, PAYMENT_EVENTS, PaymentEvent};
use crate::ids::{BookingId, PropertyId, uuid_text};
use crate::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use thiserror::Error;
use uuid::Uuid;

/// Largest body of a message, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// Something that can be sent.
pub trait MessageType: Serialize {
    /// The wire name with its version, for example `booking.request.v1`.
    fn kind(&self) -> &'static str;
}

/// What one queue carries: a closed set of message types.
pub trait Inbox: Sized + Send + 'static {
    /// Decodes a body by its wire name.
    ///
    /// # Errors
    /// [`DecodeError`] says why the message can never be handled; such a message is a dead letter at once.
    fn decode(kind: &str, body: &[u8]) -> Result<Self, DecodeError>;
}

/// For workers that hand messages around.
impl<T: Inbox + Sync> Inbox for Arc<T> {
    fn decode(kind: &str, body: &[u8]) -> Result<Self, DecodeError> {
        T::decode(kind, body).map(Self::new)
    }
}

/// Why a message cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// No such message.
    #[error("`{0}` is not a message of this queue")]
    UnknownType(String),
    /// The message is known, this version of it is not.
    #[error("`{0}` is of a version this worker does not know; deploy the newer worker and replay")]
    UnknownVersion(String),
    /// Not the JSON that the type promises.
    #[error("the body does not fit its type: {0}")]
    InvalidBody(String),
    /// Larger than [`MAX_BODY_BYTES`].
    #[error("the body has {0} bytes, more than {MAX_BODY_BYTES}")]
    Oversize(usize),
}

impl DecodeError {
    /// Stable name for metrics and dead letters.
    pub fn class(&self) -> &'static str {
        match self {
            Self::UnknownType(_) => "unknown_type",
            Self::UnknownVersion(_) => "unknown_version",
            Self::InvalidBody(_) => "invalid_body",
            Self::Oversize(_) => "oversize",
        }
    }

    /// The right error for a wire name that a queue with these known names does not carry.
    pub fn unknown(kind: &str, known: &[&str]) -> Self {
        let stem = |name: &str| name.rsplit_once(".v").map(|(stem, _)| stem.to_owned());
        let same_stem =
            stem(kind).is_some_and(|requested| known.iter().any(|name| stem(name).as_deref() == Some(&requested)));
        if same_stem { Self::UnknownVersion(kind.to_owned()) } else { Self::UnknownType(kind.to_owned()) }
    }
}

/// Reads one JSON body, refusing oversize ones first.
///
/// # Errors
/// [`DecodeError::Oversize`] or [`DecodeError::InvalidBody`]. The latter names the place, never the content: a body may
/// hold a guest's data.
pub fn decode_body<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, DecodeError> {
    if body.len() > MAX_BODY_BYTES {
        return Err(DecodeError::Oversize(body.len()));
    }
    serde_json::from_slice(body).map_err(|error| {
        let kind = if error.is_data() { "a field is missing or of the wrong type" } else { "not JSON" };
        DecodeError::InvalidBody(format!("{kind} (line {}, column {})", error.line(), error.column()))
    })
}

/// Wire name of [`SendNotification`].
pub const NOTIFICATION_SEND: &str = "notification.send.v1";
/// Wire name of [`ReconcileProperty`].
pub const RECONCILE_PROPERTY: &str = "reconcile.property.v1";

/// Which mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotificationKind {
    /// The booking is confirmed.
    BookingConfirmed,
    /// Dates, guests, room types or the price were changed.
    BookingModified,
    /// The booking is cancelled.
    BookingCancelled,
    /// Nobody came, and the beds are free again.
    BookingNoShow,
    /// The guests come in a few days.
    ArrivalSoon,
    /// The guests come today.
    ArrivalToday,
    /// Beds are held until it is paid: where to pay, and until when.
    PaymentLink,
    /// Money came for a booking that was confirmed before.
    PaymentReceived,
    /// An attempt to pay failed.
    PaymentFailed,
    /// Nobody paid in time.
    HoldExpired,
    /// Money was given back.
    PaymentRefunded,
    /// It was paid too late, and the beds are gone: the money goes back, with an apology.
    PaymentReturned,
}

impl NotificationKind {
    /// Every kind with its wire name.
    pub const ALL: [(&'static str, Self); 12] = [
        ("booking_confirmed", Self::BookingConfirmed),
        ("booking_modified", Self::BookingModified),
        ("booking_cancelled", Self::BookingCancelled),
        ("booking_no_show", Self::BookingNoShow),
        ("arrival_soon", Self::ArrivalSoon),
        ("arrival_today", Self::ArrivalToday),
        ("payment_link", Self::PaymentLink),
        ("payment_received", Self::PaymentReceived),
        ("payment_failed", Self::PaymentFailed),
        ("hold_expired", Self::HoldExpired),
        ("payment_refunded", Self::PaymentRefunded),
        ("payment_returned", Self::PaymentReturned),
    ];

    /// The wire name.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("booking_confirmed", |(name, _)| name)
    }
}

/// Staff want a mail sent, again or for the first time, or a schedule reminds a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendNotification {
    /// Names this wish: the same wish twice is one mail.
    #[serde(with = "uuid_text")]
    pub notification_id: Uuid,
    /// About which booking.
    pub booking_id: BookingId,
    /// Which mail.
    pub kind: NotificationKind,
    /// Who asks.
    pub actor: String,
    /// When it was asked.
    pub requested_at: Timestamp,
}

impl MessageType for SendNotification {
    fn kind(&self) -> &'static str {
        NOTIFICATION_SEND
    }
}

/// What the `emails` queue carries: wishes, events that notify, and mails about accounts.
#[derive(Debug, Clone, PartialEq)]
pub enum EmailCommand {
    /// Somebody asked for this mail.
    Send(SendNotification),
    /// Something happened that guests are told.
    Happened(Box<BookingEvent>),
    /// Something happened to the money of a booking that guests are told.
    Paid(Box<PaymentEvent>),
    /// Somebody is to be written to about their account.
    Account(AccountMail),
}

impl Inbox for EmailCommand {
    fn decode(kind: &str, body: &[u8]) -> Result<Self, DecodeError> {
        match kind {
            NOTIFICATION_SEND => return decode_body(body).map(Self::Send),
            ACCOUNT_MAIL => return decode_body(body).map(Self::Account),
            kind if PAYMENT_EVENTS.contains(&kind) => {
                return PaymentEvent::decode(kind, body).map(|event| Self::Paid(Box::new(event)));
            }
            _ => {}
        }
        BookingEvent::decode(kind, body).map(|event| Self::Happened(Box::new(event))).map_err(|error| match error {
            DecodeError::UnknownType(kind) => DecodeError::unknown(&kind, &[NOTIFICATION_SEND, ACCOUNT_MAIL]),
            other => other,
        })
    }
}

/// One property is to be checked, and what can be mended without loss is to be mended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconcileProperty {
    /// Names the run: its report is stored under this id.
    #[serde(with = "uuid_text")]
    pub run_id: Uuid,
    /// Which hostel.
    pub property_id: PropertyId,
    /// Report only.
    pub dry_run: bool,
    /// Who asks: `schedule:<name>` or `staff:<id>`.
    pub actor: String,
    /// When it was asked.
    pub requested_at: Timestamp,
}

impl MessageType for ReconcileProperty {
    fn kind(&self) -> &'static str {
        RECONCILE_PROPERTY
    }
}

/// What the `reconciliation` queue carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReconcileCommand {
    /// Check one property.
    Property(ReconcileProperty),
}

impl Inbox for ReconcileCommand {
    fn decode(kind: &str, body: &[u8]) -> Result<Self, DecodeError> {
        match kind {
            RECONCILE_PROPERTY => decode_body(body).map(Self::Property),
            other => Err(DecodeError::unknown(other, &[RECONCILE_PROPERTY])),
        }
    }
}

/// What the `analytics` queue carries: every event.
#[derive(Debug, Clone, PartialEq)]
pub enum AnalyticsEvent {
    /// A booking changed.
    Booking(Box<BookingEvent>),
    /// A mail was sent or refused.
    Notification(NotificationEvent),
    /// What a hostel can sell changed.
    Inventory(Box<InventoryChanged>),
    /// Money moved.
    Payment(Box<PaymentEvent>),
}

impl Inbox for AnalyticsEvent {
    fn decode(kind: &str, body: &[u8]) -> Result<Self, DecodeError> {
        let booking = || BookingEvent::decode(kind, body).map(|event| Self::Booking(Box::new(event)));
        let inventory = || InventoryChanged::decode(kind, body).map(|event| Self::Inventory(Box::new(event)));
        let payment = || PaymentEvent::decode(kind, body).map(|event| Self::Payment(Box::new(event)));
        let notification = || NotificationEvent::decode(kind, body).map(Self::Notification);
        let unless_known = |error, next: &dyn Fn() -> Result<Self, DecodeError>| {
            if matches!(error, DecodeError::UnknownType(_)) { next() } else { Err(error) }
        };
        booking()
            .or_else(|error| unless_known(error, &inventory))
            .or_else(|error| unless_known(error, &payment))
            .or_else(|error| unless_known(error, &notification))
    }
}

/// What a worker answers to a waiting API instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// About which booking, or which block: their ids never meet.
    pub booking_id: BookingId,
    /// What became of the command.
    pub outcome: ReplyOutcome,
    /// Why it was refused, where there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Box<RefusalDetail>>,
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyOutcome {
    /// The booking's stored state tells the result.
    Decided,
    /// The idempotency key already names another request.
    KeyReused,
    /// The booking's state does not allow it.
    Conflict,
    /// The booking has moved on since the revision that was expected.
    Stale,
    /// It breaks a rule or does not fit; nothing was changed.
    Refused,
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalDetail {
    /// The reason.
    pub code: RefusalCode,
    /// What could be had instead: at most three.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Alternative>,
    /// Bookings in the way of a block or an assignment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bookings: Vec<BookingId>,
}

/// The reason of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// Not enough free beds on at least one night.
    NoAvailability,
    /// The dates cannot be sold, or lie in the past.
    InvalidDates,
    /// More guests than fit.
    OverCapacity,
    /// Not sold.
    Closed,
    /// A restriction of the rate plan forbids it.
    Restriction,
    /// The price is no longer what was quoted.
    PriceChanged,
    /// The dorm is for the other gender.
    Gender,
    /// Somebody is too young.
    Age,
    /// It is too early: check-in from the day of arrival, no-show after the cut-off.
    TooEarly,
    /// It is too late: only an administrator undoes what is older than a business day; nobody arrives after departure.
    TooLate,
    /// The guests have not paid.
    BalanceOpen,
    /// Money has come, or is on its way, that has to be dealt with first.
    PaymentUnderWay,
    /// A stay has no beds, or not those of its guests' number.
    BedsMissing,
    /// A bed must be cleaned first.
    BedNotClean,
    /// A bed is taken.
    BedTaken,
    /// There is no such bed, it is out of service, or it does not belong to the stay's room type.
    BedUnfit,
    /// There is no such stay, or it is named twice.
    UnknownStay,
    /// A reason must be given.
    ReasonMissing,
    /// The booking has been changed too often.
    TooManyChanges,
}

impl From<Rejection> for RefusalCode {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::NoAvailability => Self::NoAvailability,
            Rejection::InvalidDates => Self::InvalidDates,
            Rejection::OverCapacity => Self::OverCapacity,
            Rejection::Closed => Self::Closed,
            Rejection::Restriction => Self::Restriction,
            Rejection::PriceChanged => Self::PriceChanged,
            Rejection::Gender => Self::Gender,
            Rejection::Age => Self::Age,
        }
    }
}

impl MessageType for Reply {
    fn kind(&self) -> &'static str {
        "booking.reply.v1"
    }
}
