//! Disputes: <https://docs.stripe.com/api/disputes/object>.

use crate::params::Metadata;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The status of a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DisputeStatus {
    /// Evidence is awaited.
    NeedsResponse,
    /// The bank reviews the evidence.
    UnderReview,
    /// Decided for the merchant: the funds are reinstated.
    Won,
    /// Decided for the cardholder: the funds stay withdrawn.
    Lost,
}

/// Stripe's fields of evidence.
pub(crate) const EVIDENCE: [&str; 27] = [
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
];

/// Time for evidence, in seconds.
const EVIDENCE_TIME_S: i64 = 20 * 86_400;

/// A dispute of a charge.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Dispute {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) charge: String,
    pub(crate) intent: String,
    pub(crate) status: DisputeStatus,
    pub(crate) reason: String,
    pub(crate) evidence: Metadata,
    pub(crate) submissions: u32,
    pub(crate) metadata: Metadata,
    /// Its balance transactions, oldest first.
    pub(crate) balance_transactions: Vec<Value>,
}

impl Dispute {
    /// Its JSON as Stripe shows it.
    pub(crate) fn json(&self) -> Value {
        let mut evidence: Map<String, Value> =
            EVIDENCE.iter().map(|name| ((*name).to_owned(), json!(self.evidence.get(*name)))).collect();
        evidence.insert("enhanced_evidence".to_owned(), json!({}));
        json!({
            "id": self.id, "object": "dispute", "amount": self.amount,
            "balance_transactions": self.balance_transactions, "charge": self.charge,
            "created": self.created, "currency": self.currency, "enhanced_eligibility_types": [], "evidence": evidence,
            "evidence_details": { "due_by": self.created + EVIDENCE_TIME_S, "enhanced_eligibility": {},
            "has_evidence": !self.evidence.is_empty(),
                "past_due": false, "submission_count": self.submissions,
                "submission_method": if self.submissions > 0 { "manual" } else { "not_submitted" } },
            "is_charge_refundable": false, "livemode": false, "metadata": self.metadata, "payment_intent": self.intent,
            "payment_method_details": { "card": { "brand": "visa", "case_type": "chargeback",
            "network": "visa", "network_reason_code": "10.4" }, "type": "card" },
            "reason": self.reason, "status": self.status,
        })
    }
}
