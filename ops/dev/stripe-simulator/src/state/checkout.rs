//! Transitions of Checkout Sessions. As at Stripe, the PaymentIntent is created at the first attempt to pay.

use super::effects::BOOKING;
use super::payments::Attempt;
use super::{Cause, State};
use crate::error::ApiError;
use crate::objects::intent::{Intent, IntentStatus};
use crate::objects::session::{Session, SessionStatus};
use serde::{Deserialize, Serialize};

/// The outcome of a guest's payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayOutcome {
    /// Paid with a card.
    Success,
    /// The card is declined; the session stays open.
    Declined,
    /// Bank debit whose result comes later.
    AsyncPending,
    /// Bank debit that succeeds right afterwards.
    AsyncSuccess,
    /// Bank debit that fails.
    AsyncFailure,
}

impl State {
    /// Adds a new session.
    pub(crate) fn add_session(&mut self, cause: &Cause, session: Session) {
        self.effects.count(cause.key.as_deref(), session.metadata.get(BOOKING).map(String::as_str), |counts| {
            counts.sessions += 1
        });
        self.expiring.insert((session.expires_at, session.id.clone()));
        self.sessions.add(session);
        self.version += 1;
    }

    /// A guest tries to pay.
    pub(crate) fn pay_session(&mut self, cause: &Cause, id: &str, outcome: PayOutcome) -> Result<(), ApiError> {
        let session = self.session(id)?;
        if session.status != SessionStatus::Open || session.expires_at <= cause.now() {
            return Err(ApiError::refused(format!(
                "This Checkout Session is {} and cannot be paid.",
                session.status.as_str()
            )));
        }
        let intent = match session.payment_intent.clone() {
            Some(intent) => intent,
            None => self.intent_of_session(cause, id)?,
        };
        self.pay_intent(cause, &intent, outcome)
    }

    /// A guest tries to pay a payment, on the page of its session or in an app.
    pub(crate) fn pay_intent(&mut self, cause: &Cause, intent: &str, outcome: PayOutcome) -> Result<(), ApiError> {
        let session = self.intent(intent)?.session.clone();
        let complete = |state: &mut Self| {
            if let Some(session) = &session {
                state.complete_session(cause, session);
            }
        };
        match outcome {
            PayOutcome::Declined => {
                self.attempt(cause, intent, Attempt::Decline)?;
            }
            PayOutcome::Success => {
                let charge = self.attempt(cause, intent, Attempt::Card)?;
                complete(self);
                self.settle_charge(cause, &charge);
            }
            PayOutcome::AsyncPending | PayOutcome::AsyncSuccess | PayOutcome::AsyncFailure => {
                self.attempt(cause, intent, Attempt::BankDebit)?;
                complete(self);
                if outcome != PayOutcome::AsyncPending {
                    self.settle_bank_debit(cause, intent, outcome == PayOutcome::AsyncSuccess)?;
                }
            }
        }
        Ok(())
    }

    fn intent_of_session(&mut self, cause: &Cause, id: &str) -> Result<String, ApiError> {
        let session = self.session(id)?;
        let intent = Intent {
            metadata: session.intent_metadata.clone(),
            description: session.intent_description.clone(),
            receipt_email: session.customer_email.clone(),
            capture: session.capture,
            session: Some(id.to_owned()),
            key: session.key.clone(),
            ..Intent::new(cause.now(), session.amount_total, &session.currency)
        };
        let (booking, intent_id) = (session.metadata.get(BOOKING).cloned(), intent.id.clone());
        self.add_intent(cause, intent, booking.as_deref());
        if let Some(session) = self.sessions.get_mut(id) {
            session.payment_intent = Some(intent_id.clone());
        }
        Ok(intent_id)
    }

    fn complete_session(&mut self, cause: &Cause, id: &str) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.status = SessionStatus::Complete;
        let status =
            session.payment_intent.as_deref().and_then(|intent| self.intents.get(intent)).map(|intent| intent.status);
        session.paid = matches!(status, Some(IntentStatus::Succeeded));
        self.expiring.remove(&(session.expires_at, id.to_owned()));
        self.emit_session(cause, "checkout.session.completed", id);
    }

    /// Applies the bank's result of the session's payment.
    pub(crate) fn session_settled(&mut self, cause: &Cause, id: &str, paid: bool) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.paid = paid;
        self.emit_session(
            cause,
            if paid { "checkout.session.async_payment_succeeded" } else { "checkout.session.async_payment_failed" },
            id,
        );
    }

    /// Expires an open session, which can no longer be paid.
    pub(crate) fn expire_session(&mut self, cause: &Cause, id: &str) -> Result<(), ApiError> {
        let session = self.session(id)?;
        if session.status != SessionStatus::Open {
            let status = session.status.as_str();
            return Err(ApiError::refused(format!(
                "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status \
                of `{status}`."
            )));
        }
        let (expires_at, intent) = (session.expires_at, session.payment_intent.clone());
        let (key, booking) = (session.key.clone(), session.metadata.get(BOOKING).cloned());
        if let Some(session) = self.sessions.get_mut(id) {
            session.status = SessionStatus::Expired;
        }
        self.expiring.remove(&(expires_at, id.to_owned()));
        self.effects.count(key.as_deref(), booking.as_deref(), |counts| counts.expired += 1);
        if let Some(intent) = intent {
            // A failed payment is canceled with its session.
            let _: Result<_, _> = self.cancel_intent(cause, &intent, Some("automatic".to_owned()));
        }
        self.emit_session(cause, "checkout.session.expired", id);
        Ok(())
    }
}
