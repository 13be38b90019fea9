//! JSON of a payment.

mod from_ledger;

pub(crate) use from_ledger::{currency_of, instant, payment_of, payments_of};

use crate::auth::policy::Caller;
use crate::resources::warning::Warning;
use pvt_domain::actor::Actor;
use pvt_domain::ids::{BookingId, PropertyId};
use pvt_domain::ledger::{Attention, EntryKind, PaymentChannel, RecordMethod, RefundReason};
use pvt_domain::money::{Currency, Money};
use pvt_domain::timestamp::Timestamp;
use pvt_domain::wire_enum;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Value, json};

wire_enum! {
    /// Status of a payment.
    pub(crate) enum PaymentState {
        Open = "open",
        Processing = "processing",
        Failed = "failed",
        Succeeded = "succeeded",
        Canceled = "canceled",
        Expired = "expired",
        PartiallyRefunded = "partially_refunded",
        Refunded = "refunded",
        Disputed = "disputed",
    }
}

wire_enum! {
    /// Status of a refund: instructed by us, as Stripe reports it, or refused by Stripe.
    enum RefundState {
        Ordered = "ordered",
        Pending = "pending",
        RequiresAction = "requires_action",
        Succeeded = "succeeded",
        Canceled = "canceled",
        Failed = "failed",
        Unknown = "unknown",
        Refused = "refused",
    }
}

/// Channel of a payment: through Stripe, or as staff took it.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
enum Channel {
    Stripe(PaymentChannel),
    Recorded(RecordMethod),
}

fn channel_schema(_: &mut SchemaGenerator) -> Schema {
    let names =
        PaymentChannel::ALL.iter().map(|(name, _)| *name).chain(RecordMethod::ALL.iter().map(|(name, _)| *name));
    json_schema!({ "type": "string", "enum": names.collect::<Vec<_>>() })
}

/// Staff as guests see them.
const STAFF: &str = "staff";

/// A payment.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Payment", example = example())]
pub(crate) struct PaymentView {
    /// A UUID; `pi_…` for a payment without a checkout of ours.
    pub(crate) id: String,
    pub(crate) booking_id: BookingId,
    pub(crate) property_id: PropertyId,
    #[schemars(schema_with = "channel_schema")]
    channel: Channel,
    pub(crate) status: PaymentState,
    /// The requested amount, and once paid the captured one; negative for a recorded refund.
    pub(crate) amount: Money,
    /// Refunded, or being refunded.
    refunded: Money,
    /// Stripe's fee, as far as it is known; only for callers who act for the property.
    #[serde(skip_serializing_if = "Option::is_none")]
    fee: Option<Money>,
    #[serde(skip_serializing_if = "StripeIds::is_empty")]
    stripe: StripeIds,
    /// While it can be paid; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) checkout_url: Option<String>,
    /// When the page expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) created_at: Timestamp,
    /// What staff noted with a recorded payment; only for callers who act for the property.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// Who recorded it; only for callers who act for the property.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    actor: Option<Actor>,
    entries: Vec<EntryView>,
    refunds: Vec<RefundView>,
    /// Findings that need staff; only for callers who act for the property.
    #[serde(skip_serializing_if = "Option::is_none")]
    attention: Option<Vec<Attention>>,
    /// In the answer to a recorded payment: what the caller may not have meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(inline)]
struct StripeIds {
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_intent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checkout_session: Option<String>,
}

impl StripeIds {
    fn is_empty(&self) -> bool {
        self.payment_intent.is_none() && self.checkout_session.is_none()
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
struct EntryView {
    id: String,
    kind: EntryKind,
    /// Captured, or, negative, refunded or charged back.
    amount: Money,
    /// Only for callers who act for the property.
    #[serde(skip_serializing_if = "Option::is_none")]
    fee: Option<Money>,
    /// Of the whole booking, up to here.
    balance: Money,
    at: Timestamp,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
struct RefundView {
    /// `re_…`, or the key of the instruction until Stripe has made it.
    id: String,
    amount: Money,
    /// `ordered`: instructed, not made by Stripe yet; `refused`: refused by Stripe.
    status: RefundState,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<RefundReason>,
    /// Only for callers who act for the property.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// `stripe` for a refund from Stripe's dashboard; `staff` alone for callers who do not act for the property.
    #[schemars(with = "String")]
    actor: Actor,
    at: Timestamp,
}

/// The payment of the document's examples.
pub(crate) const EXAMPLE_ID: &str = "22222222-3333-5444-8555-666666666666";
/// The booking of the document's examples.
pub(crate) const EXAMPLE_BOOKING: &str = "11111111-2222-5333-8444-555555555555";

/// An amount of the document's examples.
pub(crate) fn example_money(amount: i64) -> Money {
    Money::new(amount, Currency::CAD)
}

fn example() -> Value {
    let paid_at = "2026-12-01T12:03:00.000Z";
    json!({
        "id": EXAMPLE_ID, "booking_id": EXAMPLE_BOOKING, "property_id": "pvt-montreal", "channel": "checkout",
        "status": "partially_refunded", "amount": example_money(28_560), "refunded": example_money(2_000),
        "fee": example_money(858), "stripe": { "payment_intent": "pi_1", "checkout_session": "cs_test_1" },
        "created_at": "2026-12-01T12:00:00.000Z",
        "entries": [
            { "id": "pi_1", "kind": "payment", "amount": example_money(28_560), "fee": example_money(858),
                "balance": example_money(28_560), "at": paid_at },
            { "id": "re_1", "kind": "refund", "amount": example_money(-2_000), "fee": example_money(0),
                "balance": example_money(26_560), "at": paid_at },
        ],
        "refunds": [{ "id": "re_1", "amount": example_money(2_000), "status": "succeeded", "reason": "staff",
            "note": "the shower was cold", "actor": "staff:1", "at": paid_at }],
        "attention": [],
    })
}

impl PaymentView {
    /// As lists show it: without the page.
    pub(crate) fn without_checkout_url(mut self) -> Self {
        self.checkout_url = None;
        self
    }

    /// As this caller may see it: notes of staff and fees are only for callers who act for its property.
    pub(crate) fn visible_to(mut self, caller: &Caller) -> Self {
        if caller.is_staff_of(&self.property_id) {
            return self;
        }
        (self.fee, self.attention, self.note, self.actor) = (None, None, None, None);
        self.entries.iter_mut().for_each(|entry| entry.fee = None);
        for refund in &mut self.refunds {
            refund.note = None;
            if refund.actor.is_staff() {
                refund.actor = Actor::from(STAFF);
            }
        }
        self
    }

    /// With these warnings.
    pub(crate) fn warning(self, warnings: Vec<Warning>) -> Self {
        Self { warnings, ..self }
    }

    /// Whether it was made through Stripe, which can refund it.
    pub(crate) fn is_stripe_payment(&self) -> bool {
        matches!(self.channel, Channel::Stripe(_))
    }
}

#[cfg(test)]
mod tests;
