//! Payment attempts across outages of Stripe: a request under one idempotency key is one request.

use crate::harness::{cancel_command, header};
use crate::lifecycle::modifies;
use crate::payments::{StripeHarness, opens_payment};
use anyhow::{Context, Result, ensure};
use chrono::{TimeDelta, Utc};
use pvt_domain::booking::Booking;
use pvt_domain::ledger::PaymentChannel;
use pvt_domain::messages::*;
use pvt_domain::timestamp::Timestamp;
use pvt_stripe_simulator::{FaultInjection, RequestFault, RequestFaultKind};
use pvt_workers::clock::{self, Clock};
use std::time::Duration;
use uuid::Uuid;

fn minutes_ago() -> Timestamp {
    (Utc::now() - TimeDelta::minutes(15)).into()
}

fn minutes_later() -> Timestamp {
    (Utc::now() + TimeDelta::minutes(11)).into()
}

/// The reply to a caller who waits.
async fn open(stripe: &StripeHarness, command: &StripeCommand, clock: Clock) -> Result<PaymentReply> {
    let messages = stripe.deliver_to_caller(command, clock).await?;
    let reply = messages.iter().find(|message| message.envelope.kind == PAYMENT_REPLY).context("a reply")?;
    Ok(serde_json::from_slice(&reply.body)?)
}

#[tokio::test]
async fn page_opens_after_an_outage_that_outlasts_its_end() -> Result<()> {
    let stripe = StripeHarness::open().await?;
    let (booking, _) = stripe.harness.book("a", 30).await?;
    let command = opens_payment(&booking, 1, PaymentChannel::Checkout);
    stripe.control.set_faults(FaultInjection::of_requests(RequestFault::new(RequestFaultKind::ServerError)));
    let refused = open(&stripe, &command, minutes_ago).await?;
    assert_eq!(refused.refusal, Some(PaymentRefusal::ProviderUnavailable));
    stripe.control.set_faults(FaultInjection::default());
    let stored = stripe.harness.mongo.ledgers().find(booking.id).await?.context("a ledger")?;
    let mut ended = stored.clone();
    // Its end would be 25 minutes from now, and Stripe wants 30.
    ended.set_expiry(ended.attempts[0].id, Utc::now().timestamp() + 25 * 60);
    ended.advance_rev(&stored, clock::system());
    assert!(stripe.harness.mongo.ledgers().save(&[ended]).await?);
    let opened = open(&stripe, &command, clock::system).await?;
    assert!(opened.url.is_some(), "{opened:?}");
    assert_eq!(open(&stripe, &command, clock::system).await?.url, opened.url);
    assert_eq!(stripe.control.total().sessions, 1);
    Ok(())
}

#[tokio::test]
async fn attempt_that_was_given_up_can_be_repeated_under_its_key() -> Result<()> {
    for channel in [PaymentChannel::Checkout, PaymentChannel::App] {
        let stripe = StripeHarness::open().await?;
        let (booking, _) = stripe.harness.book("a", 30).await?;
        let command = opens_payment(&booking, 1, channel);
        // Stripe executes it, and no answer arrives.
        let fault = RequestFault::new(RequestFaultKind::TimeoutAfterEffect).delay(Duration::from_millis(1));
        stripe.control.set_faults(FaultInjection::of_requests(fault));
        open(&stripe, &command, clock::system).await?;
        // After ten minutes another attempt takes its place, and the caller repeats the first.
        let other = opens_payment(&booking, 2, channel);
        open(&stripe, &other, minutes_later).await?;
        let ledger = stripe.harness.mongo.ledgers().find(booking.id).await?.context("a ledger")?;
        ensure!(ledger.attempts.len() == 1, "{:?}", ledger.attempts);
        stripe.control.set_faults(FaultInjection::default());
        let opened = open(&stripe, &command, minutes_later).await?;
        assert_eq!(opened.refusal, None, "{channel}: {opened:?}");
    }
    Ok(())
}

/// The command that follows from revision `rev` of a booking and closes what was opened before it.
fn expires(booking: &Booking, rev: u32) -> StripeCommand {
    StripeCommand::Expire(ExpireCheckout {
        booking_id: booking.id,
        property_id: booking.property_id.clone(),
        release: false,
        rev: Some(rev),
        actor: "system".into(),
        requested_at: clock::system(),
    })
}

#[tokio::test]
async fn delayed_expiry_leaves_what_was_opened_after_it_was_requested() -> Result<()> {
    let stripe = StripeHarness::open().await?;
    let (booking, _) = stripe.harness.book("a", 30).await?;
    let status = |session: &str| anyhow::Ok(stripe.control.object(session).context("a session")?["status"].clone());
    let pay =
        async |payment| open(&stripe, &opens_payment(&booking, payment, PaymentChannel::Checkout), clock::system).await;
    pay(1).await?;
    let first = stripe.session(&booking, 1).await?;

    // Stripe expires no session, and the command waits.
    let locked = vec![Assignment { stay: Some(0), id: None, beds: None, from: None, locked: Some(true) }];
    let assign = BookingCommand::Assign(AssignBeds { header: header(booking.id), assignments: locked });
    stripe.harness.decide(Uuid::new_v4(), assign).await?;
    let waiting = expires(&booking, stripe.harness.stored(booking.id).await?.rev);
    let fault = RequestFault::new(RequestFaultKind::ServerError).at("/v1/checkout/sessions/*/expire");
    stripe.control.set_faults(FaultInjection::of_requests(fault));
    assert!(stripe.deliver_with(&waiting, clock::system, &[]).await.is_err());
    stripe.control.set_faults(FaultInjection::default());

    // The same amount is due: the guest pays on the page that is open.
    assert!(pay(2).await?.url.is_some());
    stripe.deliver_with(&waiting, clock::system, &[]).await?;
    assert_eq!(status(&first)?, "open");

    // Another amount is due: a page of its own, which closes the first.
    stripe.harness.decide(Uuid::new_v4(), modifies(&booking, 3, None)).await?;
    let changed = stripe.harness.stored(booking.id).await?;
    pay(3).await?;
    let second = stripe.session(&booking, 3).await?;
    stripe.deliver_with(&waiting, clock::system, &[]).await?;
    assert_eq!((status(&first)?, status(&second)?), ("expired".into(), "open".into()));

    // A command that was opened before does not make its page a later one when it is repeated.
    stripe.harness.decide(Uuid::new_v4(), modifies(&changed, 4, None)).await?;
    let changed = stripe.harness.stored(booking.id).await?;
    pay(3).await?;
    stripe.deliver_with(&expires(&booking, changed.rev), clock::system, &[]).await?;
    assert_eq!(status(&second)?, "expired");

    // Nothing of a booking that has ended can be paid.
    pay(4).await?;
    let third = stripe.session(&booking, 4).await?;
    stripe.harness.decide(Uuid::new_v4(), cancel_command(booking.id)).await?;
    stripe.deliver_with(&waiting, clock::system, &[]).await?;
    assert_eq!(status(&third)?, "expired");
    Ok(())
}
