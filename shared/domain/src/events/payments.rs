//! Events of money: what came, went, failed or is argued about. Without personal data and without anything by which one
//! could pay.

use crate::ids::{BookingId, PropertyId, uuid_text};
use crate::ledger::{EntryKind, Ledger, LedgerChange, LedgerChangeKind};
use crate::messages::{DecodeError, MessageType, decode_body};
use crate::money::Currency;
use crate::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Wire name of the event of a guest who was sent to pay.
pub const PAYMENT_OPENED: &str = "payment.opened.v1";
/// Wire name of the event of money that came.
pub const PAYMENT_CAPTURED: &str = "payment.captured.v1";
/// Wire name of the event of an attempt that failed.
pub const PAYMENT_FAILED: &str = "payment.failed.v1";
/// Wire name of the event of money that was given back.
pub const PAYMENT_REFUNDED: &str = "payment.refunded.v1";
/// Wire name of the event of money that a bank argues about.
pub const PAYMENT_DISPUTED: &str = "payment.disputed.v1";

/// All of them.
pub const PAYMENT_EVENTS: [&str; 5] =
    [PAYMENT_OPENED, PAYMENT_CAPTURED, PAYMENT_FAILED, PAYMENT_REFUNDED, PAYMENT_DISPUTED];

/// An entry of the ledger as it is now. One that was taken back, because a refund came back, has the amount 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntrySnapshot {
    /// The object that it stands for.
    pub id: String,
    /// What kind.
    pub kind: EntryKind,
    /// Minor units; negative when it went.
    pub amount: i64,
    /// What Stripe kept, as far as is known.
    pub fee: i64,
    /// When.
    pub at: Timestamp,
}

/// Something happened to the money of a booking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentEvent {
    /// Also the message id; a function of the booking and of what happened.
    #[serde(with = "uuid_text")]
    pub event_id: Uuid,
    /// Which booking.
    pub booking_id: BookingId,
    /// Its hostel.
    pub property_id: PropertyId,
    /// What happened: the wire name without its version.
    pub what: PaymentEventKind,
    /// The payment: `pi_…`, or our own id.
    pub payment: String,
    /// The entry that moved, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntrySnapshot>,
    /// What it is about, in minor units.
    pub amount: i64,
    /// Of every amount.
    pub currency: Currency,
    /// The ledger's revision that made it: of two tellings of one entry the one with the greater revision counts.
    pub ledger_rev: u64,
    /// When it was noticed.
    pub occurred_at: Timestamp,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentEventKind {
    /// A guest was sent to pay.
    Opened,
    /// Money came.
    Captured,
    /// An attempt failed.
    Failed,
    /// Money was given back.
    Refunded,
    /// A bank argues, or has decided.
    Disputed,
}

impl PaymentEventKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Captured => "captured",
            Self::Failed => "failed",
            Self::Refunded => "refunded",
            Self::Disputed => "disputed",
        }
    }
}

impl PaymentEvent {
    /// The event of a piece of news of this ledger, the same whenever it is made again.
    pub fn of(ledger: &Ledger, changes: LedgerChange) -> Self {
        let what = match changes.kind {
            LedgerChangeKind::Opened => PaymentEventKind::Opened,
            LedgerChangeKind::Captured => PaymentEventKind::Captured,
            LedgerChangeKind::Failed => PaymentEventKind::Failed,
            LedgerChangeKind::Refunded => PaymentEventKind::Refunded,
            LedgerChangeKind::Disputed => PaymentEventKind::Disputed,
        };
        Self {
            event_id: Uuid::new_v5(
                &ledger.booking_id.as_uuid(),
                format!("{}|{}", kind_of(what), changes.subject).as_bytes(),
            ),
            booking_id: ledger.booking_id,
            property_id: ledger.property_id.clone(),
            what,
            payment: changes.payment,
            entry: changes.entry.map(|entry| EntrySnapshot {
                id: entry.id,
                kind: entry.kind,
                amount: entry.amount,
                fee: entry.fee,
                at: entry.at,
            }),
            amount: changes.amount,
            currency: ledger.currency,
            ledger_rev: ledger.rev,
            occurred_at: ledger.updated_at,
        }
    }

    /// Decodes any payment event.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode(kind: &str, body: &[u8]) -> Result<Self, DecodeError> {
        if !PAYMENT_EVENTS.contains(&kind) {
            return Err(DecodeError::unknown(kind, &PAYMENT_EVENTS));
        }
        let event: Self = decode_body(body)?;
        if event.kind() == kind {
            Ok(event)
        } else {
            Err(DecodeError::InvalidBody(format!("a `{kind}` cannot tell of `{:?}`", event.what)))
        }
    }
}

fn kind_of(what: PaymentEventKind) -> &'static str {
    match what {
        PaymentEventKind::Opened => PAYMENT_OPENED,
        PaymentEventKind::Captured => PAYMENT_CAPTURED,
        PaymentEventKind::Failed => PAYMENT_FAILED,
        PaymentEventKind::Refunded => PAYMENT_REFUNDED,
        PaymentEventKind::Disputed => PAYMENT_DISPUTED,
    }
}

impl MessageType for PaymentEvent {
    fn kind(&self) -> &'static str {
        kind_of(self.what)
    }
}
