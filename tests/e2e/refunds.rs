//! Refunds and their failures: Stripe fails, refuses or is down, and inquiries hold refunds up.

use crate::harness::{Expectations, LONG_TIMEOUT, SHORT_TIMEOUT, StackBuilder};
use crate::payments::{FREQUENT_EXPIRY, checkout, expire_hold, hold, paid, start, until, wait_until_refunded};
use crate::webhook;
use anyhow::{Context, Result, ensure};
use pvt_domain::booking::Status;
use pvt_domain::ids::BookingId;
use pvt_stripe_simulator::{FaultInjection, PayOutcome, RefundOutcome, RequestFault, RequestFaultKind, WebhookFaults};
use pvt_testkit::{DORM, booking_body, days_from_now, dormitory, eventually};
use reqwest::StatusCode;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn refund_with_stripe_failures_is_made_once() -> Result<()> {
    let stack = start().await?;
    let mut booked = Vec::new();
    for (number, kind) in [
        RequestFaultKind::RateLimited,
        RequestFaultKind::ServerError,
        RequestFaultKind::TimeoutAfterEffect,
        RequestFaultKind::TimeoutBeforeEffect,
        RequestFaultKind::Slow,
    ]
    .into_iter()
    .enumerate()
    {
        let arrival = days_from_now(60 + 3 * u64::try_from(number)?);
        let (one, ..) = paid(&stack, &number.to_string(), arrival).await?;
        let fault = RequestFault::new(kind).at("/v1/refunds").next(2).delay(Duration::from_millis(300));
        stack.stripe()?.set_faults(FaultInjection::of_requests(fault));
        assert_eq!(stack.client.cancel(&one).await?.status, StatusCode::OK);
        wait_until_refunded(&stack, &one, LONG_TIMEOUT).await.with_context(|| format!("{kind:?}"))?;
        booked.push(one);
    }
    stack.stripe()?.set_faults(FaultInjection::default());
    for one in &booked {
        let effects = stack.stripe()?.effects_of_booking(&one.id.to_string());
        assert_eq!((effects.charges, effects.refunds), (1, 1), "{one:?}");
    }
    stack.end(Expectations::clean()).await
}

/// Health shows an unreachable Stripe, and everything resumes by itself once it answers again.
#[tokio::test]
async fn health_reports_stripe_outage() -> Result<()> {
    let mut stack = start().await?;
    let (booked, ..) = paid(&stack, "1", days_from_now(60)).await?;
    let health = format!("{}?verbose", stack.program("workers")?.ready_url());
    let reads = || async { anyhow::Ok(stack.client.http().get(&health).send().await?.text().await?) };
    assert!(reads().await?.contains("stripe running"), "{}", reads().await?);
    stack.stripe()?.set_faults(FaultInjection::of_requests(RequestFault::new(RequestFaultKind::ServerError)));
    assert_eq!(stack.client.cancel(&booked).await?.status, StatusCode::OK, "cancelling does not wait for Stripe");
    let waits = || async { anyhow::Ok(reads().await?.contains("stripe waits for ")) };
    let down = || async { Ok(waits().await?.then_some(())) };
    eventually("health reports that Stripe is unreachable", LONG_TIMEOUT, down).await?;
    assert!(reads().await?.contains(": stripe_unavailable, since "), "{}", reads().await?);
    assert!(reads().await?.contains("payments running"), "workers that do not call Stripe go on");
    stack.stripe()?.set_faults(FaultInjection::default());
    wait_until_refunded(&stack, &booked, LONG_TIMEOUT).await?;
    let recovered = || async { Ok((!waits().await?).then_some(())) };
    eventually("health reports the recovery", SHORT_TIMEOUT, recovered).await?;
    let effects = stack.stripe()?.effects_of_booking(&booked.id.to_string());
    assert_eq!((effects.charges, effects.refunds), (1, 1));
    stack.end(Expectations::clean()).await
}

