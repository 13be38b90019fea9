//! Transitions of disputes: the funds are withdrawn, and reinstated when the dispute is won.

use super::{Cause, State};
use crate::error::ApiError;
use crate::ids;
use crate::objects::balance::BalanceTransaction;
use crate::objects::charge::ChargeStatus;
use crate::objects::dispute::{Dispute, DisputeStatus};
use crate::params::Metadata;
use serde_json::json;

/// Stripe's fee for a dispute, in minor units.
const DISPUTE_FEE: i64 = 1_500;

impl State {
    /// Disputes the remainder of a charge; returns the dispute's id.
    pub(crate) fn open_dispute(&mut self, cause: &Cause, charge_id: &str, reason: &str) -> Result<String, ApiError> {
        let charge = self.charge(charge_id)?;
        if charge.status != ChargeStatus::Succeeded
            || !charge.captured
            || charge.dispute.is_some()
            || charge.refundable() == 0
        {
            return Err(ApiError::refused(format!("Charge {charge_id} cannot be disputed.")));
        }
        let mut dispute = Dispute {
            id: ids::short("dp"),
            created: cause.now(),
            amount: charge.refundable(),
            currency: charge.currency.clone(),
            charge: charge_id.to_owned(),
            intent: charge.intent.clone(),
            status: DisputeStatus::NeedsResponse,
            reason: reason.to_owned(),
            evidence: Metadata::new(),
            submissions: 0,
            metadata: Metadata::new(),
            balance_transactions: Vec::new(),
        };
        self.book_transfer(cause, &mut dispute, false);
        let (id, intent) = (dispute.id.clone(), dispute.intent.clone());
        self.disputes.add(dispute);
        if let Some(charge) = self.charges.get_mut(charge_id) {
            charge.dispute = Some(id.clone());
        }
        let booking = self.intents.get(&intent).and_then(|intent| self.booking_of(intent));
        self.effects.count(None, booking.as_deref(), |counts| counts.disputes += 1);
        self.emit_dispute(cause, "charge.dispute.created", &id, None);
        self.emit_dispute(cause, "charge.dispute.funds_withdrawn", &id, Some(json!({ "balance_transactions": [] })));
        Ok(id)
    }

    fn book_transfer(&mut self, cause: &Cause, dispute: &mut Dispute, back: bool) {
        let line = BalanceTransaction {
            id: ids::short("txn"),
            created: cause.now(),
            amount: if back { dispute.amount } else { -dispute.amount },
            fee: if back { 0 } else { DISPUTE_FEE },
            currency: dispute.currency.clone(),
            kind: "adjustment".to_owned(),
            reporting_category: if back { "dispute_reversal" } else { "dispute" }.to_owned(),
            source: dispute.id.clone(),
            description: Some(format!(
                "Chargeback {} for {}",
                if back { "reversal" } else { "withdrawal" },
                dispute.charge
            )),
        };
        dispute.balance_transactions.push(line.json());
        self.book(line);
    }

    /// Records evidence. With `submit` it goes to the bank.
    pub(crate) fn answer_dispute(
        &mut self,
        cause: &Cause,
        id: &str,
        evidence: Metadata,
        metadata: Metadata,
        submit: bool,
    ) -> Result<(), ApiError> {
        let open = self.dispute(id)?.status == DisputeStatus::NeedsResponse;
        if !open && !evidence.is_empty() {
            return Err(ApiError::refused(
                "This dispute is already closed or under review: evidence cannot be changed.",
            ));
        }
        let previous = json!({ "status": DisputeStatus::NeedsResponse });
        if let Some(dispute) = self.disputes.get_mut(id) {
            dispute.evidence.extend(evidence);
            dispute.metadata.extend(metadata);
            if submit && open {
                dispute.status = DisputeStatus::UnderReview;
                dispute.submissions += 1;
            }
        }
        self.emit_dispute(cause, "charge.dispute.updated", id, (submit && open).then_some(previous));
        Ok(())
    }

    /// Closes a dispute with the bank's decision.
    pub(crate) fn close_dispute(&mut self, cause: &Cause, id: &str, won: bool) -> Result<(), ApiError> {
        let mut dispute = self.dispute(id)?.clone();
        if matches!(dispute.status, DisputeStatus::Won | DisputeStatus::Lost) {
            return Err(ApiError::refused("This dispute is already closed."));
        }
        let before = json!({ "status": dispute.status });
        let lines = json!({ "balance_transactions": dispute.balance_transactions });
        dispute.status = if won { DisputeStatus::Won } else { DisputeStatus::Lost };
        if won {
            self.book_transfer(cause, &mut dispute, true);
        }
        if let Some(kept) = self.disputes.get_mut(id) {
            *kept = dispute;
        }
        self.emit_dispute(cause, "charge.dispute.closed", id, Some(before));
        if won {
            self.emit_dispute(cause, "charge.dispute.funds_reinstated", id, Some(lines));
        }
        Ok(())
    }
}
