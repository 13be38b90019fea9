//! Refunds through Stripe, by staff.

use super::record::MAX_AMOUNT;
use super::show::{PaymentId, ledger_of};
use super::submit::{self, CommandKey, Pending};
use crate::auth::policy::Caller;
use crate::form::form;
use crate::form::presence::{optional, required};
use crate::form::types::{FieldType, Refusal, free_text, integer, money_of, refusal};
use crate::http::extract::{Form, IdempotencyKey, PathId, PreferredWait};
use crate::http::middleware::RequestContext;
use crate::http::problem::{self, Problem};
use crate::http::response::{Either, Shown};
use crate::resources::payments::view::{PaymentView, payment_of};
use crate::state::SharedApp;
use axum::extract::State;
use chrono::Utc;
use pvt_domain::intake::FieldError;
use pvt_domain::inventory::check::MAX_NIGHTLY;
use pvt_domain::messages::{PAYMENT_REFUND, Refund, RefundRequest};
use pvt_domain::money::Money;
use pvt_domain::stripe::amounts::{self, AmountRefusal};
use serde_json::json;

form! {
    /// A refund.
    #[derive(Debug)]
    pub(crate) struct RefundForm {
        /// Everything that is left, unless given.
        amount: Option<Money> = optional(refund_amount()),
        reason: String = required(free_text("invalid_reason")),
    }
    example json!({ "amount": { "amount": 2_000, "currency": "CAD" }, "reason": "the shower was cold" });
}

fn refund_amount() -> impl FieldType<Value = Money> {
    money_of(integer(0..=MAX_NIGHTLY).documented(1..=MAX_AMOUNT)).verify_member("amount", is_not_zero)
}

fn is_not_zero(money: &Money) -> Result<(), Refusal> {
    if money.amount == 0 {
        return refusal("out_of_range", "must be at least 1; without an amount everything that is left is refunded");
    }
    Ok(())
}

/// `POST /api/payments/{id}/refund`: 200 with the payment once the booking counts the refund.
pub(super) async fn refund(
    State(app): State<SharedApp>,
    caller: Caller,
    context: RequestContext,
    IdempotencyKey(key): IdempotencyKey,
    PathId(PaymentId(id)): PathId<PaymentId>,
    wait: PreferredWait,
    Form { value: RefundForm { amount, reason: note }, fingerprint }: Form<RefundForm>,
) -> Result<Either<Shown<PaymentView>, Pending>, Problem> {
    let ledger = ledger_of(&app, &id)
        .await?
        .filter(|ledger| caller.is_staff_of(&ledger.property_id))
        .ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
    let payment = payment_of(&ledger, &id, Utc::now().into()).ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
    if !payment.is_stripe_payment() {
        return Err(problem::NOT_REFUNDABLE.into());
    }
    let amount = amount.map(|money| amount_in_payment_currency(money, &payment)).transpose()?;
    let (booking, property) = (ledger.booking_id, ledger.property_id);
    let kind = format!("{PAYMENT_REFUND}\n{}", payment.id);
    let command_key = CommandKey::new(&kind, booking, &caller, &key, fingerprint);
    let command = Refund {
        booking_id: booking,
        property_id: property.clone(),
        request: Some(RefundRequest { refund_id: command_key.id, payment_id: payment.id.clone(), amount, note }),
        actor: caller.actor(),
        requested_at: Utc::now().into(),
    };
    let submitted =
        submit::submit(&app, (&context, wait.named), &caller, (booking, &property), &command_key, &command).await?;
    let location = format!("/api/payments/{}", payment.id);
    if submitted.reply.is_none() {
        return Ok(Either::That(submitted.pending(&payment.id, booking, &location)?));
    }
    let now = submit::ledger(&app, booking).await?.ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
    let shown = payment_of(&now, &payment.id, Utc::now().into()).ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
    if submitted.reaches_booking(&app, &now).await?.is_none() {
        return Ok(Either::That(submitted.pending(&payment.id, booking, &location)?));
    }
    Ok(Either::This(submitted.done(&shown)))
}

