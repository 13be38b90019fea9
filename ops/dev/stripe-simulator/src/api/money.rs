//! Charges, refunds, disputes and Stripe's ledger: <https://docs.stripe.com/api/charges>, `/refunds`, `/disputes`,
//! `/balance_transactions`.

use super::check_step;
use super::listing::{self, Rows};
use crate::error::ApiError;
use crate::objects::balance::BalanceTransaction;
use crate::objects::dispute::{Dispute, EVIDENCE};
use crate::objects::refund::Refund;
use crate::params::{Metadata, Params};
use crate::state::refunds::RefundRequest;
use crate::state::{Cause, State};
use serde_json::Value;

/// An object of `kind` by its id.
pub(super) fn retrieve(state: &State, params: &Params, id: &str, kind: &str) -> Result<Value, ApiError> {
    params.only(&["expand"])?;
    let prefix = match kind {
        "charge" => "ch_",
        "refund" => "re_",
        "dispute" => "dp_",
        _ => "txn_",
    };
    let found = state.json(id).filter(|_| id.starts_with(prefix));
    found.ok_or_else(|| ApiError::missing(kind, id, if kind == "charge" { "charge" } else { "id" }))
}

pub(super) fn list_charges(state: &State, params: &Params) -> Result<Value, ApiError> {
    let intent = params.text("payment_intent")?;
    let rows = match &intent {
        Some(id) => Rows::of(&state.charges, attempts(state, id)),
        None => Rows::All(&state.charges),
    };
    listing::page(&rows, params, "/v1/charges", &["payment_intent"], |_| true, |charge| charge.json(&state.base))
}

/// The charges of a payment, oldest first.
fn attempts<'a>(state: &'a State, intent: &str) -> &'a [String] {
    state.intents.get(intent).map_or(&[], |intent| &intent.charges)
}

pub(super) fn refund(state: &mut State, cause: &Cause, params: &Params) -> Result<Value, ApiError> {
    params.only(&["payment_intent", "charge", "amount", "reason", "metadata", "instructions_email", "expand"])?;
    let order = RefundRequest {
        amount: params.positive("amount")?,
        reason: params.choice("reason", &["duplicate", "fraudulent", "requested_by_customer"])?,
        metadata: params.metadata()?,
        charge: match (params.text("charge")?, params.text("payment_intent")?) {
            (Some(_), Some(_)) => {
                return Err(ApiError::invalid("You may only specify one of these parameters: charge, payment_intent."));
            }
            (Some(charge), None) => charge,
            (None, Some(intent)) => state.charge_of_intent(&intent)?,
            (None, None) => {
                return Err(ApiError::invalid(
                    "One of the following params should be provided for this request: payment_intent or charge.",
                )
                .code("parameter_missing"));
            }
        },
    };
    if let Some(amount) = order.amount {
        check_step(amount, &state.charge(&order.charge)?.currency, "amount")?;
    }
    let id = state.refund_charge(cause, order)?;
    Ok(state.refund(&id)?.json())
}

pub(super) fn list_refunds(state: &State, params: &Params) -> Result<Value, ApiError> {
    let (charge, intent) = (params.text("charge")?, params.text("payment_intent")?);
    let rows = match (&charge, &intent) {
        (Some(id), _) => Rows::of(&state.refunds, state.charges.get(id).map_or(&[], |charge| &charge.refunds)),
        (None, Some(id)) => Rows::of(&state.refunds, state.intents.get(id).map_or(&[], |intent| &intent.refunds)),
        (None, None) => Rows::All(&state.refunds),
    };
    let wanted = |refund: &Refund| intent.as_ref().is_none_or(|intent| &refund.intent == intent);
    listing::page(&rows, params, "/v1/refunds", &["charge", "payment_intent"], wanted, Refund::json)
}

pub(super) fn list_disputes(state: &State, params: &Params) -> Result<Value, ApiError> {
    let (charge, intent) = (params.text("charge")?, params.text("payment_intent")?);
    let disputed = |charges: &[String]| {
        let ids: Vec<String> = charges.iter().filter_map(|id| state.charges.get(id)?.dispute.clone()).collect();
        Rows::of(&state.disputes, &ids)
    };
    let rows = match (&charge, &intent) {
        (Some(id), _) => disputed(std::slice::from_ref(id)),
        (None, Some(id)) => disputed(attempts(state, id)),
        (None, None) => Rows::All(&state.disputes),
    };
    let wanted = |dispute: &Dispute| intent.as_ref().is_none_or(|intent| &dispute.intent == intent);
    listing::page(&rows, params, "/v1/disputes", &["charge", "payment_intent"], wanted, Dispute::json)
}

pub(super) fn answer_dispute(state: &mut State, cause: &Cause, params: &Params, id: &str) -> Result<Value, ApiError> {
    params.only(&["evidence", "metadata", "submit", "expand"])?;
    let given = params.child("evidence")?;
    given.only(&EVIDENCE)?;
    let mut evidence = Metadata::new();
    for name in EVIDENCE {
        evidence.extend(given.text(name)?.map(|text| (name.to_owned(), text)));
    }
    // As at Stripe, evidence is submitted unless `submit` is false.
    let submit = params.choice("submit", &["true", "false"])?.map_or(!evidence.is_empty(), |submit| submit == "true");
    state.answer_dispute(cause, id, evidence, params.metadata()?, submit)?;
    Ok(state.dispute(id)?.json())
}

pub(super) fn close_dispute(state: &mut State, cause: &Cause, params: &Params, id: &str) -> Result<Value, ApiError> {
    params.only(&["expand"])?;
    state.close_dispute(cause, id, false)?;
    Ok(state.dispute(id)?.json())
}

pub(super) fn list_balance(state: &State, params: &Params) -> Result<Value, ApiError> {
    let (kind, source, currency) = (params.text("type")?, params.text("source")?, params.text("currency")?);
    let wanted = |line: &BalanceTransaction| {
        kind.as_ref().is_none_or(|kind| &line.kind == kind)
            && source.as_ref().is_none_or(|source| &line.source == source)
            && currency.as_ref().is_none_or(|currency| &line.currency == currency)
    };
    listing::page(
        &Rows::All(&state.balance),
        params,
        "/v1/balance_transactions",
        &["type", "source", "currency"],
        wanted,
        BalanceTransaction::json,
    )
}
