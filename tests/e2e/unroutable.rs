//! Requests that were accepted while their queue was missing: decided without the client, or at its repetition.

use crate::harness::{Expectations, LONG_TIMEOUT, Stack, StackBuilder, booked};
use anyhow::{Context, Result};
use pvt_testkit::{DORM, booking_body, days_from_now, eventually};
use reqwest::StatusCode;

/// Deletes the queue of the demonstration property, as an operator may.
async fn delete_partition(stack: &Stack) -> Result<()> {
    let queue = stack.topology.name(&stack.partition_of("pvt-montreal"));
    stack.broker.channel().await?.queue_delete(queue.as_str().into(), Default::default()).await?;
    Ok(())
}

async fn unroutable(stack: &Stack) -> Result<usize> {
    let listed = stack.pvt_json(&["dead", "list", "--unroutable", "--json"]).await?;
    Ok(listed.as_array().context("an array")?.len())
}

#[tokio::test]
async fn requests_accepted_without_a_queue_are_decided_once_it_is_back() -> Result<()> {
    let mut stack = StackBuilder::new().prepare().await?;
    stack.run(&["mail-sink", "api"]).await?;
    delete_partition(&stack).await?;
    let waiting = stack.book("never sent again", &booking_body(DORM, days_from_now(15), 2, 1)).await?;
    let body = booking_body(DORM, days_from_now(20), 2, 1);
    let repeated = stack.book("repeated", &body).await?;
    let again = stack.client.request_booking("repeated", &body).await?;
    assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::ACCEPTED, "true"));
    assert_eq!(booked(&again)?, repeated);
    assert_eq!(unroutable(&stack).await?, 3, "while nothing is stored a repetition is published again");

    // Every program declares the queues when it connects; what is unroutable follows by itself.
    stack.run(&["workers"]).await?;
    stack.client.wait_for_decision(&waiting).await?;
    stack.client.wait_for_decision(&repeated).await?;
    eventually("nothing is unroutable", LONG_TIMEOUT, || async { Ok((unroutable(&stack).await? == 0).then_some(())) })
        .await?;
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn repetition_of_a_lost_request_is_decided_and_operators_can_replay() -> Result<()> {
    let mut stack = StackBuilder::new().prepare().await?;
    stack.run(&["mail-sink", "api"]).await?;
    delete_partition(&stack).await?;
    let (body, other) = (booking_body(DORM, days_from_now(15), 2, 1), booking_body(DORM, days_from_now(20), 2, 1));
    let lost = stack.book("lost", &body).await?;
    let discarded = stack.pvt(&["dead", "discard", "--all", "--unroutable", "--reason", "a test"]).await?;
    assert!(discarded.status.success(), "{discarded:?}");
    delete_partition(&stack).await?;
    let replayed = stack.book("replayed by hand", &other).await?;
    let by_hand = stack.pvt(&["dead", "replay", "--all", "--unroutable"]).await?;
    assert!(by_hand.status.success(), "{by_hand:?}");
    assert_eq!(unroutable(&stack).await?, 0);
    let again = stack.client.request_booking("lost", &body).await?;
    assert_eq!((again.status, booked(&again)?), (StatusCode::ACCEPTED, lost.clone()));
    stack.run(&["workers"]).await?;
    stack.client.wait_for_decision(&lost).await?;
    stack.client.wait_for_decision(&replayed).await?;
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn commands_end_without_a_panic_of_the_amqp_client() -> Result<()> {
    let stack = StackBuilder::new().workers(&[]).start().await?;
    for _ in 0..20 {
        for command in [&["dead", "list"][..], &["queues", "list"], &["topology", "diff"]] {
            let output = stack.pvt(command).await?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!said.contains("panicked"), "{command:?}: {said}");
        }
    }
    stack.end(Expectations::clean()).await
}
