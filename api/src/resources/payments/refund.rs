//! Staff give money back through Stripe.

use super::show::{checked_id, ledger_of};
use super::submit::{self, CommandKey};
use crate::auth::credentials::Credentials;
use crate::form;
use crate::form::json::Node;
use crate::form::reader::{Pointer, Reader};
use crate::http::headers;
use crate::http::problem::{self, HandlerResult, Problem};
use crate::resources::payments::view::{PaymentView, payment_of};
use crate::state::SharedApp;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use chrono::Utc;
use pvt_domain::intake::FieldError;
use pvt_domain::messages::{PAYMENT_REFUND, Refund, RefundRequest};
use pvt_domain::money::Money;

/// `POST /api/payments/{id}/refund`: 200 with the payment.
pub(crate) async fn refund(State(app): State<SharedApp>, Path(id): Path<String>, request: Request) -> HandlerResult {
    let (parts, body) = request.into_parts();
    let caller = Credentials::of(&parts).caller;
    let key = headers::idempotency_key(&parts.headers)?;
    let ((amount, note), fingerprint) = form::read(&parts.headers, body, read).await?;
    let id = checked_id(&id)?;
    let ledger = ledger_of(&app, id)
        .await?
        .filter(|ledger| caller.is_staff_of(&ledger.property_id))
        .ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
    let payment = payment_of(&ledger, id, Utc::now().into()).ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
    if !payment.is_stripe_payment() {
        return Err(problem::NOT_REFUNDABLE.into());
    }
    let amount = amount.map(|money| amount_in_payment_currency(money, &payment)).transpose()?;
    let (booking, property) = (ledger.booking_id, ledger.property_id);
    let wish = CommandKey::new(&format!("{PAYMENT_REFUND}\n{}", payment.id), booking, &caller, key, fingerprint);
    let command = Refund {
        booking_id: booking,
        property_id: property.clone(),
        request: Some(RefundRequest { refund_id: wish.id, payment_id: payment.id.clone(), amount, note }),
        actor: caller.actor(),
        requested_at: Utc::now().into(),
    };
    let submitted = submit::submit(&app, &parts, &caller, (booking, &property), &wish, &command).await?;
    let location = format!("/api/payments/{}", payment.id);
    if submitted.reply.is_none() {
        return submitted.pending(&payment.id, booking, &location);
    }
    let now =
        submit::ledger(&app, booking).await?.and_then(|ledger| payment_of(&ledger, &payment.id, Utc::now().into()));
    submitted.response(&parts, StatusCode::OK, &location, now.ok_or_else(|| Problem::from(problem::NOT_FOUND))?)
}

/// Money goes back as it came, whatever the booking is priced in.
fn amount_in_payment_currency(money: Money, payment: &PaymentView) -> Result<i64, Problem> {
    let paid_in = payment.amount.currency;
    if money.currency == paid_in {
        return Ok(money.amount);
    }
    let message = format!("the payment was made in {}", paid_in.code());
    Err(Problem::fields(vec![FieldError::new("/amount/currency", "wrong_currency", message)]))
}

fn read(node: &Node<'_>, reader: &mut Reader) -> Option<(Option<Money>, String)> {
    let fields = reader.object(node, &Pointer::Root, &["amount", "reason"])?;
    let amount = fields.optional("amount").and_then(|field| {
        let money = form::money(field, reader)?;
        if money.amount == 0 {
            reader.violation(
                &Pointer::Key(&field.at(), "amount"),
                "out_of_range",
                "must be at least 1; without an amount all that is left is given back",
            );
        }
        Some(money)
    });
    let reason = reader.required(fields, "reason").and_then(|field| form::free_text(field, "invalid_reason", reader));
    Some((amount, reason?))
}

#[cfg(test)]
mod tests {
    use super::{amount_in_payment_currency, read};
    use crate::form::parse;
    use crate::resources::payments::fixtures::{at, intent, observe, opened};
    use crate::resources::payments::view::payment_of;
    use pvt_domain::money::{Currency, Money};

    #[test]
    fn refund_requires_reason_and_takes_optional_amount() {
        let violations = |body: &str| {
            let refused = parse(body.as_bytes(), &[], read).unwrap_err();
            refused.errors().iter().map(|error| (error.pointer.clone(), error.code)).collect::<Vec<_>>()
        };
        let (read_all, _) = parse(br#"{"reason":"the shower was cold"}"#, &[], read).unwrap();
        assert_eq!(read_all, (None, "the shower was cold".to_owned()));
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
        let refused = amount_in_payment_currency(Money::new(15_000, Currency::CAD), &payment).unwrap_err();
        assert_eq!(
            (refused.errors()[0].pointer.as_str(), refused.errors()[0].code),
            ("/amount/currency", "wrong_currency")
        );
    }
}
