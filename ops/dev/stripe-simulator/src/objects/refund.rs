//! Refunds: <https://docs.stripe.com/api/refunds/object>.

use crate::params::Metadata;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The course that a refund takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundOutcome {
    /// It succeeds at once.
    Succeeded,
    /// It stays pending until it is settled.
    Pending,
    /// It succeeds and fails a moment later: the funds return.
    FailedLater,
}

/// The status of a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RefundStatus {
    /// The bank has not answered yet.
    Pending,
    /// The funds are on their way to the guest.
    Succeeded,
    /// The funds were returned.
    Failed,
}

/// A refund.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) charge: String,
    pub(crate) intent: String,
    pub(crate) status: RefundStatus,
    pub(crate) reason: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) balance_transaction: Option<String>,
    pub(crate) failure_balance_transaction: Option<String>,
    pub(crate) card: bool,
}

impl Refund {
    /// Its JSON as Stripe shows it.
    pub(crate) fn json(&self) -> Value {
        let settled = self.status == RefundStatus::Succeeded;
        let reference = if settled { "available" } else { "pending" };
        let destination = match self.card {
            true => {
                json!({ "type": "card", "card": {
                    "reference": settled.then_some("123456789012345"), "reference_status": reference,
                    "reference_type": "acquirer_reference_number", "type": "refund" } })
            }
            false => Value::Null,
        };
        let mut refund = json!({
            "id": self.id, "object": "refund", "amount": self.amount, "balance_transaction": self.balance_transaction,
            "charge": self.charge,
            "created": self.created, "currency": self.currency, "destination_details": destination,
            "metadata": self.metadata,
            "payment_intent": self.intent, "reason": self.reason, "receipt_number": null,
            "source_transfer_reversal": null, "status": self.status,
            "transfer_reversal": null,
        });
        if let (RefundStatus::Failed, Some(object)) = (self.status, refund.as_object_mut()) {
            object.insert("failure_reason".to_owned(), json!("expired_or_canceled_card"));
            object.insert("failure_balance_transaction".to_owned(), json!(self.failure_balance_transaction));
        }
        refund
    }
}
