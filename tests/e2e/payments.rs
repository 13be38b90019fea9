//! Payments: Stripe's events confirm bookings, holds expire without taking beds from paid ones, and refunds are made.

use crate::harness::{AcceptedBooking, Expectations, SHORT_TIMEOUT, Stack, StackBuilder};
use anyhow::{Context, Result, ensure};
use chrono::NaiveDate;
use pvt_domain::booking::{Booking, Status};
use pvt_stores::mongo::notifications::Notification;
use pvt_stripe_simulator::{FaultInjection, PayOutcome, WebhookFaults};
use pvt_testkit::{booking_body, days_from_now, doc, eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// The room type of the prepaid bookings, a room for two.
pub(crate) const PRIVATE: &str = "private-double";

/// Expires holds every second instead of every minute.
pub(crate) const FREQUENT_EXPIRY: (&str, &str) = ("PVT_SCHEDULES", r#"{"expire_holds": {"cron": "* * * * * *"}}"#);

pub(crate) async fn start() -> Result<Stack> {
    StackBuilder::new().paid_online().with(FREQUENT_EXPIRY.0, FREQUENT_EXPIRY.1).start().await
}

pub(crate) fn prepaid(arrival: NaiveDate, nights: u64) -> Value {
    let mut body = booking_body(PRIVATE, arrival, nights, 2);
    body["rate_plan_id"] = json!("prepaid");
    body
}

/// A held booking.
pub(crate) async fn hold(stack: &Stack, key: &str, body: &Value) -> Result<AcceptedBooking> {
    let booked = stack.book(key, body).await?;
    let shown = stack.client.wait_for_decision(&booked).await?;
    ensure!(shown["status"] == "held" && shown["payment"]["status"] == "pending", "{shown}");
    Ok(booked)
}

/// Opens a checkout session; the session's id at Stripe, and the payment's id here.
pub(crate) async fn checkout(stack: &Stack, booked: &AcceptedBooking, key: &str) -> Result<(String, String)> {
    let body = json!({ "booking_id": booked.id, "token": booked.token });
    let answer =
        stack.client.post("/api/payments/checkout", &[("idempotency-key", key), ("prefer", "wait=30")], &body).await?;
    ensure!(answer.status == StatusCode::CREATED, "{answer:?}");
    let session = answer.text("/url").rsplit('/').next().unwrap_or_default().to_owned();
    ensure!(session.starts_with("cs_"), "{answer:?}");
    Ok((session, answer.text("/id").to_owned()))
}

pub(crate) async fn until(stack: &Stack, booked: &AcceptedBooking, status: Status) -> Result<Booking> {
    eventually(&format!("{} is {status:?}", booked.id), SHORT_TIMEOUT, || async {
        let booking = stack
            .mongo
            .bookings()
            .find(pvt_domain::ids::BookingId::from_uuid(booked.id))
            .await?
            .context("the booking is stored")?;
        Ok((booking.status == status).then_some(booking))
    })
    .await
}

/// A booking of two nights confirmed by payment, with the ids of its session at Stripe and of the payment here.
pub(crate) async fn paid(stack: &Stack, key: &str, arrival: NaiveDate) -> Result<(AcceptedBooking, String, String)> {
    let booked = hold(stack, key, &prepaid(arrival, 2)).await?;
    let (session, payment) = checkout(stack, &booked, &format!("pay {key}")).await?;
    stack.stripe()?.pay(&session, PayOutcome::Success)?;
    until(stack, &booked, Status::Confirmed).await?;
    Ok((booked, session, payment))
}

/// Waits until a cancelled booking is fully refunded.
pub(crate) async fn wait_until_refunded(stack: &Stack, booked: &AcceptedBooking, limit: Duration) -> Result<()> {
    eventually("the booking is refunded", limit, || async {
        let booking = until(stack, booked, Status::Cancelled).await?;
        Ok((booking.payment.refund_due() == 0 && booking.payment.ledger().refunded > 0).then_some(()))
    })
    .await
}

/// Sets the expiry of a hold into the past.
pub(crate) async fn expire_hold(stack: &Stack, booked: &AcceptedBooking) -> Result<()> {
    stack
        .stores
        .set("bookings", &booked.id.to_string(), doc! { "payment.expires_at": "2026-01-01T00:00:00.000Z" })
        .await
}

/// Kinds of mail to the guest, in order.
pub(crate) async fn mails(stack: &Stack, booked: &AcceptedBooking) -> Result<Vec<String>> {
    let mut rows: Vec<Notification> = stack.stores.all("notifications").await?;
    rows.retain(|row| row.booking_id.as_uuid() == booked.id);
    rows.sort_by_key(|row| row.created_at);
    Ok(rows.into_iter().map(|row| row.kind.as_str().to_owned()).collect())
}

#[tokio::test]
async fn payment_confirms_a_held_booking() -> Result<()> {
    let stack = start().await?;
    let booked = hold(&stack, "1", &prepaid(days_from_now(60), 2)).await?;
    let (session, payment) = checkout(&stack, &booked, "pay").await?;
    assert_eq!(
        checkout(&stack, &booked, "pay").await?,
        (session.clone(), payment.clone()),
        "the same request again opens the same page"
    );
    assert_eq!(checkout(&stack, &booked, "another try").await?.0, session, "a page that is open is used again");
    stack.stripe()?.pay(&session, PayOutcome::Declined)?;
    stack.stripe()?.pay(&session, PayOutcome::Success)?;
    let booking = until(&stack, &booked, Status::Confirmed).await?;
    let total = booking.price.as_ref().map(|price| price.total);
    assert_eq!((Some(booking.payment.ledger().captured), booking.balance()), (total, 0));
    let effects = stack.stripe()?.effects_of_booking(&booked.id.to_string());
    assert_eq!((effects.sessions, effects.charges, Some(effects.captured_amount), effects.refunds), (1, 1, total, 0));
    stack.wait_until_quiet(&Expectations::clean()).await?;
    let mailed = mails(&stack, &booked).await?;
    assert_eq!(mailed.iter().filter(|kind| *kind == "booking_confirmed").count(), 1, "{mailed:?}");
    assert!(mailed.contains(&"payment_link".to_owned()), "{mailed:?}");
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn unpaid_hold_expires_and_releases_its_beds() -> Result<()> {
    let stack = start().await?;
    let booked = hold(&stack, "1", &prepaid(days_from_now(60), 2)).await?;
    let (session, _) = checkout(&stack, &booked, "pay").await?;
    expire_hold(&stack, &booked).await?;
    until(&stack, &booked, Status::Expired).await?;
    let object = stack.stripe()?.object(&session).context("the session")?;
    assert_eq!(object["status"], "expired", "closed at Stripe before the beds were released");
    assert!(stack.stripe()?.pay(&session, PayOutcome::Success).is_err(), "the session is expired");
    let late = stack
        .client
        .post(
            "/api/payments/checkout",
            &[("idempotency-key", "late")],
            &json!({ "booking_id": booked.id, "token": booked.token }),
        )
        .await?;
    assert_eq!((late.status, late.problem()?), (StatusCode::CONFLICT, "not_payable"), "{late:?}");
    stack.wait_until_quiet(&Expectations::clean()).await?;
    assert_eq!(mails(&stack, &booked).await?, ["payment_link", "hold_expired"]);
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn hold_already_paid_at_stripe_is_confirmed() -> Result<()> {
    let stack = start().await?;
    let booked = hold(&stack, "1", &prepaid(days_from_now(60), 2)).await?;
    let (session, _) = checkout(&stack, &booked, "pay").await?;
    // Paid, and no webhook arrives: only a request to Stripe can find out.
    stack.stripe()?.set_faults(FaultInjection::of_webhooks(WebhookFaults { outage: true, ..WebhookFaults::default() }));
    stack.stripe()?.pay(&session, PayOutcome::Success)?;
    expire_hold(&stack, &booked).await?;
    until(&stack, &booked, Status::Confirmed).await?;
    stack.stripe()?.set_faults(FaultInjection::default());
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn cancellation_refunds_by_policy() -> Result<()> {
    let stack = start().await?;
    // More than seven days ahead: a fee of 10 %.
    let booked = hold(&stack, "1", &prepaid(days_from_now(60), 2)).await?;
    let (session, _) = checkout(&stack, &booked, "pay").await?;
    stack.stripe()?.pay(&session, PayOutcome::Success)?;
    let total = until(&stack, &booked, Status::Confirmed).await?.price.context("a price")?.total;
    assert_eq!(stack.client.cancel(&booked).await?.status, StatusCode::OK);
    eventually("the rest is refunded", SHORT_TIMEOUT, || async {
        let booking = until(&stack, &booked, Status::Cancelled).await?;
        Ok((booking.payment.ledger().refunded > 0).then_some(()))
    })
    .await?;
    let effects = stack.stripe()?.effects_of_booking(&booked.id.to_string());
    let fee = (total + 5) / 10;
    assert_eq!((effects.refunds, effects.refunded_amount), (1, total - fee));
    stack.wait_until_quiet(&Expectations::clean()).await?;
    let mailed = mails(&stack, &booked).await?;
    assert!(mailed.ends_with(&["payment_refunded".to_owned()]), "{mailed:?}");
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn late_payment_is_confirmed_or_refunded() -> Result<()> {
    let stack = start().await?;
    let late = |key: &'static str, arrival| {
        let stack = &stack;
        async move {
            let booked = hold(stack, key, &prepaid(arrival, 2)).await?;
            let (session, _) = checkout(stack, &booked, key).await?;
            // Stripe captured it, sent no webhook, and even reported the session as expired: as late as possible.
            stack
                .stripe()?
                .set_faults(FaultInjection::of_webhooks(WebhookFaults { outage: true, ..WebhookFaults::default() }));
            stack
                .stores
                .set("payments", &booked.id.to_string(), doc! { "sessions": [], "attempts.0.object": null })
                .await?;
            expire_hold(stack, &booked).await?;
            until(stack, &booked, Status::Expired).await?;
            anyhow::Ok((booked, session))
        }
    };
    let (lucky, session) = late("lucky", days_from_now(60)).await?;
    stack.stripe()?.pay(&session, PayOutcome::Success)?;
    stack.stripe()?.set_faults(FaultInjection::default());
    until(&stack, &lucky, Status::Confirmed).await?;

    let (unlucky, session) = late("unlucky", days_from_now(90)).await?;
    for room in 0..4 {
        stack.book(&format!("taken {room}"), &booking_body(PRIVATE, days_from_now(90), 2, 2)).await?;
    }
    stack.stripe()?.pay(&session, PayOutcome::Success)?;
    stack.stripe()?.set_faults(FaultInjection::default());
    eventually("the payment is refunded", SHORT_TIMEOUT, || async {
        let booking = until(&stack, &unlucky, Status::Expired).await?;
        Ok((booking.payment.ledger().refunded > 0).then_some(()))
    })
    .await?;
    let effects = stack.stripe()?.effects_of_booking(&unlucky.id.to_string());
    assert_eq!(
        (effects.charges, effects.refunds, effects.refunded_amount),
        (1, 1, effects.captured_amount),
        "in full, once"
    );
    stack.wait_until_quiet(&Expectations::clean()).await?;
    let mailed = mails(&stack, &unlucky).await?;
    assert!(mailed.contains(&"payment_returned".to_owned()), "{mailed:?}");
    stack.end(Expectations::clean()).await
}

/// On a plan without deposit guests can pay online too, until the booking is cancelled.
#[tokio::test]
async fn cancellation_expires_the_checkout_session() -> Result<()> {
    let stack = start().await?;
    let booked = stack.book("1", &booking_body(PRIVATE, days_from_now(60), 2, 2)).await?;
    stack.client.wait_for_decision(&booked).await?;
    let (session, _) = checkout(&stack, &booked, "pay").await?;
    assert_eq!(stack.client.cancel(&booked).await?.status, StatusCode::OK);
    let state = || stack.stripe().map(|stripe| stripe.object(&session).unwrap_or_default()["status"].clone());
    eventually("the session is expired", SHORT_TIMEOUT, || async { Ok((state()? == "expired").then_some(())) }).await?;
    assert!(stack.stripe()?.pay(&session, PayOutcome::Success).is_err());
    stack.end(Expectations::clean()).await
}

/// An app that repeats its request gets the same payment.
#[tokio::test]
async fn repeated_payment_request_returns_the_same_payment() -> Result<()> {
    let stack = start().await?;
    let booked = hold(&stack, "1", &prepaid(days_from_now(60), 2)).await?;
    let asking = json!({ "booking_id": booked.id, "token": booked.token });
    let mut secrets = BTreeSet::new();
    for number in 0..4 {
        let key = format!("intent {number}");
        let answer = stack
            .client
            .post("/api/payments/create-intent", &[("idempotency-key", &key), ("prefer", "wait=10")], &asking)
            .await?;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        secrets.insert(answer.text("/client_secret").to_owned());
    }
    assert_eq!(secrets.len(), 1);
    expire_hold(&stack, &booked).await?;
    until(&stack, &booked, Status::Expired).await?;
    stack.end(Expectations::clean()).await
}

#[tokio::test]
async fn sweep_finds_missed_events() -> Result<()> {
    let schedules = r#"{"expire_holds": {"cron": "* * * * * *"}, "reconcile_payments": {"cron": "* * * * * *"}}"#;
    let stack = StackBuilder::new().paid_online().with("PVT_SCHEDULES", schedules).start().await?;
    let booked = hold(&stack, "1", &prepaid(days_from_now(60), 2)).await?;
    let (session, _) = checkout(&stack, &booked, "pay").await?;
    stack
        .stripe()?
        .set_faults(FaultInjection::of_webhooks(WebhookFaults { drop_probability: 1.0, ..WebhookFaults::default() }));
    stack.stripe()?.pay(&session, PayOutcome::Success)?;
    eventually("the sweep applies it", Duration::from_secs(150), || async {
        let booking = stack
            .mongo
            .bookings()
            .find(pvt_domain::ids::BookingId::from_uuid(booked.id))
            .await?
            .context("the booking is stored")?;
        Ok((booking.status == Status::Confirmed).then_some(()))
    })
    .await?;
    stack.shut_down().await
}

#[tokio::test]
async fn card_numbers_are_refused_and_never_stored() -> Result<()> {
    const CARDS: [&str; 3] = ["4242424242424242", "4000 0025 0000 3155", "5555-5555-5555-4444"];
    let mut stack = start().await?;
    let booked = hold(&stack, "1", &prepaid(days_from_now(60), 2)).await?;
    let made = stack.pvt_json(&["keys", "create", "--role", "staff", "--json"]).await?;
    let staff = format!("Bearer {}", made["key"].as_str().context("a key")?);
    for (number, card) in CARDS.into_iter().enumerate() {
        let key = format!("card {number}");
        let mut guest = prepaid(days_from_now(70), 1);
        guest["guest"]["last_name"] = json!(card);
        let record = json!({ "booking_id": booked.id, "method": "cash", "amount": { "amount": 100, "currency": "CAD" },
            "note": format!("from {card}") });
        let page = json!({ "booking_id": booked.id, "token": booked.token,
            "success_url": format!("{}/?card={card}", stack.client.base()) });
        for (path, body) in
            [("/api/bookings", guest), ("/api/payments/record", record), ("/api/payments/checkout", page)]
        {
            let answer =
                stack.client.post(path, &[("authorization", &staff), ("idempotency-key", &key)], &body).await?;
            assert_eq!(
                (answer.status, answer.problem()?),
                (StatusCode::UNPROCESSABLE_ENTITY, "card_number_refused"),
                "{path}"
            );
            assert!(!answer.body.to_string().contains(card), "{path} shows it again");
        }
    }
    let mut kept = String::new();
    for collection in ["bookings", "payments", "stripe_events", "notifications", "audit", "claims"] {
        kept.push_str(&stack.stores.all::<Value>(collection).await?.iter().map(Value::to_string).collect::<String>());
    }
    for program in ["api", "workers"] {
        kept.push_str(&stack.program(program)?.log());
    }
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    assert!(CARDS.iter().all(|card| !kept.contains(card) && !kept.contains(&digits(card))), "a card number was stored");
    stack.end(Expectations::clean()).await
}

/// A bank debit that fails after days leaves the app's payment as it was before: the guest tries again, and a hold
/// that is never paid ends.
#[tokio::test]
async fn failed_bank_debit_can_be_paid_again_or_expires() -> Result<()> {
    let stack = start().await?;
    let debit = |key: &'static str, arrival| {
        let stack = &stack;
        async move {
            let booked = hold(stack, key, &prepaid(arrival, 2)).await?;
            let intent = app_payment(stack, &booked, key).await?;
            stack.stripe()?.pay(&intent, PayOutcome::AsyncPending)?;
            until_processing(stack, &booked, true).await?;
            stack.stripe()?.complete_async(&intent, false)?;
            until_processing(stack, &booked, false).await?;
            anyhow::Ok((booked, intent))
        }
    };
    let (again, intent) = debit("again", days_from_now(60)).await?;
    assert_eq!(app_payment(&stack, &again, "second try").await?, intent, "it can be paid");
    stack.stripe()?.pay(&intent, PayOutcome::Success)?;
    until(&stack, &again, Status::Confirmed).await?;

    let (given_up, intent) = debit("given up", days_from_now(90)).await?;
    expire_hold(&stack, &given_up).await?;
    until(&stack, &given_up, Status::Expired).await?;
    let object = stack.stripe()?.object(&intent).context("the payment")?;
    assert_eq!(object["status"], "canceled", "closed at Stripe before the beds were released");
    stack.end(Expectations::clean()).await
}

/// Creates a payment for an app; its id at Stripe.
async fn app_payment(stack: &Stack, booked: &AcceptedBooking, key: &str) -> Result<String> {
    let asking = json!({ "booking_id": booked.id, "token": booked.token });
    let headers = [("idempotency-key", key), ("prefer", "wait=30")];
    let answer = stack.client.post("/api/payments/create-intent", &headers, &asking).await?;
    ensure!(answer.status == StatusCode::CREATED, "{answer:?}");
    let secret = answer.text("/client_secret");
    Ok(secret.split("_secret").next().unwrap_or_default().to_owned())
}

async fn until_processing(stack: &Stack, booked: &AcceptedBooking, processing: bool) -> Result<()> {
    eventually("the booking knows the state of its payment", SHORT_TIMEOUT, || async {
        let booking = until(stack, booked, Status::Held).await?;
        let known = booking.payment.ledger.as_ref().is_some_and(|ledger| ledger.processing == processing);
        Ok(known.then_some(()))
    })
    .await
}
