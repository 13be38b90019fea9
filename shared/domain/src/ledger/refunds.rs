//! Refund instructions: which payment is refunded by how much, decided and stored before Stripe is called.
//!
//! An instruction has a key, which is Stripe's idempotency key and is written on the refund: executing it twice, or
//! checking whether it was executed, finds the same refund.

use super::facts::{DisputeFact, IntentFact};
use super::{IntentStatus, Ledger};
use crate::actor::Actor;
use crate::ids::optional_uuid;
use crate::timestamp::Timestamp;
use crate::wire_enum;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

wire_enum! {
    /// Reason of a refund.
    pub enum RefundReason {
        /// Overpayment: a cancellation, a modification, a double or a late payment.
        NotOwed = "not_owed",
        /// Requested by staff.
        Staff = "staff",
    }
}

/// A refund to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundInstruction {
    /// Its key, here and at Stripe.
    pub key: String,
    /// Payment intent to refund.
    pub intent: String,
    /// Minor units of the ledger's currency.
    pub amount: i64,
    /// Reason.
    pub reason: RefundReason,
    /// Who decided it: `system` or `staff:<id>`.
    pub actor: Actor,
    /// Note of staff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Request of staff that it fulfils; a retry is the same instruction.
    #[serde(default, rename = "wish", skip_serializing_if = "Option::is_none", with = "optional_uuid")]
    pub request: Option<Uuid>,
    /// Time of the instruction.
    #[serde(rename = "ordered_at")]
    pub instructed_at: Timestamp,
    /// Stripe's error, when it permanently refused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// State of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstructionState {
    /// Not executed by Stripe, as far as known.
    Open,
    /// Executed or pending.
    Made,
    /// Refused, canceled or failed.
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

    /// Instructions that Stripe has not executed.
    pub fn open_instructions(&self) -> impl Iterator<Item = &RefundInstruction> {
        self.refund_instructions
            .iter()
            .filter(|instruction| self.instruction_state(instruction) == InstructionState::Open)
    }

    /// Amount of open instructions, in minor units: as good as refunded.
    pub fn instructed(&self) -> i64 {
        self.open_instructions().map(|instruction| instruction.amount).sum()
    }

    /// Instructions for overpayments in this state.
    fn of_system(&self, state: InstructionState) -> impl Iterator<Item = &RefundInstruction> {
        self.refund_instructions.iter().filter(move |instruction| {
            instruction.reason == RefundReason::NotOwed && self.instruction_state(instruction) == state
        })
    }

    /// The intent of this payment id: an attempt's, or Stripe's `pi_…`.
    pub fn intent_of(&self, payment: &str) -> Option<&IntentFact> {
        let attempt = self.attempts.iter().find(|attempt| attempt.id.to_string() == payment);
        let object = attempt.map_or(Some(payment), |attempt| attempt.object.as_deref())?;
        let behind = self.sessions.get(object).and_then(|session| session.intent.as_deref());
        self.intents.get(behind.unwrap_or(object))
    }

    /// Whether the payment is disputed.
    pub fn is_frozen(&self, intent: &str) -> bool {
        self.disputes.iter().any(|dispute| dispute.intent == intent && dispute.freezes())
    }

    /// Amount of a payment that can still be refunded; zero while it is disputed.
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

    /// Amount of failed instructions for overpayments that was not refunded in another way: it would fail again, so
    /// staff must resolve it.
    fn left_to_staff(&self) -> i64 {
        let sum = |state| self.of_system(state).map(|instruction| instruction.amount).sum::<i64>();
        let otherwise = self.summary().refunded - sum(InstructionState::Made);
        (sum(InstructionState::Failed) - otherwise.max(0)).max(0)
    }

    /// Amount that is neither refunded, nor instructed, nor left to staff, of a total of `to_refund`.
    fn shortfall(&self, to_refund: i64) -> i64 {
        to_refund - self.summary().refunded - self.instructed() - self.left_to_staff()
    }

    /// Amount of a payment for which the system may issue instructions: not what failed and is left to staff.
    fn instructable(&self, payment: &IntentFact) -> i64 {
        let failed: i64 = self
            .of_system(InstructionState::Failed)
            .filter(|instruction| instruction.intent == payment.id)
            .map(|instruction| instruction.amount)
            .sum();
        (self.refundable(payment) - failed.min(self.left_to_staff())).max(0)
    }

    /// Whether [`Self::instruct_refunds`] would issue an instruction.
    pub fn can_instruct_refunds(&self, to_refund: i64) -> bool {
        self.shortfall(to_refund) > 0 && self.succeeded().any(|payment| self.instructable(payment) > 0)
    }

    /// Issues instructions until `to_refund` is refunded in total, from the newest payment on. What failed once is not
    /// instructed again: it would fail again, and staff must look at it. Returns their number.
    pub fn instruct_refunds(&mut self, to_refund: i64, now: Timestamp) -> usize {
        let mut shortfall = self.shortfall(to_refund);
        let before = self.refund_instructions.len();
        let mut payments: Vec<IntentFact> = self.succeeded().cloned().collect();
        payments.sort_by(|one, two| (two.created, &two.id).cmp(&(one.created, &one.id)));
        for payment in payments {
            let amount = self.instructable(&payment).min(shortfall);
            if amount > 0 {
                shortfall -= amount;
                self.instruct(&payment.id, amount, RefundReason::NotOwed, Actor::SYSTEM, now);
            }
        }
        self.refund_instructions.len() - before
    }

    /// Issues the instruction of a request of staff. The caller has checked that the payment is refundable and the
    /// request is new.
    pub fn instruct_requested_refund(
        &mut self,
        request: Uuid,
        intent: &str,
        amount: i64,
        actor: impl Into<Actor>,
        note: &str,
        now: Timestamp,
    ) -> &RefundInstruction {
        let instruction = self.instruct(intent, amount, RefundReason::Staff, actor.into(), now);
        (instruction.request, instruction.note) = (Some(request), Some(note.to_owned()));
        instruction
    }

    fn instruct(
        &mut self,
        intent: &str,
        amount: i64,
        reason: RefundReason,
        actor: Actor,
        now: Timestamp,
    ) -> &mut RefundInstruction {
        let key = format!("refund:{}:{}", self.booking_id, self.refund_instructions.len() + 1);
        let (intent, place) = (intent.to_owned(), self.refund_instructions.len());
        self.refund_instructions.push(RefundInstruction {
            key,
            intent,
            amount,
            reason,
            actor,
            note: None,
            request: None,
            instructed_at: now,
            refused: None,
        });
        &mut self.refund_instructions[place]
    }

    /// Records that Stripe permanently refused an instruction.
    pub fn reject_instruction(&mut self, key: &str, reason: &str) {
        if let Some(instruction) = self.refund_instructions.iter_mut().find(|instruction| instruction.key == key) {
            instruction.refused = Some(reason.to_owned());
        }
    }
}
