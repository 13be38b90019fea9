//! Observation of Stripe's objects: each is merged into the facts of its payment.
//!
//! Objects name their payment in several ways: by the payment intent, or only by the charge, which the ledger knows
//! from the intent or from earlier events.

use super::Ledger;
use super::facts::{
    ChargeFact, DisputeFact, DisputeStage, IntentFact, Observation, RefundFact, SessionFact, SessionState,
};
use crate::stripe::metadata::{self, REFUND_KEY};
use crate::stripe::{
    Charge, ChargeStatus, CheckoutSession, Dispute, Event, INTENT_FAILED, INTENT_SUCCEEDED, IntentStatus, Object,
    PaymentIntent, Refund, SESSION_COMPLETED, SESSION_FAILED, SESSION_PAID, SessionPayment, SessionStatus,
};

/// What to read from Stripe, because an event lacked it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refetch {
    /// All refunds of this payment: more was refunded than is known.
    Refunds {
        /// `pi_…`.
        intent: String,
    },
    /// This payment: its booking is not known.
    Payment {
        /// `pi_…`.
        intent: String,
    },
    /// The payment of this charge: nothing else was named, and the charge is not known.
    PaymentOfCharge {
        /// `ch_…` or `py_…`.
        charge: String,
    },
}

impl Refetch {
    /// The payment of an object whose booking is not known, if it names one.
    pub fn payment_of(object: &Object) -> Option<Self> {
        let of_intent = |intent: &str| Self::Payment { intent: intent.to_owned() };
        let of_charge = |charge: &str| Self::PaymentOfCharge { charge: charge.to_owned() };
        object.intent_id().map(of_intent).or_else(|| object.charge_id().map(of_charge))
    }
}

impl Ledger {
    /// Observes an event. The result does not depend on the order of events, nor on how often each is observed.
    pub fn apply(&mut self, event: &Event) -> Option<Refetch> {
        let observation = Observation { at: event.created, by: event.id.clone() };
        let at_if = |kinds: &[&str]| kinds.contains(&event.kind.as_str()).then_some(event.created);
        match &event.object {
            Object::Session(session) => {
                let paid_at = at_if(&[SESSION_COMPLETED, SESSION_PAID]);
                self.merge_session(session, event.kind == SESSION_FAILED, paid_at, observation);
                None
            }
            Object::Intent(intent) => {
                self.merge_intent(intent, at_if(&[INTENT_FAILED]), at_if(&[INTENT_SUCCEEDED]), observation);
                None
            }
            Object::Charge(charge) => self.merge_charge(charge, &observation),
            Object::Refund(refund) => self.merge_refund(refund, observation),
            Object::Dispute(dispute) => self.merge_dispute(dispute, observation),
            Object::Other => None,
        }
    }

    /// Observes a checkout session. A paid one also implies its payment intent, in case nothing else reports it.
    pub fn observe_session(&mut self, session: &CheckoutSession, failed: bool, observation: Observation) {
        self.merge_session(session, failed, None, observation);
    }

