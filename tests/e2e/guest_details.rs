//! Corrections of the guest's details in every state of a booking that has a guest.

use crate::checked_in::while_killed;
use crate::harness::clock::at_noon;
use crate::harness::{AcceptedBooking, Expectations, FrontDesk, LONG_TIMEOUT, Stack, StackBuilder};
use crate::payments::{checkout, hold, mails, prepaid, start, until};
use anyhow::{Context, Result, ensure};
use chrono::{Days, NaiveDate};
use pvt_domain::booking::{FormerAddress, Status};
use pvt_stripe_simulator::PayOutcome;
use pvt_testkit::{DORM, booking_body, days_from_now, dormitory, eventually};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::HashSet;

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

const PROPERTY: &str = "pvt-montreal";
const WORKERS: &[(&str, &[&str])] = &[
    ("one", &["confirmations"]),
    ("two", &["confirmations"]),
    ("mail-one", &["emails"]),
    ("mail-two", &["emails"]),
    ("others", &["analytics", "payments"]),
];

/// The ids of the mails that arrived at this address, each once.
async fn mail_ids(stack: &Stack, address: &str) -> Result<HashSet<String>> {
    let mails = stack.mailbox.all().await?.into_iter().filter(|mail| mail.to == address);
    Ok(mails.map(|mail| mail.message_id).collect())
}

async fn until_mailed(stack: &Stack, address: &str, count: usize) -> Result<()> {
    eventually(&format!("{count} mails to {address}"), LONG_TIMEOUT, async || {
        Ok((mail_ids(stack, address).await?.len() >= count).then_some(()))
    })
    .await
}

/// A confirmed booking whose mail has arrived at `old-<key>@example.com`.
async fn informed(stack: &Stack, key: &str, arrival: NaiveDate) -> Result<(AcceptedBooking, String)> {
    let old = format!("old-{key}@example.com");
    let mut body = booking_body(DORM, arrival, 2, 1);
    body["guest"]["email"] = json!(old);
    let booked = stack.book(key, &body).await?;
    ensure!(stack.client.wait_for_decision(&booked).await?["status"] == "confirmed");
    until_mailed(stack, &old, 1).await?;
    Ok((booked, old))
}

/// Each booking is corrected while another worker is killed: between decision and store, store and event, mail and
/// record, record and event.
#[tokio::test]
async fn both_addresses_of_a_confirmed_booking_are_informed_once_while_workers_are_killed() -> Result<()> {
    let (inventory, today) = at_noon(dormitory(PROPERTY, 6))?;
    let mut stack = StackBuilder::new().selling([inventory]).workers(WORKERS).start().await?;
    let desk = FrontDesk::of(&stack).await?;
    let mut corrected = Vec::new();
    for (key, fault) in [("a", "before_commit"), ("b", "after_commit_before_publish")] {
        let (booking, old) = informed(&stack, key, today + Days::new(30)).await?;
        let new = format!("new-{key}@example.com");
        let path = format!("/api/bookings/{}", booking.id);
        let (front, body) = (desk.clone(), json!({ "guest": { "email": new } }));
        let correction = async move { front.send(Method::PATCH, &path, Some(1), &body).await };
        let answer = while_killed(&mut stack, fault, correction).await?;
        ensure!(answer.status == StatusCode::OK && answer.body["rev"] == 2, "{answer:?}");
        corrected.push((booking, old, new));
    }
    for (key, fault) in [("c", "after_smtp_before_record"), ("d", "after_handle_before_publish")] {
        let (booking, old) = informed(&stack, key, today).await?;
        desk.succeed(&booking, "checkin", &json!({})).await?;
        stack.program("mail-two")?.stop().await?;
        stack.program("mail-one")?.stop().await?;
        stack.start_with_fault_point("mail-one", fault).await?;
        let new = format!("new-{key}@example.com");
        correct(&desk, &booking, json!({ "email": new })).await?;
        stack.program("mail-one")?.wait_for_abort().await?;
        stack.restart("mail-two").await?;
        stack.restart("mail-one").await?;
        corrected.push((booking, old, new));
    }
    for (_, old, new) in &corrected {
        until_mailed(&stack, new, 1).await?;
        until_mailed(&stack, old, 2).await?;
    }
    let expectations = Expectations::clean().mail_copies(2);
    stack.wait_until_quiet(&expectations).await?;

    // What follows goes to the new address alone.
    let (first, old, new) = &corrected[0];
    desk.succeed(first, "cancel", &json!({})).await?;
    until_mailed(&stack, new, 2).await?;
    stack.wait_until_quiet(&expectations).await?;
    for (index, (booking, old, new)) in corrected.iter().enumerate() {
        let arrived = (mail_ids(&stack, old).await?.len(), mail_ids(&stack, new).await?.len());
        ensure!(arrived == (2, if index == 0 { 2 } else { 1 }), "{}: {arrived:?}", booking.id);
        let shown = desk.send(Method::GET, &format!("/api/bookings/{}", booking.id), None, &json!({})).await?;
        let history =
            desk.send(Method::GET, &format!("/api/bookings/{}/history", booking.id), None, &json!({})).await?;
        ensure!(!shown.body.to_string().contains(old) && !history.body.to_string().contains(old), "{shown:?}");
    }
    let notice = stack.mailbox.all().await?.into_iter().rfind(|mail| mail.to == *old).context("arrived")?;
    for body in [&notice.text, &notice.html] {
        ensure!(!body.contains("token") && !body.contains(new.as_str()) && notice.calendar.is_empty(), "{body}");
    }
    let kept: Vec<FormerAddress> = stack.stores.all("former_addresses").await?;
    ensure!(kept.len() == corrected.len(), "{kept:?}");
    stack.end(expectations).await
}
