//! Stale occupancy grids: a worker whose memory is outdated still decides correctly.

use crate::harness::{AcceptedBooking, Expectations, RivalWriter, Stack, StackBuilder, booked};
use anyhow::Result;
use chrono::Days;
use pvt_domain::booking::StayRequest;
use pvt_testkit::{DORM, booking_body, days_from_now, dormitory};
use serde_json::{Value, json};

const PROPERTY: &str = "stale";

fn body(arrival: u64) -> Value {
    let mut body = booking_body(DORM, days_from_now(arrival), 2, 1);
    body["property_id"] = json!(PROPERTY);
    body
}

fn stay(arrival: u64) -> StayRequest {
    StayRequest::new(DORM, days_from_now(arrival), days_from_now(arrival) + Days::new(2), 1)
}

/// Requests a booking through the API; its status, handle and beds.
async fn request_booking(stack: &Stack, key: &str, arrival: u64) -> Result<(String, AcceptedBooking, Value)> {
    let accepted = stack.client.request_booking(key, &body(arrival)).await?;
    let who = booked(&accepted)?;
    stack.record_accepted(who.id);
    let decided = stack.client.wait_for_decision(&who).await?;
    Ok((decided["status"].as_str().unwrap_or_default().to_owned(), who, decided["stays"][0]["assigned_beds"].clone()))
}

#[tokio::test]
async fn beds_freed_by_another_writer_are_sold_again() -> Result<()> {
    let stack = StackBuilder::new().selling([dormitory(PROPERTY, 2)]).start().await?;
    let rival_writer = RivalWriter::of(&stack);
    let (_, first, freed) = request_booking(&stack, "1", 20).await?;
    let (second, ..) = request_booking(&stack, "2", 20).await?;
    let (full, ..) = request_booking(&stack, "3", 20).await?;
    assert_eq!((second.as_str(), full.as_str()), ("confirmed", "rejected"), "the worker has read a full property");
    rival_writer.cancel(first.id, PROPERTY).await?;
    let (status, _, beds) = request_booking(&stack, "4", 20).await?;
    assert_eq!((status.as_str(), beds), ("confirmed", freed), "a stale grid never refuses what fits");
    rival_writer.close().await;
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn beds_taken_by_another_writer_are_not_sold_again() -> Result<()> {
    let stack = StackBuilder::new().selling([dormitory(PROPERTY, 2)]).start().await?;
    let rival_writer = RivalWriter::of(&stack);
    // The worker has read an empty property.
    let (status, ..) = request_booking(&stack, "1", 40).await?;
    assert_eq!(status, "confirmed");
    let taken = rival_writer.book("beside-1", PROPERTY, stay(20)).await?;
    let (status, _, beds) = request_booking(&stack, "2", 20).await?;
    assert_eq!(status, "confirmed");
    assert_ne!(beds, json!(taken.stays[0].assigned_beds), "the other bed");
    let (status, ..) = request_booking(&stack, "3", 20).await?;
    assert_eq!(status, "rejected");
    // Both beds are taken while the worker believes them free.
    rival_writer.book("beside-2", PROPERTY, stay(60)).await?;
    rival_writer.book("beside-3", PROPERTY, stay(60)).await?;
    let (status, ..) = request_booking(&stack, "4", 60).await?;
    assert_eq!(status, "rejected");
    rival_writer.close().await;
    stack.end(Expectations::clean()).await
}

/// A worker that was suspended between two decisions resumes after everything has changed.
#[tokio::test]
async fn resumed_worker_decides_on_current_occupancy() -> Result<()> {
    let stack = StackBuilder::new().selling([dormitory(PROPERTY, 1)]).start().await?;
    let rival_writer = RivalWriter::of(&stack);
    let (_, old, _) = request_booking(&stack, "1", 20).await?;
    for round in 0..5 {
        let night = 100 + 3 * round;
        // In both directions at once: an occupied bed is free, a free one is occupied.
        rival_writer.cancel(if round == 0 { old.id } else { current_owner(&stack).await? }, PROPERTY).await?;
        rival_writer.book(&format!("beside-{round}"), PROPERTY, stay(night)).await?;
        // The first request makes the worker read again, so each direction comes first in turn.
        let (taken, free) = if round % 2 == 0 {
            let taken = request_booking(&stack, &format!("taken-{round}"), night).await?.0;
            (taken, request_booking(&stack, &format!("free-{round}"), 20).await?.0)
        } else {
            let free = request_booking(&stack, &format!("free-{round}"), 20).await?.0;
            (request_booking(&stack, &format!("taken-{round}"), night).await?.0, free)
        };
        assert_eq!((taken.as_str(), free.as_str()), ("rejected", "confirmed"), "round {round}");
    }
    rival_writer.close().await;
    stack.end(Expectations::clean()).await
}

/// The booking that owns the bed on the contested night.
async fn current_owner(stack: &Stack) -> Result<uuid::Uuid> {
    let claims = stack.stores.records().await?.claims;
    let night = days_from_now(20).to_string();
    let owner = claims.into_iter().find(|claim| claim.key.ends_with(&night)).map(|claim| claim.booking);
    Ok(owner.unwrap_or_default().parse()?)
}
