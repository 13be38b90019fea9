//! Transitions of refunds. They never exceed the captured amount.

use super::{Cause, State};
use crate::error::ApiError;
use crate::ids;
use crate::objects::balance::BalanceTransaction;
use crate::objects::charge::ChargeStatus;
use crate::objects::dispute::DisputeStatus;
use crate::objects::refund::{Refund, RefundOutcome, RefundStatus};
use crate::objects::{Method, shown};
use crate::params::Metadata;
use serde_json::{Value, json};

/// Delay after which a refund that fails later fails, in milliseconds.
const FAILS_AFTER_MS: i64 = 300;

/// A request for a refund.
#[derive(Debug, Default)]
pub(crate) struct RefundRequest {
    pub(crate) charge: String,
    /// In minor units; the whole remainder when `None`.
    pub(crate) amount: Option<i64>,
    pub(crate) reason: Option<String>,
    pub(crate) metadata: Metadata,
}

impl State {
    /// The charge that captured a payment.
    pub(crate) fn charge_of_intent(&self, id: &str) -> Result<String, ApiError> {
        let intent = self.intents.get(id).ok_or_else(|| ApiError::missing("payment_intent", id, "payment_intent"))?;
        let paid =
            |charge: &&String| self.charges.get(charge).is_some_and(|charge| charge.status == ChargeStatus::Succeeded);
        let none = || {
            let words = format!("This PaymentIntent ({id}) does not have a successful charge to refund.");
            ApiError::refused(words).code("payment_intent_unexpected_state").param("payment_intent")
        };
        intent.charges.iter().rev().find(paid).cloned().ok_or_else(none)
    }

    fn check_refund(&self, request: &RefundRequest) -> Result<i64, ApiError> {
        let (id, charge) = (&request.charge, self.charge(&request.charge)?);
        if charge.status != ChargeStatus::Succeeded || !charge.captured {
            return Err(
                ApiError::refused(format!("Charge {id} cannot be refunded: it was not captured.")).param("charge")
            );
        }
        let dispute = charge.dispute.as_deref().and_then(|dispute| self.disputes.get(dispute));
        if dispute.is_some_and(|dispute| dispute.status != DisputeStatus::Won) {
            return Err(ApiError::refused(format!("Charge {id} has been charged back; cannot issue a refund."))
                .code("charge_disputed"));
        }
        let left = charge.refundable();
        if left == 0 {
            return Err(
                ApiError::refused(format!("Charge {id} has already been refunded.")).code("charge_already_refunded")
            );
        }
        let amount = request.amount.unwrap_or(left);
        if amount > left {
            let of = if charge.amount_refunded == 0 { "charge amount" } else { "unrefunded amount on charge" };
            let words = format!(
                "Refund amount ({}) is greater than {of} ({})",
                shown(amount, &charge.currency),
                shown(left, &charge.currency)
            );
            return Err(ApiError::refused(words).param("amount"));
        }
        Ok(amount)
    }