/// A caller that missed the response repeats the request, and must not read that the refund was made.
#[tokio::test]
async fn refused_refund_is_refused_on_replay() -> Result<()> {
    let stack = start().await?;
    let (booked, session, payment) = paid(&stack, "1", days_from_now(60)).await?;
    let made = stack.pvt_json(&["keys", "create", "--role", "staff", "--json"]).await?;
    let staff = format!("Bearer {}", made["key"].as_str().context("a key")?);
    // The payment is refunded in Stripe's dashboard, and no webhook arrives.
    stack
        .stripe()?
        .set_faults(FaultInjection::of_webhooks(WebhookFaults { drop_probability: 1.0, ..WebhookFaults::default() }));
    stack.stripe()?.refund(&session, None)?;
    for time in ["first", "again"] {
        let body = json!({ "reason": "the shower was cold" });
        let headers = [("authorization", staff.as_str()), ("idempotency-key", "refund"), ("prefer", "wait=30")];
        let answer = stack.client.post(&format!("/api/payments/{payment}/refund"), &headers, &body).await?;
        assert_eq!(
            (answer.status, answer.problem()?),
            (StatusCode::BAD_GATEWAY, "provider_refused"),
            "{time}: {answer:?}"
        );
    }
    let ledger =
        stack.mongo.ledgers().find(pvt_domain::ids::BookingId::from_uuid(booked.id)).await?.context("a ledger")?;
    assert_eq!(ledger.summary().kept(), 0, "Stripe's answer is applied");
    stack.end(Expectations::clean()).await
}

