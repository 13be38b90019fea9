//! A worker's memory is old in every way that it can be: its next decisions are right all the same.

use crate::harness::{Booked, Outsider, Plan, Stack, Verdict, booked};
use anyhow::Result;
use chrono::Days;
use pvt_domain::booking::StayRequest;
use pvt_testkit::{DORM, booking_body, dormitory, soon};
use serde_json::{Value, json};

const PROPERTY: &str = "stale";

fn body(arrival: u64) -> Value {
    let mut body = booking_body(DORM, soon(arrival), 2, 1);
    body["property_id"] = json!(PROPERTY);
    body
}

fn stay(arrival: u64) -> StayRequest {
    StayRequest::new(DORM, soon(arrival), soon(arrival) + Days::new(2), 1)
}

/// Asks through the queue; the status, and who it is.
async fn ask(stack: &Stack, key: &str, arrival: u64) -> Result<(String, Booked, Value)> {
    let accepted = stack.client.ask(key, &body(arrival)).await?;
    let who = booked(&accepted)?;
    stack.remember(who.id);
    let decided = stack.client.decided(&who).await?;
    Ok((decided["status"].as_str().unwrap_or_default().to_owned(), who, decided["stays"][0]["assigned_beds"].clone()))
}

#[tokio::test]
async fn what_was_freed_elsewhere_is_sold_again() -> Result<()> {
    let stack = Plan::new().selling([dormitory(PROPERTY, 2)]).start().await?;
    let outsider = Outsider::of(&stack);
    let (_, first, freed) = ask(&stack, "1", 20).await?;
    let (second, ..) = ask(&stack, "2", 20).await?;
    let (full, ..) = ask(&stack, "3", 20).await?;
    assert_eq!((second.as_str(), full.as_str()), ("confirmed", "rejected"), "the worker has seen a full house");
    outsider.cancel(first.id, PROPERTY).await?;
    let (status, _, beds) = ask(&stack, "4", 20).await?;
    assert_eq!((status.as_str(), beds), ("confirmed", freed), "a view gone stale never refuses what fits");
    outsider.close().await;
    stack.end(Verdict::clean()).await
}

#[tokio::test]
async fn what_was_taken_elsewhere_is_not_sold_again() -> Result<()> {
    let stack = Plan::new().selling([dormitory(PROPERTY, 2)]).start().await?;
    let outsider = Outsider::of(&stack);
    // The worker has seen an empty house.
    let (status, ..) = ask(&stack, "1", 40).await?;
    assert_eq!(status, "confirmed");
    let taken = outsider.book("beside-1", PROPERTY, stay(20)).await?;
    let (status, _, beds) = ask(&stack, "2", 20).await?;
    assert_eq!(status, "confirmed");
    assert_ne!(beds, json!(taken.stays[0].assigned_beds), "the other bed");
    let (status, ..) = ask(&stack, "3", 20).await?;
    assert_eq!(status, "rejected");
    // Both beds at once, while the worker believes them free.
    outsider.book("beside-2", PROPERTY, stay(60)).await?;
    outsider.book("beside-3", PROPERTY, stay(60)).await?;
    let (status, ..) = ask(&stack, "4", 60).await?;
    assert_eq!(status, "rejected");
    outsider.close().await;
    stack.end(Verdict::clean()).await
}

/// Frozen between two decisions, a worker wakes up in another world.
#[tokio::test]
async fn a_worker_that_slept_decides_on_what_is_true_now() -> Result<()> {
    let stack = Plan::new().selling([dormitory(PROPERTY, 1)]).start().await?;
    let outsider = Outsider::of(&stack);
    let (_, old, _) = ask(&stack, "1", 20).await?;
    for round in 0..5 {
        let night = 100 + 3 * round;
        // In both directions at once: a bed that was taken is free, one that was free is taken.
        outsider.cancel(if round == 0 { old.id } else { last(&stack).await? }, PROPERTY).await?;
        outsider.book(&format!("beside-{round}"), PROPERTY, stay(night)).await?;
        // Whatever is asked first makes the worker read again, so each is first in turn.
        let (taken, free) = if round % 2 == 0 {
            let taken = ask(&stack, &format!("taken-{round}"), night).await?.0;
            (taken, ask(&stack, &format!("free-{round}"), 20).await?.0)
        } else {
            let free = ask(&stack, &format!("free-{round}"), 20).await?.0;
            (ask(&stack, &format!("taken-{round}"), night).await?.0, free)
        };
        assert_eq!((taken.as_str(), free.as_str()), ("rejected", "confirmed"), "round {round}");
    }
    outsider.close().await;
    stack.end(Verdict::clean()).await
}

/// The booking that has the bed now on the contested night.
async fn last(stack: &Stack) -> Result<uuid::Uuid> {
    let claims = stack.stores.records().await?.claims;
    let night = soon(20).to_string();
    let owner = claims.into_iter().find(|claim| claim.key.ends_with(&night)).map(|claim| claim.booking);
    Ok(owner.unwrap_or_default().parse()?)
}
