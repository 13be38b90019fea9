//! Giving money back: which payment gives how much, decided and written down before Stripe is asked.
//!
//! An order has a key of its own, which is Stripe's idempotency key and is written on the refund: whoever carries an
//! order out twice, or looks whether it was carried out, meets the same refund.

use super::facts::{DisputeFact, IntentFact};
use super::{IntentStatus, Ledger};
use crate::ids::optional_uuid;
use crate::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why money is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundReason {
    /// What the booking came to leaves more than is owed: a cancellation, a change, a double or a late payment.
    NotOwed,
    /// Staff decided it.
    Staff,
}

/// A refund that is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundInstruction {
    /// Names it, here and at Stripe.
    pub key: String,
    /// Which payment gives it back.
    pub intent: String,
    /// Minor units of the ledger's currency.
    pub amount: i64,
    /// Why.
    pub reason: RefundReason,
    /// Who decided it: `system` or `staff:<id>`.
    pub actor: String,
    /// In words, when staff decided it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The wish of staff that it answers: the same wish twice is one order.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_uuid")]
    pub wish: Option<Uuid>,
    /// When.
    pub ordered_at: Timestamp,
    /// Stripe's answer, when it refused it for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstructionState {
    /// Stripe has not made it, as far as is known.
    Open,
    /// It is made or on its way.
    Made,
    /// It was refused, taken back or came back.
    Failed,
}

impl Ledger {
    /// What became of an order.
    pub fn instruction_state(&self, instruction: &RefundInstruction) -> InstructionState {
        let made = self.refunds.iter().find(|refund| refund.key.as_deref() == Some(&instruction.key));
        match made {
            Some(refund) if refund.status.is_effective() => InstructionState::Made,
            Some(_) => InstructionState::Failed,
            None if instruction.refused.is_some() => InstructionState::Failed,
            None => InstructionState::Open,
        }
    }

    /// Orders that Stripe has not made.
    pub fn open_instructions(&self) -> impl Iterator<Item = &RefundInstruction> {
        self.orders.iter().filter(|instruction| self.instruction_state(instruction) == InstructionState::Open)
    }

    /// What Stripe is still to give back, in minor units: as good as gone.
    pub fn instructed(&self) -> i64 {
        self.open_instructions().map(|instruction| instruction.amount).sum()
    }

    /// Orders that the system decided, and of which this became.
    fn of_system(&self, state: InstructionState) -> impl Iterator<Item = &RefundInstruction> {
        self.orders.iter().filter(move |instruction| {
            instruction.reason == RefundReason::NotOwed && self.instruction_state(instruction) == state
        })
    }

    /// The payment of this id: an attempt's, or Stripe's `pi_…`.
    pub fn intent_of(&self, payment: &str) -> Option<&IntentFact> {
        let attempt = self.attempts.iter().find(|attempt| attempt.id.to_string() == payment);
        let object = attempt.map_or(Some(payment), |attempt| attempt.object.as_deref())?;
        let behind = self.sessions.get(object).and_then(|session| session.intent.as_deref());
        self.intents.get(behind.unwrap_or(object))
    }

    /// Whether a bank argues about a payment.
    pub fn is_frozen(&self, intent: &str) -> bool {
        self.disputes.iter().any(|dispute| dispute.intent == intent && dispute.freezes())
    }

    /// What a payment can still give back. Nothing while a bank argues about it.
    pub fn refundable(&self, intent: &IntentFact) -> i64 {
        if intent.status != IntentStatus::Succeeded || self.is_frozen(&intent.id) {
            return 0;
        }
        let given: i64 = self
            .refunds
            .iter()
            .filter(|refund| refund.intent == intent.id && refund.status.is_effective())
            .map(|refund| refund.amount)
            .sum();
        let instructed: i64 = self
            .open_instructions()
            .filter(|instruction| instruction.intent == intent.id)
            .map(|instruction| instruction.amount)
            .sum();
        let taken: i64 =
            self.disputes.iter().filter(|dispute| dispute.intent == intent.id).map(DisputeFact::taken).sum();
        (intent.received - given - instructed - taken).max(0)
    }

    /// What the system ordered and failed, and nobody gave back in another way: it would fail again, so staff have to
    /// see to it.
    fn left_to_staff(&self) -> i64 {
        let sum = |state| self.of_system(state).map(|instruction| instruction.amount).sum::<i64>();
        let otherwise = self.summary().refunded - sum(InstructionState::Made);
        (sum(InstructionState::Failed) - otherwise.max(0)).max(0)
    }

    /// What is neither given back, nor ordered, nor left to staff, until `to_return` has been given back in all.
    fn shortfall(&self, to_return: i64) -> i64 {
        to_return - self.summary().refunded - self.instructed() - self.left_to_staff()
    }

    /// What the system may order of a payment: not what failed and is left to staff.
    fn instructable(&self, payment: &IntentFact) -> i64 {
        let failed: i64 = self
            .of_system(InstructionState::Failed)
            .filter(|instruction| instruction.intent == payment.id)
            .map(|instruction| instruction.amount)
            .sum();
        (self.refundable(payment) - failed.min(self.left_to_staff())).max(0)
    }

    /// Whether [`Self::instruct_refunds`] would order anything.
    pub fn can_instruct_refunds(&self, to_return: i64) -> bool {
        self.shortfall(to_return) > 0 && self.succeeded().any(|payment| self.instructable(payment) > 0)
    }

    /// Orders whatever is missing until `to_return` has been given back in all, from the newest payment on. What failed
    /// once is not ordered again by itself: it would fail again, and staff have to look at it.
    pub fn instruct_refunds(&mut self, to_return: i64, now: Timestamp) -> usize {
        let mut shortfall = self.shortfall(to_return);
        let before = self.orders.len();
        let mut payments: Vec<IntentFact> = self.succeeded().cloned().collect();
        payments.sort_by(|one, two| (two.created, &two.id).cmp(&(one.created, &one.id)));
        for payment in payments {
            let amount = self.instructable(&payment).min(shortfall);
            if amount > 0 {
                shortfall -= amount;
                self.instruct(&payment.id, amount, RefundReason::NotOwed, "system", now);
            }
        }
        self.orders.len() - before
    }

    /// Orders what staff want of one payment; the caller has looked whether the payment can give it, and that the wish
    /// is new.
    pub fn instruct_requested_refund(
        &mut self,
        wish: Uuid,
        intent: &str,
        amount: i64,
        actor: &str,
        note: &str,
        now: Timestamp,
    ) -> &RefundInstruction {
        let instruction = self.instruct(intent, amount, RefundReason::Staff, actor, now);
        (instruction.wish, instruction.note) = (Some(wish), Some(note.to_owned()));
        instruction
    }

    fn instruct(
        &mut self,
        intent: &str,
        amount: i64,
        reason: RefundReason,
        actor: &str,
        now: Timestamp,
    ) -> &mut RefundInstruction {
        let key = format!("refund:{}:{}", self.booking_id, self.orders.len() + 1);
        let (intent, actor, place) = (intent.to_owned(), actor.to_owned(), self.orders.len());
        self.orders.push(RefundInstruction {
            key,
            intent,
            amount,
            reason,
            actor,
            note: None,
            wish: None,
            ordered_at: now,
            refused: None,
        });
        &mut self.orders[place]
    }

    /// Stripe refused an order for good.
    pub fn reject_instruction(&mut self, key: &str, reason: &str) {
        if let Some(instruction) = self.orders.iter_mut().find(|instruction| instruction.key == key) {
            instruction.refused = Some(reason.to_owned());
        }
    }
}
