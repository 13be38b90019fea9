//! Refunds that Stripe does not make: promised as what they are, shown to staff until they are recorded, and never more
//! than is kept, with two workers of which each is killed once. What staff record is answered once the booking counts
//! it.

use crate::harness::{ApiResponse, Expectations, LONG_TIMEOUT, SHORT_TIMEOUT, Stack, StackBuilder};
use crate::payments::{FREQUENT_EXPIRY, PRIVATE, mails, paid, until};
use anyhow::{Context, Result};
use pvt_domain::booking::Status;
use pvt_domain::ids::BookingId;
use pvt_domain::ledger::RefundsDue;
use pvt_testkit::{booking_body, days_from_now, eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

async fn start() -> Result<(Stack, String)> {
    let processes: [(&str, &[&str]); 4] = [
        ("confirmations", &["confirmations"]),
        ("payments", &["payments"]),
        ("payments-2", &["payments"]),
        ("others", &["emails", "analytics", "reconciliation", "scheduler"]),
    ];
    let stack = StackBuilder::new()
        .paid_online()
        .with(FREQUENT_EXPIRY.0, FREQUENT_EXPIRY.1)
        .workers(&processes)
        .start()
        .await?;
    let made = stack.pvt_json(&["keys", "create", "--role", "staff", "--json"]).await?;
    let staff = format!("Bearer {}", made["key"].as_str().context("a key")?);
    Ok((stack, staff))
}

async fn post(stack: &Stack, staff: &str, key: &str, path: &str, body: &Value) -> Result<ApiResponse> {
    let headers = [("authorization", staff), ("idempotency-key", key), ("prefer", "wait=30")];
    stack.client.post(path, &headers, body).await
}

async fn record(stack: &Stack, staff: &str, key: &str, booking: Uuid, amount: i64) -> Result<ApiResponse> {
    let body = json!({ "booking_id": booking, "method": "cash", "amount": { "amount": amount, "currency": "CAD" },
        "note": "at the door" });
    post(stack, staff, key, "/api/payments/record", &body).await
}

/// Reasons for attention of the payments of a booking.
async fn attention(stack: &Stack, staff: &str, booking: Uuid) -> Result<Vec<Value>> {
    let path = format!("/api/payments?attention=true&booking_id={booking}");
    let url = format!("{}{path}", stack.client.base());
    let answer: Value = stack.client.http().get(url).header("authorization", staff).send().await?.json().await?;
    let items = answer["items"].as_array().context("items")?;
    Ok(items.iter().flat_map(|item| item["attention"].as_array().cloned().unwrap_or_default()).collect())
}

async fn refunds_due(stack: &Stack, booking: Uuid) -> Result<RefundsDue> {
    let stored = stack.mongo.bookings().find(BookingId::from_uuid(booking)).await?;
    Ok(stored.context("the booking is stored")?.payment.refunds_due())
}

async fn kill_and_restart(stack: &mut Stack, name: &str) -> Result<()> {
    stack.program(name)?.kill9()?;
    stack.restart(name).await
}

#[tokio::test]
async fn refund_of_cash_is_a_task_until_it_is_recorded() -> Result<()> {
    let (mut stack, staff) = start().await?;
    let mut body = booking_body(PRIVATE, days_from_now(60), 2, 2);
    body["guest"]["locale"] = json!("en");
    let booked = stack.book("cash", &body).await?;
    let booking = until(&stack, &booked, Status::Confirmed).await?;
    let total = booking.price.as_ref().context("a price")?.total;
    let taken = record(&stack, &staff, "in", booked.id, total).await?;
    assert_eq!((taken.status, &taken.body["note"]), (StatusCode::CREATED, &json!("at the door")), "{taken:?}");
    assert_eq!(taken.body.get("warnings"), None, "no more than the bill");
    let history = format!("{}/api/bookings/{}/history", stack.client.base(), booked.id);
    let history: Value = stack.client.http().get(history).header("authorization", &staff).send().await?.json().await?;
    let last = history["items"].as_array().and_then(|items| items.last()).context("a revision")?;
    assert!(last["actor"].as_str().is_some_and(|actor| actor.starts_with("staff:")), "not by Stripe: {last}");
    assert_eq!(last["reason"], "at the door");

    kill_and_restart(&mut stack, "payments").await?;
    assert_eq!(stack.client.cancel(&booked).await?.status, StatusCode::OK);
    kill_and_restart(&mut stack, "payments-2").await?;
    let promised = eventually("the refund is decided", LONG_TIMEOUT, || async {
        let due = refunds_due(&stack, booked.id).await?;
        Ok((due.total() > 0).then_some(due))
    })
    .await?;
    assert_eq!((promised.automatic, promised.manual), (0, promised.total()), "Stripe has none of it");
    eventually("staff see it", LONG_TIMEOUT, || async {
        let shown = attention(&stack, &staff, booked.id).await?;
        Ok(shown.contains(&json!("refund_manual")).then_some(()))
    })
    .await?;
    eventually("the guest reads how it is returned", SHORT_TIMEOUT, || async {
        let all = stack.mailbox.all().await?;
        let cancelled = all.into_iter().find(|mail| mail.subject.contains("has been cancelled"));
        Ok(cancelled.is_some_and(|mail| mail.text.contains("at the front desk")).then_some(()))
    })
    .await?;

    let more = record(&stack, &staff, "too much", booked.id, -total - 1).await?;
    assert_eq!(more.problem()?, "too_much");
    assert_eq!(record(&stack, &staff, "out", booked.id, -promised.manual).await?.status, StatusCode::CREATED);
    eventually("the task is done", LONG_TIMEOUT, || async {
        let is_done = refunds_due(&stack, booked.id).await?.total() == 0
            && attention(&stack, &staff, booked.id).await?.is_empty();
        Ok(is_done.then_some(()))
    })
    .await?;
    assert_eq!(stack.stripe()?.effects_of_booking(&booked.id.to_string()).refunds, 0);
    eventually("the guest gets a receipt", SHORT_TIMEOUT, || async {
        Ok(mails(&stack, &booked).await?.contains(&"payment_refunded".to_owned()).then_some(()))
    })
    .await?;
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn cash_returned_is_not_refunded_again() -> Result<()> {
    let (mut stack, staff) = start().await?;
    let (booked, _, payment) = paid(&stack, "1", days_from_now(60)).await?;
    let id = BookingId::from_uuid(booked.id);
    let kept = stack.mongo.ledgers().find(id).await?.context("a ledger")?.summary().kept();
    assert_eq!(record(&stack, &staff, "out", booked.id, 2_000 - kept).await?.status, StatusCode::CREATED);
    kill_and_restart(&mut stack, "payments").await?;
    let path = format!("/api/payments/{payment}/refund");
    let more = json!({ "amount": { "amount": 2_001, "currency": "CAD" }, "reason": "the shower was cold" });
    assert_eq!(post(&stack, &staff, "more", &path, &more).await?.problem()?, "too_much");
    let rest = post(&stack, &staff, "rest", &path, &json!({ "reason": "the shower was cold" })).await?;
    assert_eq!(rest.status, StatusCode::OK, "{rest:?}");
    kill_and_restart(&mut stack, "payments-2").await?;
    eventually("everything is returned, and no more", LONG_TIMEOUT, || async {
        let summary = stack.mongo.ledgers().find(id).await?.context("a ledger")?.summary();
        Ok((summary.kept() == 0).then_some(()))
    })
    .await?;
    // The cancellation promises nothing and returns nothing.
    assert_eq!(stack.client.cancel(&booked).await?.status, StatusCode::OK);
    let booking = until(&stack, &booked, Status::Cancelled).await?;
    assert_eq!(booking.payment.refund_due(), 0);
    assert_eq!(stack.stripe()?.effects_of_booking(&booked.id.to_string()).refunds, 1);
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn record_is_answered_once_the_booking_counts_it() -> Result<()> {
    let (mut stack, staff) = start().await?;
    let booked = stack.book("desk", &booking_body(PRIVATE, days_from_now(60), 2, 2)).await?;
    let total = until(&stack, &booked, Status::Confirmed).await?.price.context("a price")?.total;
    let path = format!("/api/bookings/{}?token={}", booked.id, booked.token);
    let cash = |amount: i64| {
        json!({ "booking_id": booked.id, "method": "cash",
            "amount": { "amount": amount, "currency": "CAD" }, "note": "at the door" })
    };
    for (key, amount, balance) in [("in", total, 0), ("out", -1_000, 1_000)] {
        // The ledger has the record, and the booking does not count it yet.
        stack.program("confirmations")?.kill9()?;
        let headers = [("authorization", staff.as_str()), ("idempotency-key", key), ("prefer", "wait=1")];
        let early = stack.client.post("/api/payments/record", &headers, &cash(amount)).await?;
        assert_eq!((early.status, early.text("/status")), (StatusCode::ACCEPTED, "queued"), "{early:?}");
        let ledger = stack.mongo.ledgers().find(BookingId::from_uuid(booked.id)).await?.context("a ledger")?;
        assert!(ledger.records.iter().any(|record| record.amount == amount), "{ledger:?}");
        stack.restart("confirmations").await?;
        let done = record(&stack, &staff, key, booked.id, amount).await?;
        assert_eq!(done.status, StatusCode::CREATED, "{done:?}");
        let shown = stack.client.get(&path).await?;
        assert_eq!(shown.body["payment"]["due"]["amount"], balance, "at once: {shown:?}");
    }
    stack.end(Expectations::clean()).await
}
