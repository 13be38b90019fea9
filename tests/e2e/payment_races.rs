//! Payments under stress: a flood of webhooks with kills, hold expiry racing payment, aborts at every fault point.
//!
//! The other side, the simulated Stripe, counts actual effects.

use crate::harness::{AcceptedBooking, Expectations, LONG_TIMEOUT, SHORT_TIMEOUT, Stack, StackBuilder};
use crate::payments::{FREQUENT_EXPIRY, checkout, hold, prepaid, until};
use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use pvt_domain::booking::{Booking, Status};
use pvt_domain::ids::BookingId;
use pvt_domain::ledger::Ledger;
use pvt_stores::mongo::stripe_events::StoredStripeEvent;
use pvt_stripe_simulator::{FaultInjection, PayOutcome, WebhookFaults};
use pvt_testkit::{booking_body, days_from_now, doc, dormitory, eventually};
use rand::RngExt;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

/// Bookings of the flood: each causes five events at Stripe, each delivered three times.
const PAYING: u64 = 1_000;
/// Bookings of the race.
const RACING: u64 = 1_000;
/// Beds of the property; every night has room for all requests.
const BEDS: u64 = 200;
/// Concurrent requests.
const CONCURRENCY: usize = 32;
/// Programs that are killed during the flood, in order.
const KILLED: [&str; 5] = ["payments", "confirmations", "emails", "api", "payments"];
/// For thousands of events to be applied.
const FLOOD_TIMEOUT: Duration = Duration::from_secs(300);

fn separate_processes() -> StackBuilder {
    let processes: [(&str, &[&str]); 4] = [
        ("confirmations", &["confirmations"]),
        ("payments", &["payments"]),
        ("emails", &["emails"]),
        ("others", &["analytics", "reconciliation", "scheduler"]),
    ];
    StackBuilder::new().paid_online().with(FREQUENT_EXPIRY.0, FREQUENT_EXPIRY.1).workers(&processes)
}

/// A bed for one night, paid in advance.
fn bed(number: u64) -> Value {
    let mut body = booking_body(pvt_testkit::DORM, days_from_now(30 + number / BEDS), 1, 1);
    (body["property_id"], body["rate_plan_id"]) = (json!("large"), json!("prepaid"));
    body
}

fn large_property() -> pvt_domain::inventory::Inventory {
    dormitory("large", usize::try_from(BEDS).unwrap_or(usize::MAX))
}

/// Held bookings with a checkout session each.
async fn held(stack: &Stack, count: u64) -> Result<Vec<(AcceptedBooking, String)>> {
    let one = |number: u64| async move {
        let booked = hold(stack, &format!("hold {number}"), &bed(number)).await?;
        let (session, _) = checkout(stack, &booked, &format!("page {number}")).await?;
        anyhow::Ok((booked, session))
    };
    stream::iter(0..count).map(one).buffer_unordered(CONCURRENCY).try_collect().await
}

async fn bookings(stack: &Stack) -> Result<HashMap<Uuid, Booking>> {
    Ok(stack
        .stores
        .all::<Booking>("bookings")
        .await?
        .into_iter()
        .map(|booking| (booking.id.as_uuid(), booking))
        .collect())
}

