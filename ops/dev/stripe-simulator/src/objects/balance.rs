//! Balance transactions, Stripe's own ledger: <https://docs.stripe.com/api/balance_transactions/object>.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Time until funds are available for payouts, in seconds.
const AVAILABLE_AFTER_S: i64 = 2 * 86_400;

/// A balance transaction.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BalanceTransaction {
    pub(crate) id: String,
    pub(crate) created: i64,
    /// Minor units; negative when funds leave.
    pub(crate) amount: i64,
    pub(crate) fee: i64,
    pub(crate) currency: String,
    /// Stripe's `type`.
    pub(crate) kind: String,
    pub(crate) reporting_category: String,
    /// The charge, refund or dispute that caused it.
    pub(crate) source: String,
    pub(crate) description: Option<String>,
}

impl BalanceTransaction {
    /// Its JSON as Stripe shows it.
    pub(crate) fn json(&self) -> Value {
        let words = if self.reporting_category == "dispute" { "Dispute fee" } else { "Stripe processing fees" };
        let fees = match self.fee {
            0 => json!([]),
            fee => {
                json!([{ "amount": fee, "application": null, "currency": self.currency, "description": words,
                    "type": "stripe_fee" }])
            }
        };
        json!({
            "id": self.id, "object": "balance_transaction", "amount": self.amount,
            "available_on": self.created + AVAILABLE_AFTER_S,
            "balance_type": "payments", "created": self.created, "currency": self.currency,
            "description": self.description, "exchange_rate": null,
            "fee": self.fee, "fee_details": fees, "net": self.amount - self.fee,
            "reporting_category": self.reporting_category, "source": self.source,
            "status": "pending", "type": self.kind,
        })
    }
}
