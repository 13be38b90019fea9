//! Refund instructions: which payment is refunded by how much, decided and stored before Stripe is called.
//!
//! An instruction has a key, which is Stripe's idempotency key and is written on the refund: executing it twice, or
//! checking whether it was executed, finds the same refund.

use super::facts::{DisputeFact, IntentFact, RefundFact};
use super::{IntentStatus, Ledger, RefundsDue};
use crate::actor::Actor;
use crate::ids::optional_uuid;
use crate::stripe::amounts;
use crate::timestamp::Timestamp;
use crate::wire_enum;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Age after which an instruction that Stripe has not executed needs the attention of staff.
const OVERDUE_AFTER: TimeDelta = TimeDelta::hours(1);

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
    /// Whether Stripe had not made it an hour later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overdue: bool,
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

    /// Open instructions in the ledger's currency.
    fn open_in_currency(&self) -> impl Iterator<Item = &RefundInstruction> {
        self.open_instructions().filter(|instruction| {
            self.intents.get(&instruction.intent).is_none_or(|payment| self.is_ours(&payment.currency))
        })
    }

    /// Amount of open instructions in the ledger's currency: as good as refunded.
    pub fn instructed(&self) -> i64 {
        self.open_in_currency().map(|instruction| instruction.amount).sum()
    }

    fn instructed_of(&self, payment: &IntentFact) -> i64 {
        self.open_instructions()
            .filter(|instruction| instruction.intent == payment.id)
            .map(|instruction| instruction.amount)
            .sum()
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

    /// Currency of the payment that is disputed, as Stripe writes it.
    pub(super) fn currency_of<'a>(&'a self, dispute: &'a DisputeFact) -> &'a str {
        self.intents.get(&dispute.intent).map_or(&dispute.currency, |payment| &payment.currency)
    }

    /// Amount of a dispute that was charged back, in the currency of its payment. A dispute in another currency takes
    /// all of the payment.
    pub(super) fn charged_back(&self, dispute: &DisputeFact) -> i64 {
        let taken = dispute.taken();
        match self.intents.get(&dispute.intent) {
            Some(payment) if !payment.currency.eq_ignore_ascii_case(&dispute.currency) && taken > 0 => payment.received,
            _ => taken,
        }
    }

    /// Amount of a payment that was charged back, in its own currency.
    pub(super) fn charged_back_of(&self, payment: &IntentFact) -> i64 {
        let disputes = self.disputes.iter().filter(|dispute| dispute.intent == payment.id);
        disputes.map(|dispute| self.charged_back(dispute)).sum()
    }

    /// Amount of a payment that was refunded through Stripe, in its own currency; pending refunds included.
    pub(super) fn refunded_of(&self, payment: &IntentFact) -> i64 {
        let effective = |refund: &&RefundFact| refund.intent == payment.id && refund.status.is_effective();
        self.refunds.iter().filter(effective).map(|refund| refund.amount).sum()
    }

    /// Amount of a payment that was neither refunded through Stripe nor charged back, in its own currency.
    pub(super) fn unreturned(&self, payment: &IntentFact) -> i64 {
        (payment.received - self.refunded_of(payment) - self.charged_back_of(payment)).max(0)
    }

    /// Amount of a payment that staff can still have refunded through Stripe, in its own currency: never more than the
    /// property keeps of all payments, because some of it may have been returned in cash. Zero while it is disputed.
    pub fn refundable(&self, payment: &IntentFact) -> i64 {
        if payment.status != IntentStatus::Succeeded || self.is_frozen(&payment.id) {
            return 0;
        }
        let left = self.unreturned(payment) - self.instructed_of(payment);
        if self.is_ours(&payment.currency) { left.min(self.returnable()).max(0) } else { left.max(0) }
    }

    /// Amount that can still be returned in any way: what is kept, less instructed refunds.
    pub fn returnable(&self) -> i64 {
        self.summary().kept() - self.instructed()
    }

    /// Amount that Stripe returns of a total of `to_refund` and that is not instructed yet. Instructions of disputed
    /// payments do not use up what other payments return, but they are carried out as well.
    fn shortfall(&self, to_refund: i64) -> i64 {
        let (mut instructed, mut unfrozen) = (0, 0);
        for instruction in self.open_in_currency() {
            instructed += instruction.amount;
            unfrozen += if self.is_frozen(&instruction.intent) { 0 } else { instruction.amount };
        }
        let due = self.summary().refunds_due(to_refund);
        (due.automatic - unfrozen).min(due.total() - due.failed - instructed).max(0)
    }

    /// Amount of a payment for which the system may issue instructions: not what failed and is left to staff.
    fn instructable(&self, payment: &IntentFact) -> i64 {
        (self.refundable(payment) - self.failed_amount(payment)).max(0)
    }

    /// The part of an amount that Stripe can refund in this currency.
    fn in_steps(&self, amount: i64) -> i64 {
        amounts::in_steps(amount, self.currency)
    }

    /// Whether [`Self::instruct_refunds`] would issue an instruction.
    pub fn can_instruct_refunds(&self, to_refund: i64) -> bool {
        let shortfall = self.shortfall(to_refund);
        self.succeeded().any(|payment| self.in_steps(self.instructable(payment).min(shortfall)) > 0)
    }

    /// Issues instructions until `to_refund` is refunded in total, as far as Stripe can return it, from the newest
    /// payment on. What failed once is not instructed again: it would fail again, and staff must look at it. Returns
    /// their number.
    pub fn instruct_refunds(&mut self, to_refund: i64, now: Timestamp) -> usize {
        self.note_total_to_refund(to_refund);
        let mut shortfall = self.shortfall(to_refund);
        let before = self.refund_instructions.len();
        let mut payments: Vec<IntentFact> = self.succeeded().cloned().collect();
        payments.sort_by(|one, two| (two.created, &two.id).cmp(&(one.created, &one.id)));
        for payment in payments {
            let amount = self.in_steps(self.instructable(&payment).min(shortfall));
            if amount > 0 {
                shortfall -= amount;
                self.instruct(&payment.id, amount, RefundReason::NotOwed, Actor::SYSTEM, now);
            }
        }
        self.refund_instructions.len() - before
    }

    /// Notes the total that the booking has decided to refund, so that what Stripe cannot return of it is shown.
    pub fn note_total_to_refund(&mut self, to_refund: i64) {
        if to_refund > 0 || self.to_refund.is_some() {
            self.to_refund = Some(to_refund);
        }
    }

    /// What is still to refund of the total that the booking has decided.
    pub fn refunds_due(&self) -> RefundsDue {
        self.summary().refunds_due(self.to_refund.unwrap_or(0))
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
            overdue: false,
            refused: None,
        });
        &mut self.refund_instructions[place]
    }

    /// Marks open instructions that are older than an hour, so that staff see them.
    pub fn mark_overdue(&mut self, now: Timestamp) {
        let is_old = |instruction: &RefundInstruction| {
            now.as_datetime() - instruction.instructed_at.as_datetime() > OVERDUE_AFTER
        };
        let overdue: Vec<String> = self
            .open_instructions()
            .filter(|instruction| is_old(instruction))
            .map(|instruction| instruction.key.clone())
            .collect();
        for instruction in self.refund_instructions.iter_mut().filter(|instruction| overdue.contains(&instruction.key))
        {
            instruction.overdue = true;
        }
    }

    /// Records that Stripe permanently refused an instruction.
    pub fn reject_instruction(&mut self, key: &str, reason: &str) {
        if let Some(instruction) = self.refund_instructions.iter_mut().find(|instruction| instruction.key == key) {
            instruction.refused = Some(reason.to_owned());
        }
    }
}
