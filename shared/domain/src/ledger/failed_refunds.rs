//! Failed refunds that were not made good since: each is a task for staff.
//!
//! A failed refund is made good by whatever staff return afterwards, through Stripe or in cash; refunds that the system
//! makes for other reasons do not count.

use super::facts::IntentFact;
use super::{InstructionState, Ledger, RefundReason};

/// A failed refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FailedRefund<'a> {
    /// Key of its instruction, or `re_…` of a refund made in Stripe's dashboard.
    pub(super) subject: &'a str,
    /// Payment intent.
    pub(super) intent: &'a str,
    /// Whether the guest is owed it; otherwise staff wanted to give it.
    pub(super) owed: bool,
    /// Amount that was not made good, in the payment's currency.
    pub(super) amount: i64,
    /// Time, in Unix seconds.
    at: i64,
}

/// Money that staff returned.
struct Returned<'a> {
    currency: &'a str,
    amount: i64,
    at: i64,
}

impl Ledger {
    /// Failed refunds that were not made good, oldest first.
    pub(super) fn failed_refunds(&self) -> Vec<FailedRefund<'_>> {
        let instructed = self
            .refund_instructions
            .iter()
            .filter(|instruction| self.instruction_state(instruction) == InstructionState::Failed)
            .map(|instruction| FailedRefund {
                subject: &instruction.key,
                intent: &instruction.intent,
                owed: instruction.reason == RefundReason::NotOwed,
                amount: instruction.amount,
                at: instruction.instructed_at.as_datetime().timestamp(),
            });
        let in_dashboard =
            self.refunds.iter().filter(|refund| refund.key.is_none() && !refund.status.is_effective()).map(|refund| {
                FailedRefund {
                    subject: &refund.id,
                    intent: &refund.intent,
                    owed: false,
                    amount: refund.amount,
                    at: refund.created,
                }
            });
        let mut failed: Vec<FailedRefund<'_>> = instructed.chain(in_dashboard).collect();
        if failed.is_empty() {
            return failed;
        }
        failed.sort_by_key(|failed| (failed.at, failed.subject));
        let mut returned = self.returned_by_staff();
        for failed in &mut failed {
            let currency = self.intents.get(failed.intent).map_or(self.currency.code(), |payment| &payment.currency);
            let since = returned.iter_mut().filter(|returned| returned.at >= failed.at);
            for returned in since.filter(|returned| returned.currency.eq_ignore_ascii_case(currency)) {
                let made_good = returned.amount.min(failed.amount);
                returned.amount -= made_good;
                failed.amount -= made_good;
            }
        }
        failed.retain(|failed| failed.amount > 0);
        failed
    }

    /// What staff returned, oldest first.
    fn returned_by_staff(&self) -> Vec<Returned<'_>> {
        let of_system = |key: &str| {
            self.refund_instructions
                .iter()
                .any(|instruction| instruction.key == key && instruction.reason == RefundReason::NotOwed)
        };
        let through_stripe = self
            .refunds
            .iter()
            .filter(|refund| refund.status.is_effective() && !refund.key.as_deref().is_some_and(of_system))
            .map(|refund| Returned { currency: &refund.currency, amount: refund.amount, at: refund.created });
        let recorded = self.records.iter().filter(|record| record.amount < 0).map(|record| Returned {
            currency: self.currency.code(),
            amount: -record.amount,
            at: record.at.as_datetime().timestamp(),
        });
        let mut returned: Vec<Returned<'_>> = through_stripe.chain(recorded).collect();
        returned.sort_by_key(|returned| returned.at);
        returned
    }

    /// Amount of a payment whose automatic refund failed and that is left to staff.
    pub(super) fn failed_amount(&self, payment: &IntentFact) -> i64 {
        let failed: i64 = self
            .failed_refunds()
            .into_iter()
            .filter(|failed| failed.owed && failed.intent == payment.id)
            .map(|failed| failed.amount)
            .sum();
        failed.min(self.unreturned(payment))
    }
}
