//! One operation of Stripe fails: everything else goes on, and what waited is done afterwards.

use crate::harness::{Expectations, LONG_TIMEOUT, StackBuilder};
use crate::payments::{PRIVATE, checkout, hold, prepaid, until};
use anyhow::{Context, Result};
use pvt_domain::booking::Status;
use pvt_stripe_simulator::{FaultInjection, RequestFault, RequestFaultKind};
use pvt_testkit::{booking_body, days_from_now, eventually};
use reqwest::StatusCode;
use serde_json::json;
use std::time::{Duration, Instant};

/// As many as filled all slots of the worker once.
const CANCELLED: u64 = 18;
/// Time for an answer that waits for nothing, on a busy machine.
const USUAL: Duration = Duration::from_secs(5);

#[tokio::test]
async fn sessions_that_cannot_be_expired_delay_no_other_payment() -> Result<()> {
    let mut stack = StackBuilder::new().paid_online().start().await?;
    let made = stack.pvt_json(&["keys", "create", "--role", "staff", "--json"]).await?;
    let staff = format!("Bearer {}", made["key"].as_str().context("a key")?);
    let mut cancelled = Vec::new();
    for number in 0..CANCELLED {
        let booked = hold(&stack, &number.to_string(), &prepaid(days_from_now(30 + 3 * number), 2)).await?;
        let (session, _) = checkout(&stack, &booked, &format!("pay {number}")).await?;
        cancelled.push((booked, session));
    }
    let fault = RequestFault::new(RequestFaultKind::ServerError).at("/v1/checkout/sessions/*/expire");
    stack.stripe()?.set_faults(FaultInjection::of_requests(fault));
    for (booked, _) in &cancelled {
        assert_eq!(stack.client.cancel(booked).await?.status, StatusCode::OK);
    }
    let health = format!("{}?verbose", stack.program("workers")?.ready_url());
    eventually("health says what waits", LONG_TIMEOUT, || async {
        let shown = stack.client.http().get(&health).send().await?.text().await?;
        Ok(shown.contains("stripe waits for expire_session: stripe_unavailable").then_some(()))
    })
    .await?;

    let other = hold(&stack, "other", &prepaid(days_from_now(120), 2)).await?;
    let begun = Instant::now();
    checkout(&stack, &other, "pay other").await?;
    assert!(begun.elapsed() < USUAL, "a checkout opened after {:?}", begun.elapsed());
    let guest = stack.book("cash", &booking_body(PRIVATE, days_from_now(140), 2, 2)).await?;
    let booking = until(&stack, &guest, Status::Confirmed).await?;
    let price = booking.price.as_ref().context("a price")?;
    let body = json!({ "booking_id": guest.id, "method": "cash",
        "amount": { "amount": price.total, "currency": price.currency } });
    let headers = [("authorization", staff.as_str()), ("idempotency-key", "cash"), ("prefer", "wait=30")];
    let begun = Instant::now();
    let recorded = stack.client.post("/api/payments/record", &headers, &body).await?;
    assert_eq!(recorded.status, StatusCode::CREATED, "{recorded:?}");
    assert!(begun.elapsed() < USUAL, "cash was recorded after {:?}", begun.elapsed());
    let is_open =
        |session: &str| stack.stripe().map(|stripe| stripe.object(session).is_some_and(|s| s["status"] == "open"));
    assert!(is_open(&cancelled[0].1)?, "still failing");

    stack.stripe()?.set_faults(FaultInjection::default());
    eventually("all sessions are expired", LONG_TIMEOUT, || async {
        for (_, session) in &cancelled {
            if is_open(session)? {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await?;
    stack.end(Expectations::clean()).await
}