    /// Refunds a charge; returns the refund's id.
    pub(crate) fn refund_charge(&mut self, cause: &Cause, request: RefundRequest) -> Result<String, ApiError> {
        let amount = self.check_refund(&request)?;
        let of_card = self.charge(&request.charge)?.refund_outcome;
        let outcome = of_card.or_else(|| self.refund_outcomes.pop_front()).unwrap_or(RefundOutcome::Succeeded);
        let charge = self.charge(&request.charge)?;
        let before = json!({ "amount_refunded": charge.amount_refunded, "refunded": false });
        let status = if outcome == RefundOutcome::Pending { RefundStatus::Pending } else { RefundStatus::Succeeded };
        let mut refund = Refund {
            id: ids::short("re"),
            created: cause.now(),
            amount,
            currency: charge.currency.clone(),
            charge: charge.id.clone(),
            intent: charge.intent.clone(),
            status,
            reason: request.reason,
            metadata: request.metadata,
            balance_transaction: None,
            failure_balance_transaction: None,
            card: charge.method == Method::Card,
        };
        let kind = if refund.card { "refund" } else { "payment_refund" };
        refund.balance_transaction = Some(self.book(line_of(cause, &refund, -amount, kind, "refund")));
        let (id, intent) = (refund.id.clone(), refund.intent.clone());
        self.refunds.add(refund);
        if let Some(charge) = self.charges.get_mut(&request.charge) {
            charge.amount_refunded += amount;
            charge.refunds.push(id.clone());
        }
        if let Some(intent) = self.intents.get_mut(&intent) {
            intent.refunds.push(id.clone());
        }
        self.count_refund(cause, &intent, amount);
        self.emit_refund(cause, "refund.created", &id, None);
        self.emit_charge(cause, "charge.refunded", &request.charge, Some(before));
        match outcome {
            // The acquirer's reference follows a moment later.
            RefundOutcome::Succeeded => self.emit_update(
                cause,
                &id,
                json!({ "destination_details": { "card": { "reference": null, "reference_status": "pending" } } }),
            ),
            RefundOutcome::Pending => {}
            RefundOutcome::FailedLater => self.later.settle_refund(&id, false, cause.now_ms + FAILS_AFTER_MS),
        }
        Ok(id)
    }

    fn count_refund(&mut self, cause: &Cause, intent: &str, amount: i64) {
        let booking = self.intents.get(intent).and_then(|intent| self.booking_of(intent));
        self.effects.count(cause.key.as_deref(), booking.as_deref(), |counts| {
            counts.refunds += 1;
            counts.refunded_amount += amount;
        });
    }

    /// Emits both event types that Stripe has for a changed refund.
    fn emit_update(&mut self, cause: &Cause, id: &str, previous: Value) {
        self.emit_refund(cause, "refund.updated", id, Some(previous.clone()));
        self.emit_refund(cause, "charge.refund.updated", id, Some(previous));
    }

    /// Settles a refund: a pending one succeeds or fails, one that succeeded may still fail.
    pub(crate) fn settle_refund(&mut self, cause: &Cause, id: &str, succeeds: bool) -> Result<(), ApiError> {
        let refund = self.refund(id)?.clone();
        let previous = json!({ "status": refund.status });
        match (refund.status, succeeds) {
            (RefundStatus::Failed, _) | (RefundStatus::Succeeded, true) => {
                return Err(ApiError::refused("This refund is settled already."));
            }
            (RefundStatus::Pending, true) => {
                if let Some(refund) = self.refunds.get_mut(id) {
                    refund.status = RefundStatus::Succeeded;
                }
            }
            (RefundStatus::Pending | RefundStatus::Succeeded, false) => self.reverse_refund(cause, &refund),
        }
        self.emit_update(cause, id, previous);
        if !succeeds {
            self.emit_refund(cause, "refund.failed", id, None);
        }
        Ok(())
    }

    /// Returns the amount of a failed refund, so that it can be refunded again.
    fn reverse_refund(&mut self, cause: &Cause, refund: &Refund) {
        let line = self.book(line_of(cause, refund, refund.amount, "refund_failure", "refund_failure"));
        if let Some(refund) = self.refunds.get_mut(&refund.id) {
            refund.status = RefundStatus::Failed;
            refund.failure_balance_transaction = Some(line);
        }
        if let Some(charge) = self.charges.get_mut(&refund.charge) {
            charge.amount_refunded -= refund.amount;
        }
        let booking = self.intents.get(&refund.intent).and_then(|intent| self.booking_of(intent));
        self.effects.count(None, booking.as_deref(), |counts| {
            counts.failed_refunds += 1;
            counts.refunded_amount -= refund.amount;
        });
    }
}

fn line_of(cause: &Cause, refund: &Refund, amount: i64, kind: &str, category: &str) -> BalanceTransaction {
    BalanceTransaction {
        id: ids::short("txn"),
        created: cause.now(),
        amount,
        fee: 0,
        currency: refund.currency.clone(),
        kind: kind.to_owned(),
        reporting_category: category.to_owned(),
        source: refund.id.clone(),
        description: Some("REFUND FOR CHARGE".to_owned()),
    }
}
