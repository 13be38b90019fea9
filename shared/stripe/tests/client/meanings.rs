//! Meanings of Stripe's answers.

use crate::scripted::{Answer, KEY, Server, client, error, intent, refund, says, says_with};
use pvt_domain::money::Currency;
use pvt_stripe::{NewIntent, StripeError};
use serde_json::json;
use std::time::Duration;

async fn meaning(answer: Answer) -> StripeError {
    let server = Server::new([answer]).await;
    let failed = server.client.intent("pi_1").await.unwrap_err();
    server.only();
    failed
}

/// As [`meaning`], of an answer after which Stripe says that trying again is of no use.
async fn final_meaning(status: u16, body: serde_json::Value) -> StripeError {
    meaning(says_with(status, &[("stripe-should-retry", "false")], body)).await
}

#[tokio::test]
async fn refusal_carries_everything_stripe_reports() {
    let declined = json!({ "error": { "type": "card_error", "code": "card_declined",
        "decline_code": "insufficient_funds", "param": "payment_method",
        "message": "Your card 4242 4242 4242 4242 was declined." } });
    let failed = meaning(says(402, declined)).await;
    assert_eq!(failed.code(), Some("card_declined"));
    let StripeError::Refused { kind, param, decline_code, message, .. } = failed else { panic!("{failed}") };
    assert_eq!(
        (kind.as_str(), param.as_deref(), decline_code.as_deref()),
        ("card_error", Some("payment_method"), Some("insufficient_funds"))
    );
    assert_eq!(message, "Your card [number] was declined. (status 402, request req_42)");
}

#[tokio::test]
async fn missing_or_invalid_parameters_are_refused() {
    let missing =
        meaning(says(404, error("invalid_request_error", Some("resource_missing"), "No such payment_intent: 'pi_1'")))
            .await;
    assert!(missing.is_missing() && !missing.is_worth_retrying(), "{missing}");
    let invalid = meaning(says(400, error("invalid_request_error", None, "amount too small"))).await;
    assert!(
        matches!(&invalid, StripeError::Refused { code: None, kind, .. } if kind == "invalid_request_error"),
        "{invalid}"
    );
}

#[tokio::test]
async fn wrong_key_and_missing_permission_differ_and_show_no_key() {
    for status in [401, 403] {
        let failed =
            meaning(says(status, error("invalid_request_error", None, &format!("Invalid API Key provided: {KEY}"))))
                .await;
        match status {
            401 => assert!(matches!(failed, StripeError::Unauthorized(_)), "{failed}"),
            _ => assert!(matches!(failed, StripeError::Forbidden(_)), "{failed}"),
        }
        assert!(!failed.to_string().contains("canary"), "{failed}");
    }
    let client = client("http://127.0.0.1:1", Duration::from_millis(100));
    assert!(!format!("{client:?}").contains("canary"));
}

#[tokio::test]
async fn a_key_used_for_something_else_is_a_defect() {
    let failed = meaning(says(
        400,
        error("idempotency_error", None, "Keys for idempotent requests can only be used with the same parameters"),
    ))
    .await;
    assert!(matches!(failed, StripeError::Idempotency(_)), "{failed}");
}

#[tokio::test]
async fn failures_of_stripe_are_distinguished() {
    let in_use =
        final_meaning(409, error("invalid_request_error", Some("idempotency_key_in_use"), "in progress")).await;
    assert!(matches!(in_use, StripeError::Transient(_)), "{in_use}");
    let locked = final_meaning(429, error("invalid_request_error", Some("lock_timeout"), "locked")).await;
    assert!(matches!(locked, StripeError::Transient(_)), "{locked}");
    let down = final_meaning(503, json!("no error object at all")).await;
    assert!(matches!(down, StripeError::Unavailable { .. }), "{down}");
    let kept = meaning(says_with(
        500,
        &[("stripe-should-retry", "false"), ("idempotent-replayed", "true")],
        error("api_error", None, "oops"),
    ))
    .await;
    assert!(matches!(kept, StripeError::Transient(_)), "{kept}");
}

#[tokio::test]
async fn too_many_calls_say_how_long_to_wait() {
    let limited = error("invalid_request_error", Some("rate_limit"), "Too many requests");
    let failed = meaning(says_with(429, &[("retry-after", "30")], limited)).await;
    assert_eq!(failed, StripeError::RateLimited { retry_after: Some(Duration::from_secs(30)) });
}

#[tokio::test]
async fn undocumented_answers_are_unreadable() {
    for answer in [
        Answer::Says(200, Vec::new(), "{\"id\":\"pi_1\",\"status".into()),
        says(200, json!({ "id": "pi_1", "object": "payment_intent" })),
        Answer::Says(400, Vec::new(), "<html>".into()),
        says_with(302, &[("location", "http://127.0.0.1:1/")], json!({})),
    ] {
        let failed = meaning(answer).await;
        assert!(matches!(failed, StripeError::Unreadable(_)), "{failed}");
    }
    let endless = format!("{}{}", " ".repeat(9 * 1024 * 1024), intent("succeeded"));
    let failed = meaning(Answer::Says(200, Vec::new(), endless)).await;
    assert!(matches!(&failed, StripeError::Unreadable(message) if message.contains("longer")), "{failed}");
    let odd = meaning(says(
        200,
        json!({ "id": "pi_1", "amount": "guest's own words", "status": "succeeded", "currency": "cad" }),
    ))
    .await;
    assert!(odd.to_string().contains("invalid type") && !odd.to_string().contains("words"), "{odd}");
}

#[tokio::test]
async fn a_list_has_an_end() {
    let page = |from: u32| {
        json!({ "has_more": true,
        "data": (from..from + 2).map(|n| refund(&format!("re_{n}"))).collect::<Vec<_>>() })
    };
    let last = json!({ "has_more": false, "data": [refund("re_9")] });
    let server = Server::new([says(200, page(1)), says(200, last)]).await;
    let ids: Vec<_> = server.client.refunds_of("pi_1").await.unwrap().into_iter().map(|refund| refund.id).collect();
    assert_eq!(ids, ["re_1", "re_2", "re_9"]);
    let requests = server.received();
    assert_eq!(
        (requests[0].query.get("payment_intent").map(String::as_str), requests[0].query.get("starting_after")),
        (Some("pi_1"), None)
    );
    assert_eq!(requests[1].query.get("starting_after").map(String::as_str), Some("re_2"));

    let endless = Server::new((0..50).map(|n| says(200, page(2 * n)))).await;
    assert!(matches!(endless.client.refunds_of("pi_1").await, Err(StripeError::Unreadable(_))));
    assert_eq!(endless.received().len(), 10);
    let stuck = Server::new([says(200, json!({ "has_more": true, "data": [] }))]).await;
    assert!(matches!(stuck.client.disputes_of("pi_1").await, Err(StripeError::Unreadable(_))));
}

#[tokio::test]
async fn amounts_that_stripe_would_misread_are_not_sent() {
    let server = Server::new([says(200, intent("succeeded"))]).await;
    let payment =
        NewIntent { amount: 5_000, currency: Currency::ISK, title: String::new(), metadata: Default::default() };
    assert_eq!(server.client.create_intent(&payment, "k").await.unwrap_err().code(), Some("currency_units"));
    assert!(server.received().is_empty());
}