/// Checks that every ledger agrees with Stripe's effects.
async fn ledgers_agree(stack: &Stack) -> Result<()> {
    for ledger in stack.stores.all::<Ledger>("payments").await? {
        let (sum, real) = (ledger.summary(), stack.stripe()?.effects_of_booking(&ledger.booking_id.to_string()));
        ensure!(
            (sum.captured, sum.refunded) == (real.captured_amount, real.refunded_amount),
            "{}: {sum:?}, and Stripe did {real:?}",
            ledger.booking_id
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: tests/long-journeys/run"]
async fn webhook_flood_with_kills_is_applied_once() -> Result<()> {
    let mut stack = separate_processes().selling([large_property()]).start().await?;
    let waiting = held(&stack, PAYING).await?;
    let storm =
        WebhookFaults { duplicates: 2, shuffle_window_ms: 1_500, delay_max_ms: 1_000, ..WebhookFaults::default() };
    stack.stripe()?.set_faults(FaultInjection::of_webhooks(storm));
    let share = waiting.len().div_ceil(KILLED.len());
    for (paying, killed) in waiting.chunks(share).zip(KILLED) {
        for (_, session) in paying {
            stack.stripe()?.pay(session, PayOutcome::Success)?;
        }
        eventually("events arrive", SHORT_TIMEOUT, || async { Ok((stack.stripe()?.outstanding() > 0).then_some(())) })
            .await?;
        stack.program(killed)?.kill9()?;
        stack.restart(killed).await?;
    }
    tokio::time::timeout(FLOOD_TIMEOUT, stack.stripe()?.until_idle()).await.context("all events are delivered")?;
    eventually("every paid booking is confirmed", FLOOD_TIMEOUT, || async {
        let confirmed = bookings(&stack).await?.values().filter(|booking| booking.status == Status::Confirmed).count();
        ensure!(confirmed == waiting.len(), "{confirmed} of {}", waiting.len());
        Ok(Some(()))
    })
    .await?;
    ledgers_agree(&stack).await?;
    let total = stack.stripe()?.total();
    assert_eq!((total.charges, total.refunds), (PAYING, 0));
    eventually("every event is stored", FLOOD_TIMEOUT, || async {
        let events = stack.stores.all::<StoredStripeEvent>("stripe_events").await?.len();
        ensure!(u64::try_from(events)? >= 5 * PAYING, "{events} events");
        Ok(Some(()))
    })
    .await?;
    // `emails` was killed once, so a mail may have arrived twice, with one Message-ID.
    stack.end(Expectations::clean().mail_copies(2)).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: tests/long-journeys/run"]
async fn hold_expiry_racing_payment_has_one_outcome() -> Result<()> {
    let mut seed = large_property();
    seed.property.hold_minutes = 60;
    let stack = separate_processes().selling([seed]).start().await?;
    let racing = held(&stack, RACING).await?;
    // Payments and hold expiries at random moments of the same few seconds, with other guests requesting the beds as
    // soon as they are released.
    let race = |(booked, session): &(AcceptedBooking, String)| {
        let (booked, session, stack) = (booked.clone(), session.clone(), &stack);
        let (pays, ends) = (rand::rng().random_range(0..4_000), rand::rng().random_range(0..3_000));
        async move {
            let paying = async {
                tokio::time::sleep(Duration::from_millis(pays)).await;
                // Being too late is no error: then the session has expired.
                anyhow::Ok(stack.stripe()?.pay(&session, PayOutcome::Success).is_ok())
            };
            let ending = async {
                tokio::time::sleep(Duration::from_millis(ends)).await;
                let id = booked.id.to_string();
                let over = doc! { "payment.expires_at": "2026-01-01T00:00:00.000Z" };
                stack.stores.set("bookings", &id, over).await
            };
            let (paid, ended) = tokio::join!(paying, ending);
            ended?;
            anyhow::Ok((booked.id, paid?))
        }
    };
    let others = async {
        let take = |number: u64| {
            let mut body = bed(number);
            body["rate_plan_id"] = json!("standard");
            let stack = &stack;
            async move { stack.book(&format!("other {number}"), &body).await }
        };
        stream::iter(0..RACING / 2).map(take).buffer_unordered(4).try_collect::<Vec<_>>().await
    };
    let outcomes =
        stream::iter(racing.iter().map(race)).buffer_unordered(racing.len()).try_collect::<Vec<(Uuid, bool)>>();
    let (outcomes, others) = tokio::join!(outcomes, others);
    let (outcomes, _) = (outcomes?, others?);
    let over = |booking: &Booking| matches!(booking.status, Status::Confirmed | Status::Expired | Status::Rejected);
    eventually("every race is decided", FLOOD_TIMEOUT, || async {
        let open = bookings(&stack).await?.values().filter(|booking| !over(booking)).count();
        ensure!(open == 0, "{open} are still held");
        Ok(Some(()))
    })
    .await?;
    tokio::time::timeout(FLOOD_TIMEOUT, stack.stripe()?.until_idle()).await.context("all events are delivered")?;
    stack.wait_until_quiet(&Expectations::clean()).await?;
    ledgers_agree(&stack).await?;
    let (stored, mut confirmed) = (bookings(&stack).await?, 0);
    for (id, paid) in &outcomes {
        let (booking, real) = (&stored[id], stack.stripe()?.effects_of_booking(&id.to_string()));
        let kept = real.captured_amount - real.refunded_amount;
        assert_eq!(real.captured_amount > 0, *paid, "{id}");
        match booking.status {
            Status::Confirmed => assert!(*paid && real.refunds == 0 && kept > 0, "{id}: confirmed, {real:?}"),
            _ => assert_eq!(kept, 0, "{id}: {:?} and paid: {real:?}", booking.status),
        }
        confirmed += usize::from(booking.status == Status::Confirmed);
    }
    let paid = outcomes.iter().filter(|(_, paid)| *paid).count();
    assert!(
        (1..outcomes.len()).contains(&confirmed) && paid >= confirmed,
        "{confirmed} confirmed, {paid} paid: no race at all"
    );
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn stripe_worker_survives_abort_at_every_fault_point() -> Result<()> {
    let mut stack = separate_processes().start().await?;
    for (round, point) in
        ["before_stripe", "after_stripe_before_record", "after_handle_before_publish", "after_publish_before_ack"]
            .into_iter()
            .enumerate()
    {
        let arrival = days_from_now(60 + 5 * u64::try_from(round)?);
        // While a checkout session is opened …
        let booked = hold(&stack, &format!("{round}"), &prepaid(arrival, 2)).await?;
        stack.program("payments")?.stop().await?;
        stack.start_with_fault_point("payments", point).await?;
        let asking = json!({ "booking_id": booked.id, "token": booked.token });
        let key = format!("page {round}");
        stack
            .client
            .post("/api/payments/checkout", &[("idempotency-key", &key), ("prefer", "wait=1")], &asking)
            .await?;
        stack.program("payments")?.wait_for_abort().await?;
        stack.restart("payments").await?;
        let (session, _) = checkout(&stack, &booked, &key).await?;
        // … while its payment is applied …
        stack.program("payments")?.stop().await?;
        let hearing = if point == "before_stripe" { "after_ledger_before_settle" } else { point };
        if hearing != "after_stripe_before_record" {
            stack.start_with_fault_point("payments", hearing).await?;
            stack.stripe()?.pay(&session, PayOutcome::Success)?;
            stack.program("payments")?.wait_for_abort().await?;
        } else {
            stack.stripe()?.pay(&session, PayOutcome::Success)?;
        }
        stack.restart("payments").await?;
        let booking = until(&stack, &booked, Status::Confirmed).await?;
        // … and while it is refunded.
        stack.program("payments")?.stop().await?;
        stack.start_with_fault_point("payments", point).await?;
        stack.client.cancel(&booked).await?;
        stack.program("payments")?.wait_for_abort().await?;
        stack.restart("payments").await?;
        let id = BookingId::from_uuid(booked.id);
        eventually("the payment is refunded", LONG_TIMEOUT, || async {
            let booking = stack.mongo.bookings().find(id).await?.context("the booking is stored")?;
            Ok((booking.payment.refund_due() == 0 && booking.payment.ledger().refunded > 0).then_some(()))
        })
        .await
        .context(point)?;
        let real = stack.stripe()?.effects_of_booking(&booked.id.to_string());
        assert_eq!((real.sessions, real.charges, real.refunds), (1, 1, 1), "{point}: {:?}", booking.id);
    }
    ledgers_agree(&stack).await?;
    stack.end(Expectations::clean()).await
}
