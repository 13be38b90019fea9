//! Transitions of PaymentIntents and their charges, with Stripe's events in Stripe's order.

use super::effects::BOOKING;
use super::{Cause, State};
use crate::error::ApiError;
use crate::ids;
use crate::objects::Method;
use crate::objects::balance::BalanceTransaction;
use crate::objects::charge::{Charge, ChargeStatus, Decline};
use crate::objects::intent::{CaptureMethod, Intent, IntentStatus};
use serde_json::json;

/// Stripe's fee of a charge: thousandths of the amount, and a fixed amount in minor units.
const FEE_PER_MILLE: i64 = 29;
const FEE_FIXED: i64 = 30;
/// Most attempts of one payment.
const MAX_ATTEMPTS: usize = 50;

/// The outcome of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The card is accepted.
    Card,
    /// The card is declined.
    Decline,
    /// A bank debit is started.
    BankDebit,
}

impl Intent {
    /// A new one without attempts.
    pub(crate) fn new(now: i64, amount: i64, currency: &str) -> Self {
        let id = ids::short("pi");
        Self {
            client_secret: ids::client_secret(&id),
            id,
            created: now,
            amount,
            currency: currency.to_owned(),
            status: IntentStatus::RequiresPaymentMethod,
            capture: CaptureMethod::AutomaticAsync,
            amount_received: 0,
            metadata: Default::default(),
            description: None,
            receipt_email: None,
            payment_method: None,
            method: Method::Card,
            last_error: None,
            canceled_at: None,
            cancellation_reason: None,
            charges: Vec::new(),
            refunds: Vec::new(),
            session: None,
            key: None,
        }
    }

    fn unexpected(&self, what: &str) -> ApiError {
        let words =
            format!("This PaymentIntent could not be {what} because it has a status of {}.", self.status.as_str());
        ApiError::refused(words).code("payment_intent_unexpected_state").with("payment_intent", self.json())
    }
}

impl State {
    /// Adds a new payment.
    pub(crate) fn add_intent(&mut self, cause: &Cause, intent: Intent, booking: Option<&str>) {
        let id = intent.id.clone();
        self.effects.count(intent.key.as_deref(), booking, |counts| counts.payment_intents += 1);
        self.intents.add(intent);
        self.emit_intent(cause, "payment_intent.created", &id);
    }

    /// The booking of a payment.
    pub(crate) fn booking_of(&self, intent: &Intent) -> Option<String> {
        let session = intent.session.as_deref().and_then(|id| self.sessions.get(id));
        intent.metadata.get(BOOKING).or_else(|| session?.metadata.get(BOOKING)).cloned()
    }

    fn count_charge(&mut self, intent: &str, add: impl Fn(&mut super::effects::Counts)) {
        let Some(intent) = self.intents.get(intent) else { return };
        let (key, booking) = (intent.key.clone(), self.booking_of(intent));
        self.effects.count(key.as_deref(), booking.as_deref(), add);
    }

    /// Makes an attempt and returns the id of its charge. The fee follows with [`Self::settle_charge`].
    pub(crate) fn attempt(&mut self, cause: &Cause, id: &str, attempt: Attempt) -> Result<String, ApiError> {
        let intent = self.intent(id)?;
        if !matches!(intent.status, IntentStatus::RequiresPaymentMethod | IntentStatus::RequiresConfirmation) {
            return Err(intent.unexpected("confirmed"));
        }
        if intent.charges.len() >= MAX_ATTEMPTS {
            return Err(ApiError::refused("This PaymentIntent was attempted too often."));
        }
        let charge = Charge::begin(cause.now(), intent, attempt);
        let (charge_id, captured) = (charge.id.clone(), charge.captured);
        let status = match attempt {
            Attempt::Decline => IntentStatus::RequiresPaymentMethod,
            Attempt::BankDebit => IntentStatus::Processing,
            Attempt::Card if captured => IntentStatus::Succeeded,
            Attempt::Card => IntentStatus::RequiresCapture,
        };
        if let Some(intent) = self.intents.get_mut(id) {
            intent.status = status;
            intent.method = charge.method;
            intent.payment_method = (attempt != Attempt::Decline).then(|| charge.payment_method.clone());
            intent.amount_received = charge.amount_captured;
            intent.last_error = charge.decline.as_ref().map(|decline| last_error(decline, &charge));
            intent.charges.push(charge_id.clone());
        }
        self.charges.add(charge);
        self.emit_attempt(cause, id, &charge_id, attempt, captured);
        Ok(charge_id)
    }

