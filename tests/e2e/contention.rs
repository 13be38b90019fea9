//! Contention for beds: exactly as many bookings are confirmed as fit, whichever process decides.

use crate::harness::{ApiResponse, Expectations, RivalWriter, Stack, StackBuilder, booked};
use anyhow::Result;
use chrono::Days;
use futures_util::future::try_join_all;
use pvt_domain::booking::{Booking, Rejection, Status, StayRequest};
use pvt_testkit::{DORM, booking_body, days_from_now, dormitory};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const PROPERTY: &str = "crowded";
const BEDS: usize = 6;
const REQUESTS: usize = 300;

fn body(first_night: u64, nights: u64) -> Value {
    let mut body = booking_body(DORM, days_from_now(first_night), nights, 1);
    body["property_id"] = json!(PROPERTY);
    body
}

/// Requests all bookings concurrently, each under its own key.
async fn request_all(stack: &Stack, bodies: impl IntoIterator<Item = Value>) -> Result<()> {
    let requests: Vec<(String, Value)> =
        bodies.into_iter().enumerate().map(|(number, body)| (format!("guest-{number}"), body)).collect();
    let answers: Vec<ApiResponse> =
        try_join_all(requests.iter().map(|(key, body)| stack.client.request_booking(key, body))).await?;
    for answer in &answers {
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
        stack.record_accepted(booked(answer)?.id);
    }
    Ok(())
}

/// Number of confirmed bookings; all others must have been rejected for lack of beds.
fn confirmed(bookings: &[Booking]) -> usize {
    for booking in bookings.iter().filter(|booking| booking.status != Status::Confirmed) {
        assert_eq!(
            (booking.status, booking.rejection),
            (Status::Rejected, Some(Rejection::NoAvailability)),
            "{booking:?}"
        );
    }
    bookings.iter().filter(|booking| booking.status == Status::Confirmed).count()
}

async fn overbook(builder: StackBuilder) -> Result<()> {
    let stack = builder.selling([dormitory(PROPERTY, BEDS)]).start().await?;
    request_all(&stack, (0..REQUESTS).map(|_| body(40, 3))).await?;
    let expectations = Expectations::clean();
    stack.wait_until_quiet(&expectations).await?;
    let bookings = stack.stores.records().await?.bookings;
    assert_eq!((bookings.len(), confirmed(&bookings)), (REQUESTS, BEDS));
    stack.end(expectations).await
}

#[tokio::test]
async fn capacity_limits_concurrent_confirmations() -> Result<()> {
    overbook(StackBuilder::new()).await
}

#[tokio::test]
async fn capacity_holds_with_several_worker_processes() -> Result<()> {
    let decider: &[&str] = &["confirmations"];
    overbook(StackBuilder::new().workers(&[
        ("w1", &["confirmations", "emails"]),
        ("w2", decider),
        ("w3", &["confirmations", "analytics"]),
    ]))
    .await
}

/// Every bed is sold; each cancellation is followed by a request for its bed while the deciding processes are restarted
/// in turn. A request that is decided before the cancellation is rejected for good.
#[tokio::test]
async fn hand_over_keeps_the_order_of_commands() -> Result<()> {
    let deciders = ["w1", "w2"];
    let processes: [(&str, &[&str]); 3] =
        [("w1", &["confirmations"]), ("w2", &["confirmations"]), ("others", &["analytics", "emails", "payments"])];
    let mut stack = StackBuilder::new().workers(&processes).selling([dormitory(PROPERTY, BEDS)]).start().await?;
    let guests: Vec<usize> = (0..BEDS).collect();
    let mut holders = Vec::new();
    for guest in &guests {
        holders.push(stack.book(&format!("first-{guest}"), &body(40, 1)).await?);
    }
    for round in 0..10 {
        let mut next = Vec::new();
        for (guest, holder) in guests.iter().zip(&holders) {
            let path = format!("/api/bookings/{}?token={}", holder.id, holder.token);
            let decided = stack.client.wait_for_decision(holder).await?;
            assert_eq!(decided["status"], "confirmed", "round {round}: {decided}");
            let cancelled = stack.client.send(Method::DELETE, &path, &[("prefer", "respond-async")], None).await?;
            assert_eq!(cancelled.status, StatusCode::ACCEPTED, "{cancelled:?}");
            next.push(stack.book(&format!("round-{round}-{guest}"), &body(40, 1)).await?);
        }
        let decider = deciders[round % deciders.len()];
        stack.program(decider)?.stop().await?;
        stack.restart(decider).await?;
        holders = next;
    }
    let expectations = Expectations::clean();
    stack.wait_until_quiet(&expectations).await?;
    let bookings = stack.stores.records().await?.bookings;
    let count = |status| bookings.iter().filter(|booking| booking.status == status).count();
    assert_eq!((count(Status::Confirmed), count(Status::Rejected)), (BEDS, 0));
    stack.end(expectations).await
}

/// A worker that has lost its partition without noticing, or any other writer, decides concurrently for the same
/// property.
#[tokio::test]
async fn concurrent_writers_on_one_partition_do_not_double_book() -> Result<()> {
    const NIGHTS: u64 = 20;
    const RIVALS: u64 = 3;
    const EACH: u64 = 40;
    let builder = StackBuilder::new().workers(&[("w1", &["confirmations"]), ("w2", &["analytics", "emails"])]);
    let stack = builder.selling([dormitory(PROPERTY, BEDS)]).start().await?;
    let rival_writer = RivalWriter::of(&stack);
    let beside = (0..RIVALS).map(|number| {
        let rival_writer = rival_writer.clone();
        async move {
            for turn in 0..EACH {
                let arrival = days_from_now(30 + (number + turn) % NIGHTS);
                let stay = StayRequest::new(DORM, arrival, arrival + Days::new(1), 1);
                rival_writer.book(&format!("rival-{number}-{turn}"), PROPERTY, stay).await?;
            }
            Ok(())
        }
    });
    let through_the_queue = request_all(&stack, (0..200).map(|number| body(30 + number % NIGHTS, 1)));
    tokio::try_join!(try_join_all(beside), through_the_queue)?;
    let expectations = Expectations::clean();
    stack.wait_until_quiet(&expectations).await?;
    let bookings = stack.stores.records().await?.bookings;
    let mut sold: BTreeMap<_, usize> = BTreeMap::new();
    for booking in bookings.iter().filter(|booking| booking.status == Status::Confirmed) {
        *sold.entry(booking.stays[0].arrival).or_default() += 1;
    }
    // 320 requests for 20 nights of 6 beds: demand exceeds supply on every night.
    assert_eq!(sold.values().copied().collect::<Vec<_>>(), vec![BEDS; usize::try_from(NIGHTS)?], "{sold:?}");
    assert_eq!(confirmed(&bookings), BEDS * usize::try_from(NIGHTS)?);
    rival_writer.close().await;
    stack.end(expectations).await
}