/// While an inquiry is open, nothing of the payment may be refunded.
#[tokio::test]
async fn refund_held_by_inquiry_is_made_when_it_closes() -> Result<()> {
    let stack = start().await?;
    let (booked, session, _) = paid(&stack, "1", days_from_now(60)).await?;
    let intent = stack.stripe()?.object(&session).context("the session")?["payment_intent"].clone();
    let inquiry = |kind: &'static str, status: &'static str| {
        let dispute = json!({ "id": "du_1", "status": status, "payment_intent": intent, "amount": 100,
            "currency": "cad", "reason": "general",
                              "created": 1_800_000_000, "balance_transactions": [] });
        let event = json!({ "id": format!("evt_{status}"), "type": kind, "created": 1_800_000_000,
            "data": { "object": dispute } });
        webhook::push_event(&stack, event)
    };
    inquiry("charge.dispute.created", "warning_needs_response").await?;
    let id = pvt_domain::ids::BookingId::from_uuid(booked.id);
    let frozen = || async {
        Ok(stack.mongo.ledgers().find(id).await?.is_some_and(|ledger| !ledger.attention().is_empty()).then_some(()))
    };
    eventually("the inquiry is known", SHORT_TIMEOUT, frozen).await?;
    assert_eq!(stack.client.cancel(&booked).await?.status, StatusCode::OK);
    until(&stack, &booked, Status::Cancelled).await?;
    stack.wait_until_quiet(&Expectations::clean()).await?;
    assert_eq!(stack.stripe()?.effects_of_booking(&booked.id.to_string()).refunds, 0);
    inquiry("charge.dispute.closed", "warning_closed").await?;
    wait_until_refunded(&stack, &booked, SHORT_TIMEOUT).await?;
    assert_eq!(stack.stripe()?.effects_of_booking(&booked.id.to_string()).refunds, 1);
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn failed_refund_reopens_the_balance() -> Result<()> {
    let stack = start().await?;
    let staff = ["users", "create", "sam@pvt.test", "--name", "Sam", "--role", "staff", "--property", "pvt-montreal"];
    let made = stack.pvt(&staff).await?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (booked, ..) = paid(&stack, "1", days_from_now(60)).await?;
    stack.stripe()?.next_refunds([RefundOutcome::FailedLater]);
    stack.client.cancel(&booked).await?;
    eventually("the balance is open again", SHORT_TIMEOUT, || async {
        let booking = until(&stack, &booked, Status::Cancelled).await?;
        let ledger = stack.mongo.ledgers().find(booking.id).await?.context("a ledger")?;
        Ok((booking.payment.refund_due() > 0 && !ledger.attention().is_empty()).then_some(()))
    })
    .await?;
    assert_eq!(
        stack.stripe()?.effects_of_booking(&booked.id.to_string()).refunds,
        1,
        "the refund is not retried automatically"
    );
    let alerts = || async {
        anyhow::Ok(stack.mailbox.all().await?.into_iter().filter(|mail| mail.to == "sam@pvt.test").count())
    };
    eventually("staff are notified", SHORT_TIMEOUT, || async { Ok((alerts().await? > 0).then_some(())) }).await?;
    stack.wait_until_quiet(&Expectations::clean()).await?;
    assert_eq!(alerts().await?, 1, "once");
    stack.end(Expectations::clean()).await
}

/// Holds that run out and bookings that are cancelled while Stripe is down.
const OVERDUE: u64 = 200;
const CANCELLED: u64 = 50;
/// Fires of the schedule that ends holds during the outage, one a second.
const OUTAGE_FIRES: i64 = 20;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: tests/long-journeys/run"]
async fn long_outage_of_stripe_leaves_one_command_per_hold() -> Result<()> {
    let large = dormitory("large", 200);
    let stack =
        StackBuilder::new().paid_online().with(FREQUENT_EXPIRY.0, FREQUENT_EXPIRY.1).selling([large]).start().await?;
    let bed = |number: u64| {
        let mut body = booking_body(DORM, days_from_now(30 + number / 100), 1, 1);
        (body["property_id"], body["rate_plan_id"]) = (json!("large"), json!("prepaid"));
        body
    };
    let (mut overdue, mut cancelled) = (Vec::new(), Vec::new());
    for number in 0..OVERDUE + CANCELLED {
        let booked = hold(&stack, &format!("hold {number}"), &bed(number)).await?;
        let (session, _) = checkout(&stack, &booked, &format!("page {number}")).await?;
        if number < OVERDUE {
            overdue.push(booked);
        } else {
            stack.stripe()?.pay(&session, PayOutcome::Success)?;
            until(&stack, &booked, Status::Confirmed).await?;
            cancelled.push(booked);
        }
    }

    stack.stripe()?.set_faults(FaultInjection::of_requests(RequestFault::new(RequestFaultKind::ServerError)));
    for booked in &overdue {
        expire_hold(&stack, booked).await?;
    }
    for booked in &cancelled {
        stack.client.cancel(booked).await?;
    }
    let begun = chrono::Utc::now();
    let mut fires = 0;
    while fires < OUTAGE_FIRES {
        let settled = stack.mongo.schedules().find("expire_holds").await?.context("the schedule has fired")?;
        fires = (settled.settled_until.as_datetime() - begun).num_seconds();
        let waiting: u32 = stack.broker.pending().await?.values().sum();
        // A hold's end, a cancelled booking's refund and the end of its sessions; mails and the mart are being sent.
        ensure!(u64::from(waiting) <= 2 * (OVERDUE + 2 * CANCELLED), "{waiting} messages wait after {fires} fires");
        // Bookings go on meanwhile.
        let mut other = bed(0);
        other["rate_plan_id"] = json!("standard");
        let other = stack.book(&format!("other {fires}"), &other).await?;
        until(&stack, &other, Status::Confirmed).await?;
    }

    stack.stripe()?.set_faults(FaultInjection::default());
    for booked in &cancelled {
        wait_until_refunded(&stack, booked, LONG_TIMEOUT).await?;
        assert_eq!(stack.stripe()?.effects_of_booking(&booked.id.to_string()).refunds, 1);
    }
    for booked in &overdue {
        eventually("the hold has ended", LONG_TIMEOUT, || async {
            let id = BookingId::from_uuid(booked.id);
            let booking = stack.mongo.bookings().find(id).await?.context("the booking is stored")?;
            Ok((booking.status == Status::Expired).then_some(()))
        })
        .await?;
    }
    stack.end(Expectations::clean()).await
}
