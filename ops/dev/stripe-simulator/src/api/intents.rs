//! PaymentIntents: <https://docs.stripe.com/api/payment_intents>.

use super::listing::{self, Rows};
use super::{check_amount, currency};
use crate::error::ApiError;
use crate::objects::intent::{CaptureMethod, Intent};
use crate::objects::refund::RefundOutcome;
use crate::params::Params;
use crate::state::effects::BOOKING;
use crate::state::payments::Attempt;
use crate::state::{Cause, State};
use serde_json::{Value, json};

const NAMES: [&str; 13] = [
    "amount",
    "currency",
    "metadata",
    "capture_method",
    "description",
    "receipt_email",
    "payment_method",
    "payment_method_types",
    "automatic_payment_methods",
    "confirm",
    "confirmation_method",
    "return_url",
    "expand",
];

/// Later results of a test payment method.
struct TestMethod {
    attempt: Attempt,
    disputed: bool,
    refund: Option<RefundOutcome>,
}

/// Stripe's test payment methods: <https://docs.stripe.com/testing>.
fn test_method(name: &str) -> Result<TestMethod, ApiError> {
    let pays = |attempt| Ok(TestMethod { attempt, disputed: false, refund: None });
    match name {
        "pm_card_chargeDeclined" | "pm_card_visa_chargeDeclined" | "pm_card_chargeDeclinedInsufficientFunds" => {
            pays(Attempt::Decline)
        }
        "pm_card_createDispute" => Ok(TestMethod { attempt: Attempt::Card, disputed: true, refund: None }),
        "pm_card_pendingRefund" => {
            Ok(TestMethod { attempt: Attempt::Card, disputed: false, refund: Some(RefundOutcome::Pending) })
        }
        "pm_card_refundFail" => {
            Ok(TestMethod { attempt: Attempt::Card, disputed: false, refund: Some(RefundOutcome::FailedLater) })
        }
        name if name.starts_with("pm_card_") => pays(Attempt::Card),
        name if ["pm_bankDebit", "pm_usBankAccount", "pm_acssDebit", "pm_sepaDebit"]
            .iter()
            .any(|debit| name.starts_with(debit)) =>
        {
            pays(Attempt::BankDebit)
        }
        name => Err(ApiError::missing("PaymentMethod", name, "payment_method")),
    }
}

pub(super) fn create(state: &mut State, cause: &Cause, params: &Params) -> Result<Value, ApiError> {
    params.only(&NAMES)?;
    let amount = params.positive("amount")?.ok_or_else(|| ApiError::required("amount"))?;
    let currency = currency(params, "currency")?;
    check_amount(amount, &currency, "amount")?;
    let confirm = params.flag("confirm")?;
    let method = params.text("payment_method")?;
    if confirm && method.is_none() {
        return Err(ApiError::invalid("You cannot confirm this PaymentIntent because it's missing a payment method.")
            .code("parameter_missing")
            .param("payment_method"));
    }
    method.as_deref().map(test_method).transpose()?;
    let metadata = params.metadata()?;
    let booking = metadata.get(BOOKING).cloned();
    let intent = Intent {
        metadata,
        capture: CaptureMethod::of(params.choice("capture_method", &CaptureMethod::NAMES)?.as_deref()),
        description: params.text("description")?,
        receipt_email: params.text("receipt_email")?,
        payment_method: method.clone(),
        status: match method {
            Some(_) => crate::objects::intent::IntentStatus::RequiresConfirmation,
            None => crate::objects::intent::IntentStatus::RequiresPaymentMethod,
        },
        key: cause.key.clone(),
        ..Intent::new(cause.now(), amount, &currency)
    };
    let id = intent.id.clone();
    state.add_intent(cause, intent, booking.as_deref());
    match method.filter(|_| confirm) {
        Some(method) => pay(state, cause, &id, &method),
        None => Ok(state.intent(&id)?.json()),
    }
}

pub(super) fn confirm(state: &mut State, cause: &Cause, params: &Params, id: &str) -> Result<Value, ApiError> {
    params.only(&[
        "payment_method",
        "payment_method_types",
        "return_url",
        "receipt_email",
        "client_secret",
        "capture_method",
        "expand",
    ])?;
    let given = params.text("payment_method")?.or_else(|| state.intents.get(id)?.payment_method.clone());
    state.intent(id)?;
    let words = "You cannot confirm this PaymentIntent because it's missing a payment method.";
    let method = given.ok_or_else(|| ApiError::refused(words).code("payment_intent_unexpected_state"))?;
    pay(state, cause, id, &method)
}

fn pay(state: &mut State, cause: &Cause, id: &str, method: &str) -> Result<Value, ApiError> {
    let test = test_method(method)?;
    let charge = state.attempt(cause, id, test.attempt)?;
    if test.attempt == Attempt::Decline {
        let error = ApiError::card("card_declined", "generic_decline", "Your card was declined.");
        return Err(error.with("charge", json!(charge)).with("payment_intent", state.intent(id)?.json()));
    }
    state.settle_charge(cause, &charge);
    if let Some(charge) = state.charges.get_mut(&charge) {
        charge.refund_outcome = test.refund;
    }
    if test.disputed {
        state.open_dispute(cause, &charge, "fraudulent")?;
    }
    Ok(state.intent(id)?.json())
}

pub(super) fn capture(state: &mut State, cause: &Cause, params: &Params, id: &str) -> Result<Value, ApiError> {
    params.only(&["amount_to_capture", "metadata", "statement_descriptor", "expand"])?;
    let amount = params.positive("amount_to_capture")?;
    state.capture_intent(cause, id, amount)?;
    Ok(state.intent(id)?.json())
}

pub(super) fn cancel(state: &mut State, cause: &Cause, params: &Params, id: &str) -> Result<Value, ApiError> {
    params.only(&["cancellation_reason", "expand"])?;
    let reason =
        params.choice("cancellation_reason", &["duplicate", "fraudulent", "requested_by_customer", "abandoned"])?;
    state.cancel_intent(cause, id, reason)?;
    Ok(state.intent(id)?.json())
}

pub(super) fn retrieve(state: &State, params: &Params, id: &str) -> Result<Value, ApiError> {
    params.only(&["client_secret", "expand"])?;
    Ok(state.intent(id)?.json())
}

pub(super) fn list(state: &State, params: &Params) -> Result<Value, ApiError> {
    listing::page(
        &Rows::All(&state.intents),
        params,
        "/v1/payment_intents",
        &["customer"],
        |_| !params.has("customer"),
        Intent::json,
    )
}