/// The refunded amount. A refund is in the currency of the payment, whatever the booking is priced in.
fn amount_in_payment_currency(money: Money, payment: &PaymentView) -> Result<i64, Problem> {
    let paid_in = payment.amount.currency;
    if money.currency != paid_in {
        let message = format!("the payment was made in {}", paid_in.code());
        return Err(Problem::fields(vec![FieldError::new("/amount/currency", "wrong_currency", message)]));
    }
    let step = amounts::limits(paid_in).map_or(1, |limits| limits.step);
    if money.amount % step != 0 {
        let message = AmountRefusal::Step(Money::new(step, paid_in)).to_string();
        return Err(Problem::fields(vec![FieldError::new("/amount/amount", "not_a_multiple", message)]));
    }
    Ok(money.amount)
}

#[cfg(test)]
mod tests {
    use super::{RefundForm, amount_in_payment_currency};
    use crate::form::parse_form;
    use crate::resources::payments::fixtures::{at, intent, observe, opened};
    use crate::resources::payments::view::payment_of;
    use pvt_domain::money::{Currency, Money};

    #[test]
    fn refund_requires_reason_and_takes_optional_amount() {
        let violations = |body: &str| {
            let refused = parse_form::<RefundForm>(body.as_bytes()).unwrap_err();
            refused.errors().iter().map(|error| (error.pointer.clone(), error.code)).collect::<Vec<_>>()
        };
        let (form, _) = parse_form::<RefundForm>(br#"{"reason":"the shower was cold"}"#).unwrap();
        assert_eq!((form.amount, form.reason.as_str()), (None, "the shower was cold"));
        assert_eq!(
            violations(r#"{"amount":{"amount":0,"currency":"CAD"}}"#),
            [("/amount/amount".to_owned(), "out_of_range"), ("/reason".to_owned(), "required")]
        );
        assert_eq!(
            violations(r#"{"amount":5,"reason":" "}"#),
            [("/amount".to_owned(), "wrong_type"), ("/reason".to_owned(), "invalid_reason")]
        );
        assert_eq!(
            violations(r#"{"amount":{"amount":-1,"currency":"CAD"},"reason":"x"}"#),
            [("/amount/amount".to_owned(), "out_of_range")]
        );
    }

    #[test]
    fn refund_must_be_in_the_payment_currency() {
        let mut ledger = opened();
        let mut foreign = intent("pi_usd", "succeeded", 15_000, None);
        foreign["currency"] = "usd".into();
        observe(&mut ledger, 2, "payment_intent.succeeded", foreign);
        let payment = payment_of(&ledger, "pi_usd", at("2027-01-15T08:10:00Z")).unwrap();
        let usd = Currency::from_code("USD").unwrap();
        assert_eq!(amount_in_payment_currency(Money::new(15_000, usd), &payment).unwrap(), 15_000);
        let mut dinars = intent("pi_kwd", "succeeded", 15_000, None);
        dinars["currency"] = "kwd".into();
        observe(&mut ledger, 3, "payment_intent.succeeded", dinars);
        let dinars = payment_of(&ledger, "pi_kwd", at("2027-01-15T08:10:00Z")).unwrap();
        let refused = amount_in_payment_currency(Money::new(5_124, Currency::KWD), &dinars).unwrap_err();
        assert_eq!(
            (refused.errors()[0].pointer.as_str(), refused.errors()[0].code),
            ("/amount/amount", "not_a_multiple")
        );
        let refused = amount_in_payment_currency(Money::new(15_000, Currency::CAD), &payment).unwrap_err();
        assert_eq!(
            (refused.errors()[0].pointer.as_str(), refused.errors()[0].code),
            ("/amount/currency", "wrong_currency")
        );
    }
}
