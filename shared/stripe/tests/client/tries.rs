//! Attempts of one request.

use crate::scripted::{Answer, Server, client, error, intent, refund, says, says_with};
use pvt_stripe::{NewRefund, StripeError};
use std::time::{Duration, Instant};

/// A try this short is over before a test gets boring.
const SHORT: Duration = Duration::from_millis(150);
/// What a call may take more than one try, and something for a busy machine.
const LONGEST: Duration = Duration::from_secs(6);

fn down() -> Answer {
    says(500, error("api_error", None, "oops"))
}

fn back() -> NewRefund {
    NewRefund { payment_intent: "pi_1".into(), amount: 500, refund_key: "k".into(), metadata: Default::default() }
}

#[tokio::test]
async fn another_try_has_the_same_key_and_form() {
    let server = Server::patient([Answer::Hangs, Answer::Cuts, says(200, refund("re_1"))], SHORT).await;
    assert_eq!(server.client.create_refund(&back(), "refund:b-1:3").await.unwrap().id, "re_1");
    let requests = server.received();
    assert_eq!(requests.len(), 3);
    assert!(
        requests.iter().all(
            |request| request.header("idempotency-key") == Some("refund:b-1:3") && request.body == requests[0].body
        )
    );
}

#[tokio::test]
async fn tries_end() {
    let server = Server::new([]).await;
    let begun = Instant::now();
    let failed = server.client.create_refund(&back(), "k").await.unwrap_err();
    assert!(matches!(failed, StripeError::Unavailable { .. }), "{failed}");
    assert_eq!(server.received().len(), 3);
    assert!(begun.elapsed() < LONGEST);
}

#[tokio::test]
async fn reading_is_tried_again_too() {
    let busy = || says(409, error("invalid_request_error", None, "busy"));
    let limited =
        || says_with(429, &[("retry-after", "1")], error("invalid_request_error", Some("rate_limit"), "slow down"));
    let server = Server::new([busy(), limited(), says(200, intent("succeeded"))]).await;
    let begun = Instant::now();
    assert_eq!(server.client.intent("pi_1").await.unwrap().id, "pi_1");
    assert!(begun.elapsed() >= Duration::from_secs(1), "Stripe said how long");
}

#[tokio::test]
async fn final_answers_are_not_retried() {
    let server =
        Server::new([says_with(500, &[("stripe-should-retry", "false")], error("api_error", None, "oops")), down()])
            .await;
    assert!(server.client.intent("pi_1").await.is_err());
    server.only();
}

#[tokio::test]
async fn a_server_that_never_answers_is_unavailable() {
    let server = Server::patient([Answer::Hangs, Answer::Hangs, Answer::Hangs], SHORT).await;
    let begun = Instant::now();
    let failed = server.client.intent("pi_1").await.unwrap_err();
    assert!(matches!(&failed, StripeError::Unavailable { message, .. } if message.contains("no answer")), "{failed}");
    assert!(begun.elapsed() < LONGEST);
}

#[tokio::test]
async fn key_is_not_sent_without_tls() {
    let server = Server::patient([], SHORT).await;
    let failed = client(&server.base.replace("http:", "https:"), SHORT).intent("pi_1").await.unwrap_err();
    assert!(matches!(failed, StripeError::Unavailable { .. }), "{failed}");
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn closed_port_is_unavailable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let failed = client(&base, SHORT).intent("pi_1").await.unwrap_err();
    assert!(matches!(failed, StripeError::Unavailable { .. }), "{failed}");
}
