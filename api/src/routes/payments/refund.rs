//! Staff give money back through Stripe.

use super::ask::{self, Wish};
use super::show::{ledger_of, sound};
use crate::app::SharedApp;
use crate::credentials::Presented;
use crate::form;
use crate::headers;
use crate::json::Node;
use crate::payments::view::{PaymentView, payment_of};
use crate::problem::{self, Answer, Problem};
use crate::reader::{At, Reader};
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use chrono::Utc;
use pvt_domain::intake::FieldError;
use pvt_domain::messages::{PAYMENT_REFUND, Refund, RefundWish};
use pvt_domain::money::Money;

/// `POST /api/payments/{id}/refund`: 200 with the payment.
pub(in crate::routes) async fn refund(
    State(app): State<SharedApp>,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    let caller = Presented::of(&parts).caller;
    let key = headers::idempotency_key(&parts.headers)?;
    let ((amount, note), fingerprint) = form::read(&parts.headers, body, read).await?;
    let id = sound(&id)?;
    let ledger = ledger_of(&app, id)
        .await?
        .filter(|ledger| caller.acts_on(&ledger.property_id))
        .ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
    let payment = payment_of(&ledger, id, Utc::now().into()).ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
    if !payment.is_stripes() {
        return Err(problem::NOT_REFUNDABLE.into());
    }
    let amount = amount.map(|money| in_its_currency(money, &payment)).transpose()?;
    let (booking, property) = (ledger.booking_id, ledger.property_id);
    let wish = Wish::new(&format!("{PAYMENT_REFUND}\n{}", payment.id), booking, &caller, key, fingerprint);
    let command = Refund {
        booking_id: booking,
        property_id: property.clone(),
        wish: Some(RefundWish { refund_id: wish.id, payment_id: payment.id.clone(), amount, note }),
        actor: caller.actor(),
        requested_at: Utc::now().into(),
    };
    let asked = ask::ask(&app, &parts, &caller, (booking, &property), &wish, &command).await?;
    let location = format!("/api/payments/{}", payment.id);
    if asked.reply.is_none() {
        return asked.pending(&payment.id, booking, &location);
    }
    let now = ask::ledger(&app, booking).await?.and_then(|ledger| payment_of(&ledger, &payment.id, Utc::now().into()));
    asked.done(&parts, StatusCode::OK, &location, now.ok_or_else(|| Problem::from(problem::NOT_FOUND))?)
}

/// Money goes back as it came, whatever the booking is priced in.
fn in_its_currency(money: Money, payment: &PaymentView) -> Result<i64, Problem> {
    let paid_in = payment.amount.currency;
    if money.currency == paid_in {
        return Ok(money.amount);
    }
    let message = format!("the payment was made in {}", paid_in.code());
    Err(Problem::fields(vec![FieldError::new("/amount/currency", "wrong_currency", message)]))
}

fn read(node: &Node<'_>, reader: &mut Reader) -> Option<(Option<Money>, String)> {
    let fields = reader.object(node, &At::Root, &["amount", "reason"])?;
    let amount = fields.optional("amount").and_then(|field| {
        let money = form::money(field, reader)?;
        if money.amount == 0 {
            reader.fault(
                &At::Key(&field.at(), "amount"),
                "out_of_range",
                "must be at least 1; without an amount all that is left is given back",
            );
        }
        Some(money)
    });
    let reason = reader.required(fields, "reason").and_then(|field| form::words(field, "invalid_reason", reader));
    Some((amount, reason?))
}

#[cfg(test)]
mod tests {
    use super::{in_its_currency, read};
    use crate::form::parse;
    use crate::payments::fixtures::{at, intent, opened, tell};
    use crate::payments::view::payment_of;
    use pvt_domain::money::{Currency, Money};

    #[test]
    fn a_refund_needs_a_reason_and_may_say_how_much() {
        let faults = |body: &str| {
            let refused = parse(body.as_bytes(), &[], read).unwrap_err();
            refused.errors().iter().map(|error| (error.pointer.clone(), error.code)).collect::<Vec<_>>()
        };
        let (read_all, _) = parse(br#"{"reason":"the shower was cold"}"#, &[], read).unwrap();
        assert_eq!(read_all, (None, "the shower was cold".to_owned()));
        assert_eq!(
            faults(r#"{"amount":{"amount":0,"currency":"CAD"}}"#),
            [("/amount/amount".to_owned(), "out_of_range"), ("/reason".to_owned(), "required")]
        );
        assert_eq!(
            faults(r#"{"amount":5,"reason":" "}"#),
            [("/amount".to_owned(), "wrong_type"), ("/reason".to_owned(), "invalid_reason")]
        );
        assert_eq!(
            faults(r#"{"amount":{"amount":-1,"currency":"CAD"},"reason":"x"}"#),
            [("/amount/amount".to_owned(), "out_of_range")]
        );
    }

    #[test]
    fn money_goes_back_in_the_currency_it_came_in() {
        let mut ledger = opened();
        let mut foreign = intent("pi_usd", "succeeded", 15_000, None);
        foreign["currency"] = "usd".into();
        tell(&mut ledger, 2, "payment_intent.succeeded", foreign);
        let payment = payment_of(&ledger, "pi_usd", at("2027-01-15T08:10:00Z")).unwrap();
        let usd = Currency::from_code("USD").unwrap();
        assert_eq!(in_its_currency(Money::new(15_000, usd), &payment).unwrap(), 15_000);
        let refused = in_its_currency(Money::new(15_000, Currency::CAD), &payment).unwrap_err();
        assert_eq!(
            (refused.errors()[0].pointer.as_str(), refused.errors()[0].code),
            ("/amount/currency", "wrong_currency")
        );
    }
}
