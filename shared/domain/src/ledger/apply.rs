//! Observation of Stripe's objects: one pure step for every event and for every object that was read.

use super::Ledger;
use super::facts::{
    ChargeFact, DisputeFact, DisputeStage, IntentFact, Observation, RefundFact, SessionFact, SessionState,
};
use crate::stripe::metadata::{self, REFUND_KEY};
use crate::stripe::{
    Charge, CheckoutSession, Dispute, Event, IntentStatus, Object, PaymentIntent, Refund, SessionPayment, SessionStatus,
};

/// Objects to read from Stripe, because an event lacked something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refetch {
    /// All refunds of this payment: more was refunded than is known.
    Refunds {
        /// `pi_…`.
        intent: String,
    },
}

/// A payment attempt failed.
const INTENT_FAILED: &str = "payment_intent.payment_failed";
/// An asynchronous payment failed.
const SESSION_FAILED: &str = "checkout.session.async_payment_failed";

impl Ledger {
    /// Observes an event. The result does not depend on the order of events, nor on how often each is observed.
    pub fn apply(&mut self, event: &Event) -> Option<Refetch> {
        let observation = Observation { at: event.created, by: event.id.clone() };
        match &event.object {
            Object::Session(session) => self.observe_session(session, event.kind == SESSION_FAILED, observation),
            Object::Intent(intent) => self.observe_intent(intent, event.kind == INTENT_FAILED, observation),
            Object::Charge(charge) => return self.observe_charge(charge),
            Object::Refund(refund) => self.observe_refund(refund, observation),
            Object::Dispute(dispute) => self.observe_dispute(dispute, observation),
            Object::Other => {}
        }
        None
    }

    /// Observes a checkout session. A paid one also implies its payment intent, in case nothing else reports it.
    pub fn observe_session(&mut self, session: &CheckoutSession, failed: bool, observation: Observation) {
        let state = match (session.status, session.payment_status) {
            (_, SessionPayment::Paid | SessionPayment::NotNeeded) => SessionState::Paid,
            (SessionStatus::Expired, _) => SessionState::Expired,
            (SessionStatus::Complete, _) if failed => SessionState::Failed,
            (SessionStatus::Complete, _) => SessionState::Processing,
            (SessionStatus::Open | SessionStatus::Unknown, _) => SessionState::Open,
        };
        if let Some(intent) = session.payment_intent.as_ref().filter(|_| state == SessionState::Paid) {
            self.intents.observe(IntentFact {
                id: intent.clone(),
                status: IntentStatus::Succeeded,
                // An observation of the intent itself takes precedence.
                observation: Observation { at: 0, by: session.id.clone() },
                amount: session.amount_total,
                received: session.amount_total,
                currency: session.currency.clone(),
                demand: metadata::demand(&session.metadata),
                created: session.created,
                failed_at: None,
            });
        }
        self.sessions.observe(SessionFact {
            id: session.id.clone(),
            state,
            observation,
            intent: session.payment_intent.clone(),
            url: session.url.clone(),
            expires_at: session.expires_at,
        });
    }

    /// Observes a payment intent.
    pub fn observe_intent(&mut self, intent: &PaymentIntent, failed: bool, observation: Observation) {
        self.intents.observe(IntentFact {
            id: intent.id.clone(),
            status: intent.status,
            amount: intent.amount,
            received: intent.amount_received,
            currency: intent.currency.clone(),
            demand: metadata::demand(&intent.metadata),
            created: intent.created,
            failed_at: failed.then_some(observation.at),
            observation,
        });
    }

    fn observe_charge(&mut self, charge: &Charge) -> Option<Refetch> {
        let intent = charge.payment_intent.clone()?;
        self.charges.observe(ChargeFact {
            id: charge.id.clone(),
            intent: intent.clone(),
            refunded: charge.amount_refunded,
        });
        self.lacks_refunds(&intent).then_some(Refetch::Refunds { intent })
    }

    /// Whether more of this payment was refunded than is known.
    pub fn lacks_refunds(&self, intent: &str) -> bool {
        let known: i64 = self.refunds.iter().filter(|refund| refund.intent == intent).map(|refund| refund.amount).sum();
        let said: i64 =
            self.charges.iter().filter(|charge| charge.intent == intent).map(|charge| charge.refunded).sum();
        said > known
    }

    /// Observes a refund.
    pub fn observe_refund(&mut self, refund: &Refund, observation: Observation) {
        let Some(intent) = refund.payment_intent.clone() else { return };
        self.refunds.observe(RefundFact {
            id: refund.id.clone(),
            status: refund.status,
            observation,
            intent,
            amount: refund.amount,
            currency: refund.currency.clone(),
            key: refund.metadata.get(REFUND_KEY).cloned(),
            created: refund.created,
            failure: refund.failure_reason.clone(),
        });
    }

    /// Observes a dispute.
    pub fn observe_dispute(&mut self, dispute: &Dispute, observation: Observation) {
        let Some(intent) = dispute.payment_intent.clone() else { return };
        let stage = match dispute.status.as_str() {
            "won" | "lost" | "warning_closed" | "prevented" => DisputeStage::Closed,
            "under_review" | "warning_under_review" => DisputeStage::UnderReview,
            _ => DisputeStage::Open,
        };
        self.disputes.observe(DisputeFact {
            id: dispute.id.clone(),
            stage,
            status: dispute.status.clone(),
            observation,
            intent,
            amount: dispute.amount,
            currency: dispute.currency.clone(),
            reason: dispute.reason.clone(),
            created: dispute.created,
            movements: dispute.balance_transactions.clone(),
        });
    }
}
