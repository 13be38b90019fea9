//! Corrections of the guest's details in every state of a booking that has a guest.

use crate::harness::{AcceptedBooking, Expectations, FrontDesk, LONG_TIMEOUT, Stack};
use crate::payments::{checkout, hold, mails, prepaid, start, until};
use anyhow::{Context, Result, ensure};
use pvt_domain::booking::Status;
use pvt_stripe_simulator::PayOutcome;
use pvt_testkit::{days_from_now, eventually};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Corrects the guest at the booking's present revision.
async fn correct(desk: &FrontDesk, booking: &AcceptedBooking, guest: Value) -> Result<Value> {
    let path = format!("/api/bookings/{}", booking.id);
    let shown = desk.send(Method::GET, &path, None, &json!({})).await?;
    let answer = desk.send(Method::PATCH, &path, shown.body["rev"].as_u64(), &json!({ "guest": guest })).await?;
    ensure!(answer.status == StatusCode::OK, "{answer:?}");
    ensure!(answer.body["status"] == shown.body["status"] && answer.body["stays"] == shown.body["stays"], "{answer:?}");
    Ok(answer.body)
}

/// The number of mails that arrived at this address.
async fn arrived(stack: &Stack, address: &str) -> Result<usize> {
    Ok(stack.mailbox.all().await?.iter().filter(|mail| mail.to == address).count())
}

#[tokio::test]
async fn wrong_address_of_a_held_booking_is_corrected_and_the_right_one_can_pay() -> Result<()> {
    let stack = start().await?;
    let desk = FrontDesk::of(&stack).await?;
    let mut body = prepaid(days_from_now(60), 2);
    body["guest"]["email"] = json!("adda@example.com");
    let booked = hold(&stack, "1", &body).await?;
    eventually("the first link is mailed", LONG_TIMEOUT, async || {
        Ok((arrived(&stack, "adda@example.com").await? == 1).then_some(()))
    })
    .await?;
    let held = correct(&desk, &booked, json!({ "email": "ada.l@example.com" })).await?;
    assert_eq!(held["guest"]["email"], "ada.l@example.com");
    eventually("the link is mailed to the right address", LONG_TIMEOUT, async || {
        Ok((arrived(&stack, "ada.l@example.com").await? == 1).then_some(()))
    })
    .await?;
    assert_eq!(mails(&stack, &booked).await?, ["payment_link", "payment_link"]);
    let by_wrong_link = stack.client.get(&format!("/api/bookings/{}?token={}", booked.id, booked.token)).await?;
    assert_eq!(by_wrong_link.status, StatusCode::NOT_FOUND, "the link to the wrong address has ended");
    let sent = stack.mailbox.all().await?;
    let right = sent.iter().find(|mail| mail.to == "ada.l@example.com").context("arrived")?;
    let token = right.text.split("token=").nth(1).and_then(|rest| rest.split_whitespace().next());
    let booked = AcceptedBooking { id: booked.id, token: token.context("a link with a token")?.to_owned() };
    let (session, _) = checkout(&stack, &booked, "pay").await?;
    stack.stripe()?.pay(&session, PayOutcome::Success)?;
    until(&stack, &booked, Status::Confirmed).await?;
    stack.wait_until_quiet(&Expectations::clean()).await?;
    assert_eq!(mails(&stack, &booked).await?, ["payment_link", "payment_link", "booking_confirmed"]);
    assert_eq!(arrived(&stack, "adda@example.com").await?, 1, "nothing more goes to the wrong address");

    // An invoice to another name, after the booking was cancelled.
    desk.succeed(&booked, "cancel", &json!({})).await?;
    let renamed = correct(&desk, &booked, json!({ "last_name": "King" })).await?;
    assert_eq!(renamed["guest"]["last_name"], "King");
    let path = format!("/api/bookings/{}", booked.id);
    let refused =
        desk.send(Method::PATCH, &path, renamed["rev"].as_u64(), &json!({ "stays": [{ "guests": 1 }] })).await?;
    assert_eq!((refused.status, refused.problem()?), (StatusCode::CONFLICT, "wrong_status"), "{refused:?}");
    stack.end(Expectations::clean()).await
}
