//! Amounts are refused as Stripe refuses them, by currency.

use crate::harness::Harness;

#[tokio::test]
async fn amounts_are_limited_by_currency() {
    let harness = Harness::start().await;
    for (amount, currency, code) in [
        ("49", "cad", Some("amount_too_small")),
        ("17499", "huf", Some("amount_too_small")),
        ("100000000", "eur", Some("amount_too_large")),
        ("100000000", "idr", None),
        ("5124", "kwd", Some("parameter_invalid_integer")),
        ("5120", "kwd", None),
        ("550", "isk", Some("parameter_invalid_integer")),
        ("500", "isk", None),
    ] {
        let answer = harness.post("/v1/payment_intents", &[("amount", amount), ("currency", currency)]).await;
        match code {
            Some(code) => assert_eq!(answer.error(400)["code"], code, "{amount} {currency}"),
            None => assert_eq!(answer.ok()["currency"], currency),
        }
    }
    let form = [("amount", "5120"), ("currency", "kwd"), ("confirm", "true"), ("payment_method", "pm_card_visa")];
    let paid = harness.post("/v1/payment_intents", &form).await.ok();
    let refund = |amount| [("payment_intent", paid["id"].as_str().unwrap()), ("amount", amount)];
    let refused = harness.post("/v1/refunds", &refund("4608")).await.error(400);
    assert_eq!((&refused["code"], &refused["param"]), (&"parameter_invalid_integer".into(), &"amount".into()));
    assert_eq!(harness.post("/v1/refunds", &refund("4600")).await.ok()["amount"], 4_600);
}