    fn merge_session(
        &mut self,
        session: &CheckoutSession,
        failed: bool,
        paid_at: Option<i64>,
        observation: Observation,
    ) {
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
                charge: None,
                paid_at,
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

    /// Observes a payment intent, as it was read from Stripe.
    pub fn observe_intent(&mut self, intent: &PaymentIntent, observation: Observation) {
        self.merge_intent(intent, None, None, observation);
    }

    fn merge_intent(
        &mut self,
        intent: &PaymentIntent,
        failed_at: Option<i64>,
        paid_at: Option<i64>,
        observation: Observation,
    ) {
        let failed_charge = intent.last_payment_error.as_ref().and_then(|error| error.charge.as_deref());
        let latest = intent.latest_charge_id();
        for id in latest.into_iter().chain(failed_charge) {
            self.charges.observe(ChargeFact {
                id: id.to_owned(),
                intent: intent.id.clone(),
                refunded: 0,
                failed: failed_charge == Some(id),
                created: None,
            });
        }
        for charge in intent.embedded_charges() {
            self.charges.observe(ChargeFact::of(charge, &intent.id));
        }
        self.intents.observe(IntentFact {
            id: intent.id.clone(),
            status: intent.status,
            amount: intent.amount,
            received: intent.amount_received,
            currency: intent.currency.clone(),
            demand: metadata::demand(&intent.metadata),
            created: intent.created,
            failed_at,
            charge: latest.map(str::to_owned),
            paid_at,
            observation,
        });
    }

    fn merge_charge(&mut self, charge: &Charge, observation: &Observation) -> Option<Refetch> {
        let Some(intent) = self.intent_named(charge.payment_intent.as_deref(), Some(&charge.id)) else {
            return Some(Refetch::PaymentOfCharge { charge: charge.id.clone() });
        };
        self.observe_charge(charge, &intent);
        for refund in &charge.refunds {
            self.refunds.observe(RefundFact::of(refund, &intent, observation.clone()));
        }
        self.lacks_refunds(&intent).then_some(Refetch::Refunds { intent })
    }

    /// Observes a charge of this payment.
    pub fn observe_charge(&mut self, charge: &Charge, intent: &str) {
        self.charges.observe(ChargeFact::of(charge, intent));
    }

    /// The payment intent of an object that names it, or only its charge.
    fn intent_named(&self, intent: Option<&str>, charge: Option<&str>) -> Option<String> {
        let of_charge = || charge.and_then(|charge| self.charges.get(charge)).map(|charge| charge.intent.as_str());
        intent.or_else(of_charge).map(str::to_owned)
    }

    /// Whether more of this payment was refunded than is known.
    pub fn lacks_refunds(&self, intent: &str) -> bool {
        let known: i64 = self.refunds.iter().filter(|refund| refund.intent == intent).map(|refund| refund.amount).sum();
        let said: i64 =
            self.charges.iter().filter(|charge| charge.intent == intent).map(|charge| charge.refunded).sum();
        said > known
    }

    /// Observes a refund, as it was read from Stripe.
    pub fn observe_refund(&mut self, refund: &Refund, observation: Observation) {
        // Its payment is known: it was read by it.
        let _: Option<Refetch> = self.merge_refund(refund, observation);
    }

    fn merge_refund(&mut self, refund: &Refund, observation: Observation) -> Option<Refetch> {
        match self.intent_named(refund.payment_intent.as_deref(), refund.charge.as_deref()) {
            Some(intent) => self.refunds.observe(RefundFact::of(refund, &intent, observation)),
            None => return refund.charge.clone().map(|charge| Refetch::PaymentOfCharge { charge }),
        }
        None
    }

    /// Observes a dispute, as it was read from Stripe.
    pub fn observe_dispute(&mut self, dispute: &Dispute, observation: Observation) {
        // Its payment is known: it was read by it.
        let _: Option<Refetch> = self.merge_dispute(dispute, observation);
    }

    fn merge_dispute(&mut self, dispute: &Dispute, observation: Observation) -> Option<Refetch> {
        match self.intent_named(dispute.payment_intent.as_deref(), dispute.charge.as_deref()) {
            Some(intent) => self.disputes.observe(DisputeFact::of(dispute, &intent, observation)),
            None => return dispute.charge.clone().map(|charge| Refetch::PaymentOfCharge { charge }),
        }
        None
    }

    /// Status of a payment intent. The failure of its charge may be known before the intent was seen to go back.
    pub fn status_of(&self, intent: &IntentFact) -> IntentStatus {
        let charge = intent.charge.as_deref().and_then(|charge| self.charges.get(charge));
        let failed = charge.is_some_and(|charge| charge.failed) || intent.failed_at > Some(intent.observation.at);
        match intent.status {
            IntentStatus::Processing if failed => IntentStatus::RequiresPaymentMethod,
            status => status,
        }
    }

    /// Time of an intent's status in Unix seconds: of a paid one by the event that reported it, else the nearest that
    /// is known.
    pub fn status_since(&self, intent: &IntentFact) -> i64 {
        let is_paid = intent.status == IntentStatus::Succeeded;
        let charge = intent.charge.as_deref().filter(|_| is_paid).and_then(|charge| self.charges.get(charge));
        let charged = || charge?.created;
        let observed = || Some(intent.observation.at).filter(|at| *at > 0);
        intent.paid_at.or_else(charged).or_else(observed).unwrap_or(intent.created)
    }
}

impl ChargeFact {
    fn of(charge: &Charge, intent: &str) -> Self {
        Self {
            id: charge.id.clone(),
            intent: intent.to_owned(),
            refunded: charge.amount_refunded,
            failed: charge.status == ChargeStatus::Failed,
            created: Some(charge.created).filter(|created| *created > 0),
        }
    }
}

impl RefundFact {
    fn of(refund: &Refund, intent: &str, observation: Observation) -> Self {
        Self {
            id: refund.id.clone(),
            status: refund.status,
            observation,
            intent: intent.to_owned(),
            amount: refund.amount,
            currency: refund.currency.clone(),
            key: refund.metadata.get(REFUND_KEY).cloned(),
            created: refund.created,
            failure: refund.failure_reason.clone(),
        }
    }
}

impl DisputeFact {
    fn of(dispute: &Dispute, intent: &str, observation: Observation) -> Self {
        let stage = match dispute.status.as_str() {
            "won" | "lost" | "warning_closed" | "prevented" => DisputeStage::Closed,
            "under_review" | "warning_under_review" => DisputeStage::UnderReview,
            _ => DisputeStage::Open,
        };
        Self {
            id: dispute.id.clone(),
            stage,
            status: dispute.status.clone(),
            observation,
            intent: intent.to_owned(),
            amount: dispute.amount,
            currency: dispute.currency.clone(),
            reason: dispute.reason.clone(),
            created: dispute.created,
            movements: dispute.balance_transactions.clone(),
        }
    }
}