    fn emit_attempt(&mut self, cause: &Cause, intent: &str, charge: &str, attempt: Attempt, captured: bool) {
        match attempt {
            Attempt::Decline => {
                self.count_charge(intent, |counts| counts.failed_charges += 1);
                self.emit_charge(cause, "charge.failed", charge, None);
                self.emit_intent(cause, "payment_intent.payment_failed", intent);
            }
            Attempt::BankDebit => {
                self.emit_charge(cause, "charge.pending", charge, None);
                self.emit_intent(cause, "payment_intent.processing", intent);
            }
            Attempt::Card => {
                let amount = self.charges.get(charge).map_or(0, |charge| charge.amount_captured);
                self.count_charge(intent, |counts| {
                    counts.charges += 1;
                    counts.captured_amount += amount;
                });
                self.emit_charge(cause, "charge.succeeded", charge, None);
                self.emit_intent(
                    cause,
                    if captured { "payment_intent.succeeded" } else { "payment_intent.amount_capturable_updated" },
                    intent,
                );
            }
        }
    }

    /// Adds the balance transaction of a captured charge, with the fee, and links the charge to it.
    pub(crate) fn settle_charge(&mut self, cause: &Cause, id: &str) {
        let Some(charge) =
            self.charges.get(id).filter(|charge| charge.captured && charge.balance_transaction.is_none())
        else {
            return;
        };
        let line = BalanceTransaction {
            id: ids::short("txn"),
            created: cause.now(),
            amount: charge.amount_captured,
            fee: (charge.amount_captured * FEE_PER_MILLE + 500) / 1_000 + FEE_FIXED,
            currency: charge.currency.clone(),
            kind: if charge.method == Method::Card { "charge" } else { "payment" }.to_owned(),
            reporting_category: "charge".to_owned(),
            source: id.to_owned(),
            description: charge.description.clone(),
        };
        let line = self.book(line);
        if let Some(charge) = self.charges.get_mut(id) {
            charge.balance_transaction = Some(line);
        }
        self.emit_charge(cause, "charge.updated", id, Some(json!({ "balance_transaction": null })));
    }

    /// Settles a bank debit.
    pub(crate) fn settle_bank_debit(&mut self, cause: &Cause, id: &str, paid: bool) -> Result<(), ApiError> {
        let intent = self.intent(id)?;
        let charge = intent.charges.last().cloned().filter(|_| intent.status == IntentStatus::Processing);
        let (Some(charge), session, amount) = (charge, intent.session.clone(), intent.amount) else {
            return Err(intent.unexpected("settled"));
        };
        if let Some(charge) = self.charges.get_mut(&charge) {
            charge.status = if paid { ChargeStatus::Succeeded } else { ChargeStatus::Failed };
            charge.captured = paid;
            charge.amount_captured = if paid { amount } else { 0 };
            charge.decline = (!paid).then(Decline::of_bank);
        }
        let error = self
            .charges
            .get(&charge)
            .and_then(|charge| charge.decline.as_ref().map(|decline| last_error(decline, charge)));
        if let Some(intent) = self.intents.get_mut(id) {
            intent.status = if paid { IntentStatus::Succeeded } else { IntentStatus::RequiresPaymentMethod };
            intent.amount_received = if paid { amount } else { 0 };
            intent.last_error = error;
        }
        self.count_charge(id, |counts| match paid {
            true => (counts.charges, counts.captured_amount) = (counts.charges + 1, counts.captured_amount + amount),
            false => counts.failed_charges += 1,
        });
        self.emit_charge(cause, if paid { "charge.succeeded" } else { "charge.failed" }, &charge, None);
        self.emit_intent(cause, if paid { "payment_intent.succeeded" } else { "payment_intent.payment_failed" }, id);
        if let Some(session) = session {
            self.session_settled(cause, &session, paid);
        }
        self.settle_charge(cause, &charge);
        Ok(())
    }

