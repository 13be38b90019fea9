//! Control of the simulation by tests and pages: actions of guests, banks and staff at Stripe's dashboard, fault
//! injection, and the counters of effects. None of it exists in Stripe's API.

use crate::error::ApiError;
use crate::fault_injection::FaultInjection;
use crate::objects::refund::RefundOutcome;
use crate::simulation::Simulation;
use crate::state::State;
use crate::state::checkout::PayOutcome;
use crate::state::effects::{Counts, EffectsReport};
use crate::state::refunds::RefundRequest;
use crate::webhooks::{DeliveryAttempt, Endpoint};
use serde_json::Value;
use std::sync::Arc;

/// Most refunds whose outcome can be set in advance.
const MAX_OUTCOMES: usize = 10_000;

/// A refused action, in Stripe's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlError {
    /// 404 when there is no such object, else 400.
    pub status: u16,
    /// The reason.
    pub message: String,
}

impl std::fmt::Display for ControlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ControlError {}

impl From<ApiError> for ControlError {
    fn from(error: ApiError) -> Self {
        Self { status: error.status, message: error.message().to_owned() }
    }
}

/// Acts for every party of a payment but the product.
#[derive(Debug, Clone)]
pub struct Control {
    simulation: Arc<Simulation>,
}

impl Control {
    pub(crate) fn new(simulation: Arc<Simulation>) -> Self {
        Self { simulation }
    }

    /// A guest tries to pay a Checkout Session, or in an app a payment intent.
    ///
    /// # Errors
    /// When it cannot be paid now.
    pub fn pay(&self, id: &str, outcome: PayOutcome) -> Result<(), ControlError> {
        Ok(self.simulation.act(|state, cause| match id.starts_with("pi_") {
            true => state.pay_intent(cause, id, outcome),
            false => state.pay_session(cause, id, outcome),
        })?)
    }

    /// Settles a bank debit; `id` is a session or a payment.
    ///
    /// # Errors
    /// When no debit is under way.
    pub fn complete_async(&self, id: &str, paid: bool) -> Result<(), ControlError> {
        Ok(self.simulation.act(|state, cause| {
            let intent = intent_of(state, id)?;
            state.settle_bank_debit(cause, &intent, paid)
        })?)
    }

    /// Outcomes of the next refunds, in order; later ones succeed again. At most 10,000 are kept.
    pub fn next_refunds(&self, outcomes: impl IntoIterator<Item = RefundOutcome>) {
        self.simulation.change(|state| {
            state.refund_outcomes.extend(outcomes);
            state.refund_outcomes.truncate(MAX_OUTCOMES);
        });
    }

    /// Refunds at Stripe's dashboard; without an amount (in minor units) the whole remainder. `id` is a session, a
    /// payment or a charge. Returns the refund's id.
    ///
    /// # Errors
    /// When the amount exceeds the remainder.
    pub fn refund(&self, id: &str, amount: Option<i64>) -> Result<String, ControlError> {
        Ok(self.simulation.act(|state, cause| {
            let order = RefundRequest { charge: charge_of(state, id)?, amount, ..RefundRequest::default() };
            state.refund_charge(cause, order)
        })?)
    }

    /// Settles a refund: a pending one succeeds or fails, one that succeeded may still fail.
    ///
    /// # Errors
    /// When it is settled already.
    pub fn settle_refund(&self, refund: &str, succeeds: bool) -> Result<(), ControlError> {
        Ok(self.simulation.act(|state, cause| state.settle_refund(cause, refund, succeeds))?)
    }

    /// Opens a dispute; `id` is a session, a payment or a charge. Returns the dispute's id.
    ///
    /// # Errors
    /// When nothing of the charge remains, or it is disputed already.
    pub fn dispute(&self, id: &str, reason: &str) -> Result<String, ControlError> {
        Ok(self.simulation.act(|state, cause| {
            let charge = charge_of(state, id)?;
            state.open_dispute(cause, &charge, reason)
        })?)
    }

    /// Closes a dispute with the bank's decision.
    ///
    /// # Errors
    /// When it is closed already.
    pub fn close_dispute(&self, dispute: &str, won: bool) -> Result<(), ControlError> {
        Ok(self.simulation.act(|state, cause| state.close_dispute(cause, dispute, won))?)
    }

    /// Sets the webhook endpoints with their secrets. An endpoint has two secrets during a rotation.
    pub fn set_endpoints(&self, endpoints: Vec<Endpoint>) {
        self.simulation.set_endpoints(endpoints);
    }

    /// The webhook endpoints.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.simulation.webhooks.endpoints()
    }

    /// Sets new secrets for every endpoint.
    pub fn rotate_secrets(&self, secrets: &[String]) {
        let endpoints = self.endpoints().into_iter().map(|endpoint| Endpoint { secrets: secrets.to_vec(), ..endpoint });
        self.set_endpoints(endpoints.collect());
    }

    /// Sends an event again, like `stripe events resend`.
    ///
    /// # Errors
    /// When it is unknown.
    pub fn resend(&self, event: &str) -> Result<(), ControlError> {
        let event =
            self.simulation.read().events.get(event).cloned().ok_or_else(|| ApiError::missing("event", event, "id"))?;
        self.simulation.webhooks.send(&event, &Default::default());
        Ok(())
    }

    /// Replaces the injected faults. When an outage ends, everything that waited is sent.
    pub fn set_faults(&self, faults: FaultInjection) {
        self.simulation.faults.set(faults);
        self.simulation.webhooks.wake();
    }

    /// The faults that are set, counted down.
    pub fn faults(&self) -> FaultInjection {
        self.simulation.faults.get()
    }

    /// Effects by idempotency key and by booking.
    pub fn effects(&self) -> EffectsReport {
        self.simulation.read().effects.report()
    }

    /// Effects in total.
    pub fn total(&self) -> Counts {
        self.simulation.read().effects.total()
    }

    /// Effects for one `metadata[booking_id]`.
    pub fn effects_of_booking(&self, booking: &str) -> Counts {
        self.simulation.read().effects.of_booking(booking)
    }

    /// Effects of one idempotency key.
    pub fn effects_of_key(&self, key: &str) -> Counts {
        self.simulation.read().effects.of_key(key)
    }

    /// Any object by its id, as Stripe shows it.
    pub fn object(&self, id: &str) -> Option<Value> {
        self.simulation.read().json(id)
    }

    /// Delivery attempts, newest first, of one event or of all.
    pub fn deliveries(&self, event: Option<&str>, limit: usize) -> Vec<DeliveryAttempt> {
        self.simulation.webhooks.attempts(event, limit)
    }

    /// Deliveries that wait or are in flight.
    pub fn outstanding(&self) -> usize {
        self.simulation.webhooks.outstanding()
    }

    /// Waits until no delivery is outstanding. While endpoints refuse, that takes minutes: the caller sets a limit.
    pub async fn until_idle(&self) {
        self.simulation.webhooks.until_idle().await;
    }
}

/// The payment of a session, or the payment itself.
pub(crate) fn intent_of(state: &State, id: &str) -> Result<String, ApiError> {
    if !id.starts_with("cs_") {
        return Ok(state.intent(id)?.id.clone());
    }
    state
        .session(id)?
        .payment_intent
        .clone()
        .ok_or_else(|| ApiError::refused("No payment of this Checkout Session was attempted yet."))
}

fn charge_of(state: &State, id: &str) -> Result<String, ApiError> {
    if id.starts_with("ch_") {
        return Ok(state.charge(id)?.id.clone());
    }
    let intent = intent_of(state, id)?;
    state.charge_of_intent(&intent)
}
