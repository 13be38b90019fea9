//! Events of payments: captures, failures, refunds and disputes. They carry no personal data and no secret by which a
//! payment could be made.

use crate::ids::{BookingId, PropertyId, uuid_text};
use crate::ledger::{EntryKind, Ledger, LedgerChange};
use crate::money::Currency;
use crate::schema::retain_names;
use crate::timestamp::Timestamp;
use crate::wire::{DecodeError, MessageType, decode_body, message_family, queues};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use crate::ledger::PaymentEventKind;

message_family! {
    Event PaymentEvent restricted by bodies_of {
        /// A payment attempt was opened.
        PAYMENT_OPENED = "payment.opened.v1";
        /// A payment was captured.
        PAYMENT_CAPTURED = "payment.captured.v1";
        /// A payment attempt failed.
        PAYMENT_FAILED = "payment.failed.v1" => queues::EMAILS;
        /// A payment was refunded; the amount is 0 when the refund failed.
        PAYMENT_REFUNDED = "payment.refunded.v1";
        /// A payment was disputed, charged back, or its chargeback reversed.
        PAYMENT_DISPUTED = "payment.disputed.v1";
    }
}

/// Snapshot of a ledger entry. One that was reversed, because a refund failed, has the amount 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntrySnapshot {
    /// Stripe object or record.
    pub id: String,
    /// Kind.
    pub kind: EntryKind,
    /// Minor units; negative for outgoing amounts.
    pub amount: i64,
    /// Stripe's fee, as far as known.
    pub fee: i64,
    /// Time.
    pub at: Timestamp,
}

/// A change of a booking's payments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentEvent {
    /// Also the message id; a function of the booking and the change.
    #[serde(with = "uuid_text")]
    #[schemars(with = "Uuid")]
    pub event_id: Uuid,
    /// Booking.
    pub booking_id: BookingId,
    /// Its property.
    pub property_id: PropertyId,
    /// Kind of the change.
    #[serde(rename = "what")]
    pub change: PaymentEventKind,
    /// The payment: `pi_…`, or our own id.
    pub payment: String,
    /// The ledger entry that changed, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntrySnapshot>,
    /// Amount of the payment, refund or dispute, in minor units.
    pub amount: i64,
    /// Currency of every amount.
    #[schemars(with = "String", extend("pattern" = "^[A-Z]{3}$"))]
    pub currency: Currency,
    /// Revision of the ledger; of two events about one entry the one with the greater revision counts.
    pub ledger_rev: u64,
    /// Time at which it was observed.
    pub occurred_at: Timestamp,
}

impl PaymentEvent {
    /// The event of a change of this ledger: the same whenever it is derived.
    pub fn of(ledger: &Ledger, change: LedgerChange) -> Self {
        let name = format!("{}|{}", wire_name(change.kind), change.subject);
        Self {
            event_id: Uuid::new_v5(&ledger.booking_id.as_uuid(), name.as_bytes()),
            booking_id: ledger.booking_id,
            property_id: ledger.property_id.clone(),
            change: change.kind,
            payment: change.payment,
            entry: change.entry.map(|entry| EntrySnapshot {
                id: entry.id,
                kind: entry.kind,
                amount: entry.amount,
                fee: entry.fee,
                at: entry.at,
            }),
            amount: change.amount,
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
        if !Self::KINDS.contains(&kind) {
            return Err(DecodeError::unknown(kind, Self::KINDS));
        }
        let event: Self = decode_body(body)?;
        if event.kind() == kind {
            Ok(event)
        } else {
            Err(DecodeError::InvalidBody(format!("a `{kind}` cannot be of kind `{}`", event.change)))
        }
    }
}

fn wire_name(kind: PaymentEventKind) -> &'static str {
    match kind {
        PaymentEventKind::Opened => PAYMENT_OPENED,
        PaymentEventKind::Captured => PAYMENT_CAPTURED,
        PaymentEventKind::Failed => PAYMENT_FAILED,
        PaymentEventKind::Refunded => PAYMENT_REFUNDED,
        PaymentEventKind::Disputed => PAYMENT_DISPUTED,
    }
}

/// The schema of the bodies that this wire name may have: of one kind of change.
fn bodies_of(kind: &str, mut schema: Schema) -> Schema {
    retain_names(&mut schema, "what", |name| {
        name.and_then(PaymentEventKind::parse).is_some_and(|change| wire_name(change) == kind)
    });
    schema
}

impl MessageType for PaymentEvent {
    fn kind(&self) -> &'static str {
        wire_name(self.change)
    }
}