    /// Captures an authorized amount, whole or in part; the rest is released.
    pub(crate) fn capture_intent(&mut self, cause: &Cause, id: &str, amount: Option<i64>) -> Result<(), ApiError> {
        let intent = self.intent(id)?;
        let Some(charge) = intent.charges.last().cloned().filter(|_| intent.status == IntentStatus::RequiresCapture)
        else {
            return Err(intent.unexpected("captured"));
        };
        let amount = amount.unwrap_or(intent.amount);
        if amount > intent.amount {
            let words =
                format!("The requested amount {amount} is greater than the amount you can capture {}.", intent.amount);
            return Err(ApiError::refused(words).code("amount_too_large").param("amount_to_capture"));
        }
        if let Some(charge) = self.charges.get_mut(&charge) {
            charge.captured = true;
            charge.amount_captured = amount;
        }
        if let Some(intent) = self.intents.get_mut(id) {
            intent.status = IntentStatus::Succeeded;
            intent.amount_received = amount;
        }
        self.count_charge(id, |counts| counts.captured_amount += amount);
        self.emit_charge(cause, "charge.captured", &charge, None);
        self.emit_intent(cause, "payment_intent.succeeded", id);
        self.settle_charge(cause, &charge);
        Ok(())
    }

    /// Cancels a payment; an authorized amount is released.
    pub(crate) fn cancel_intent(&mut self, cause: &Cause, id: &str, reason: Option<String>) -> Result<(), ApiError> {
        let intent = self.intent(id)?;
        if matches!(intent.status, IntentStatus::Succeeded | IntentStatus::Canceled | IntentStatus::Processing) {
            return Err(intent.unexpected("canceled"));
        }
        let reserved = intent.charges.last().cloned().filter(|_| intent.status == IntentStatus::RequiresCapture);
        if let Some(intent) = self.intents.get_mut(id) {
            intent.status = IntentStatus::Canceled;
            intent.canceled_at = Some(cause.now());
            intent.cancellation_reason = reason;
        }
        if let Some(charge) = reserved {
            if let Some(charge) = self.charges.get_mut(&charge) {
                charge.amount_refunded = charge.amount;
            }
            self.emit_charge(
                cause,
                "charge.refunded",
                &charge,
                Some(json!({ "amount_refunded": 0, "refunded": false })),
            );
        }
        self.emit_intent(cause, "payment_intent.canceled", id);
        Ok(())
    }
}

/// `last_payment_error` of a payment.
fn last_error(decline: &Decline, charge: &Charge) -> serde_json::Value {
    json!({
        "charge": charge.id, "code": decline.code, "decline_code": decline.decline_code,
        "doc_url": format!("https://stripe.com/docs/error-codes/{}", decline.code.replace('_', "-")),
        "message": decline.message,
        "payment_method": { "id": charge.payment_method, "object": "payment_method", "allow_redisplay": "unspecified",
            "billing_details": { "address": null, "email": charge.email, "name": null, "phone": null, "tax_id": null },
            "created": charge.created,
            "customer": null, "livemode": false, "metadata": {}, "type": charge.method.stripe_type(&charge.currency) },
        "type": "card_error",
    })
}

impl Decline {
    fn of_card() -> Self {
        Self {
            code: "card_declined".to_owned(),
            decline_code: "generic_decline".to_owned(),
            message: "Your card was declined.".to_owned(),
        }
    }

    fn of_bank() -> Self {
        let message = "The customer's bank account could not be debited: insufficient funds.".to_owned();
        Self {
            code: "payment_intent_payment_attempt_failed".to_owned(),
            decline_code: "insufficient_funds".to_owned(),
            message,
        }
    }
}

impl Charge {
    fn begin(now: i64, intent: &Intent, attempt: Attempt) -> Self {
        let captured = attempt == Attempt::Card && intent.capture != CaptureMethod::Manual;
        Self {
            id: ids::short("ch"),
            created: now,
            intent: intent.id.clone(),
            amount: intent.amount,
            amount_captured: if captured { intent.amount } else { 0 },
            amount_refunded: 0,
            currency: intent.currency.clone(),
            status: match attempt {
                Attempt::Card => ChargeStatus::Succeeded,
                Attempt::Decline => ChargeStatus::Failed,
                Attempt::BankDebit => ChargeStatus::Pending,
            },
            captured,
            method: if attempt == Attempt::BankDebit { Method::BankDebit } else { Method::Card },
            payment_method: ids::short("pm"),
            decline: (attempt == Attempt::Decline).then(Decline::of_card),
            balance_transaction: None,
            metadata: intent.metadata.clone(),
            description: intent.description.clone(),
            email: intent.receipt_email.clone(),
            refunds: Vec::new(),
            dispute: None,
            refund_outcome: None,
        }
    }
}
