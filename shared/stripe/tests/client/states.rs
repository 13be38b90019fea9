//! Ending what may have ended already.

use crate::scripted::{Answer, Server, error, intent, says, session};
use pvt_stripe::{Cancellation, Expiry, StripeError};

fn not_open(status: &str) -> Answer {
    let message = format!(
        "Only Checkout Sessions with a status in [\"open\"] can be expired. This Session has a status of `{status}`."
    );
    says(400, error("invalid_request_error", None, &message))
}

fn unexpected_state() -> Answer {
    says(
        400,
        error("invalid_request_error", Some("payment_intent_unexpected_state"), "You cannot cancel this PaymentIntent"),
    )
}

#[tokio::test]
async fn an_open_session_is_ended() {
    let server = Server::new([says(200, session("expired"))]).await;
    assert!(matches!(server.client.expire_session("cs_1").await, Ok(Expiry::Expired(_))));
    let request = server.only();
    assert_eq!(
        (request.method.as_str(), request.path.as_str(), request.body.as_str()),
        ("POST", "/v1/checkout/sessions/cs_1/expire", "")
    );
}

#[tokio::test]
async fn a_session_that_is_not_open_is_given_as_it_is() {
    let paid = Server::new([not_open("complete"), says(200, session("complete"))]).await;
    assert!(matches!(paid.client.expire_session("cs_1").await, Ok(Expiry::NotOpen(_))));
    assert_eq!(paid.received()[1].path, "/v1/checkout/sessions/cs_1");
    let ended = Server::new([not_open("expired"), says(200, session("expired"))]).await;
    assert!(matches!(ended.client.expire_session("cs_1").await, Ok(Expiry::Expired(_))));
}

#[tokio::test]
async fn an_open_session_that_cannot_be_ended_is_never_taken_for_ended() {
    let still_open = Server::new([not_open("open"), says(200, session("open"))]).await;
    assert!(matches!(still_open.client.expire_session("cs_1").await, Err(StripeError::Refused { .. })));
    let odd = Server::new([says(200, session("open"))]).await;
    assert!(matches!(odd.client.expire_session("cs_1").await, Err(StripeError::Unreadable(_))));
    let missing =
        Server::new([says(404, error("invalid_request_error", Some("resource_missing"), "No such checkout.session"))])
            .await;
    assert!(missing.client.expire_session("cs_1").await.unwrap_err().is_missing());
    missing.only();
}

#[tokio::test]
async fn a_payment_is_given_up_unless_it_is_paid() {
    let server = Server::new([says(200, intent("canceled"))]).await;
    assert!(matches!(server.client.cancel_intent("pi_1").await, Ok(Cancellation::Canceled(_))));
    assert_eq!(server.only().path, "/v1/payment_intents/pi_1/cancel");
    for status in ["succeeded", "processing"] {
        let server = Server::new([unexpected_state(), says(200, intent(status))]).await;
        assert!(matches!(server.client.cancel_intent("pi_1").await, Ok(Cancellation::NotCancelable(_))), "{status}");
    }
    let again = Server::new([unexpected_state(), says(200, intent("canceled"))]).await;
    assert!(matches!(again.client.cancel_intent("pi_1").await, Ok(Cancellation::Canceled(_))));
    let of_a_session = Server::new([unexpected_state(), says(200, intent("requires_payment_method"))]).await;
    assert!(matches!(of_a_session.client.cancel_intent("pi_1").await, Err(StripeError::Refused { .. })));
}
