//! Page to which Stripe sends guests back. Its address goes to Stripe, through queues and into stored events, so it
//! holds no token: it shows how the payment stands, and nothing else of the booking but its reference.

use super::show::{PaymentId, ledger_of};
use super::view::{PaymentState, payment_of};
use crate::commands::booking_watch::Awaited;
use crate::http::extract::{PathId, QueryParams, QueryWait};
use crate::http::html_page::HtmlPage;
use crate::http::problem::{self, Problem};
use crate::resources::bookings::guest_page::{notice, phrases};
use crate::resources::bookings::receipt_view::Phrases;
use crate::state::SharedApp;
use crate::store_call;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::Utc;
use pvt_domain::booking::Booking;
use pvt_domain::ledger::Ledger;
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;
use tokio::time::Instant;

/// Longest time that the page waits for the payment's confirmation.
const MAX_WAIT: Duration = Duration::from_secs(10);

#[derive(Deserialize, JsonSchema)]
pub(super) struct ReturnQuery {
    /// Waits for the payment to be confirmed, at most 10 s: `10s`, `10` or `500ms`. Guests who have not paid come back
    /// without it.
    wait: Option<QueryWait>,
}

/// `GET /api/payments/{id}/return`, with our own id of the payment. Stripe redirects guests here before its webhook
/// arrives: `?wait=10s` holds the page until then; otherwise the page asks them not to pay again.
pub(super) async fn returned(
    State(app): State<SharedApp>,
    QueryParams(ReturnQuery { wait }): QueryParams<ReturnQuery>,
    PathId(PaymentId(id)): PathId<PaymentId>,
) -> Result<HtmlPage, Problem> {
    let has_paid = wait.is_some();
    let until = Instant::now() + wait.map_or(Duration::ZERO, |QueryWait(wait)| wait.min(MAX_WAIT));
    let not_found = || Problem::from(problem::NOT_FOUND);
    // Stripe's own ids are in its dashboard and mails; only ours leads here.
    if id.starts_with("pi_") {
        return Err(not_found());
    }
    let mut ledger = ledger_of(&app, &id).await?.ok_or_else(not_found)?;
    let booking = booking_of(&app, &ledger).await?.ok_or_else(not_found)?;
    if has_paid
        && state(&ledger, &id) == Some(PaymentState::Open)
        && let Some(waiting) =
            app.booking_watch.wait_for(Awaited { id: booking.id, rev: booking.rev + 1, reply_expected: false })
        && waiting.until(until).await.is_some()
    {
        ledger = ledger_of(&app, &id).await?.ok_or_else(not_found)?;
    }
    let phrases = phrases(&app, &booking);
    let words = words(phrases, state(&ledger, &id).ok_or_else(not_found)?, has_paid);
    notice(phrases, &booking.reference, StatusCode::OK, words).map(HtmlPage)
}

async fn booking_of(app: &SharedApp, ledger: &Ledger) -> Result<Option<Booking>, Problem> {
    let (mongo, id) = (app.mongo.clone(), ledger.booking_id);
    store_call::read(async move { mongo.bookings().find(id).await }).await
}

fn state(ledger: &Ledger, id: &str) -> Option<PaymentState> {
    payment_of(ledger, id, Utc::now().into()).map(|payment| payment.status)
}

/// Title and text. `has_paid` is whether Stripe says that the guest has completed its page.
fn words(phrases: &'static Phrases, state: PaymentState, has_paid: bool) -> (&'static str, &'static str) {
    match state {
        PaymentState::Processing => (phrases.processing, phrases.processing_more),
        PaymentState::Succeeded | PaymentState::PartiallyRefunded | PaymentState::Refunded | PaymentState::Disputed => {
            (phrases.payment_received, phrases.payment_received_more)
        }
        PaymentState::Open if has_paid => (phrases.payment_unconfirmed, phrases.unconfirmed),
        PaymentState::Open | PaymentState::Failed | PaymentState::Canceled | PaymentState::Expired => {
            (phrases.not_paid, phrases.not_paid_more)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::words;
    use crate::resources::bookings::receipt_view::Phrases;
    use crate::resources::payments::view::PaymentState;

    #[test]
    fn page_that_was_left_unpaid_points_to_the_link_for_paying() {
        for language in ["en", "fr"] {
            let phrases = Phrases::choose(Some(language), &[]);
            let title = |state, has_paid| words(phrases, state, has_paid).0;
            assert_eq!(title(PaymentState::Open, false), phrases.not_paid);
            assert_eq!(title(PaymentState::Failed, true), phrases.not_paid);
            assert_eq!(title(PaymentState::Open, true), phrases.payment_unconfirmed);
            assert_eq!(title(PaymentState::Processing, false), phrases.processing);
            assert_eq!(title(PaymentState::Succeeded, false), phrases.payment_received);
        }
    }
}
