//! Receipt page of a booking, for printing.

use crate::auth::booking_access::BookingAccess;
use crate::commands::booking_watch::Awaited;
use crate::http::extract::{QueryParams, QueryWait};
use crate::http::html_page::{self, HtmlPage};
use crate::http::problem::{self, Problem};
use crate::resources::bookings::receipt_view::Receipt;
use crate::resources::payments::submit;
use crate::resources::properties::responses::known;
use crate::state::SharedApp;
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::Utc;
use pvt_domain::booking::{Booking, PaymentStatus, Status};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Style of pages for guests.
pub(crate) const STYLE: &str = include_str!("../../../templates/receipt.css");

#[derive(Template)]
#[template(path = "receipt.html")]
struct ReceiptPage<'a> {
    style: &'static str,
    receipt: Receipt<'a>,
}

/// Longest time that the page waits for the payment's confirmation.
const MAX_RECEIPT_WAIT: Duration = Duration::from_secs(10);

#[derive(Deserialize, JsonSchema)]
pub(super) struct ReceiptQuery {
    /// Waits for the payment of a held booking to be confirmed, at most 10 s: `10s`, `10` or `500ms`.
    wait: Option<QueryWait>,
}

/// `GET /api/bookings/{id}/receipt`; 404 for a booking without a price. Checkout sessions of earlier versions
/// redirect guests here before Stripe's webhook arrives: `?wait=10s` holds the page until then; otherwise the page asks
/// them not to pay again.
pub(super) async fn receipt(
    State(app): State<SharedApp>,
    access: BookingAccess,
    QueryParams(ReceiptQuery { wait }): QueryParams<ReceiptQuery>,
) -> Result<HtmlPage, Problem> {
    let started = Instant::now();
    let mut booking = Arc::new(access.decided_booking(&app).await?);
    let wait = wait.map(|QueryWait(wait)| wait.min(MAX_RECEIPT_WAIT)).filter(|_| is_payment_unconfirmed(&booking));
    if let Some(wait) = wait
        && let Some(waiting) =
            app.booking_watch.wait_for(Awaited { id: booking.id, rev: booking.rev + 1, reply_expected: false })
        && let Some(newer) = waiting.until(started + wait).await
    {
        booking = newer;
    }
    let price = booking.price.as_ref().ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
    let inventory = known(&app, &booking.property_id).await?;
    let ledger = submit::ledger(&app, booking.id).await?;
    let mut receipt = Receipt::new(&booking, price, &inventory, ledger.as_ref(), Utc::now().into());
    if access.is_staff_of(&booking) {
        receipt = receipt.with_notes(ledger.as_ref());
    }
    if wait.is_some() && is_payment_unconfirmed(&booking) {
        receipt.notice = Some(receipt.phrases.unconfirmed);
    }
    let page = ReceiptPage { style: STYLE, receipt };
    html_page::answer(StatusCode::OK, &page, (STYLE, page.receipt.phrases.language.tag())).map(HtmlPage)
}

/// Whether beds are held for a payment of which nothing is known yet.
fn is_payment_unconfirmed(booking: &Booking) -> bool {
    booking.status == Status::Held && booking.payable() > 0 && booking.payment_status() != PaymentStatus::Processing
}

#[cfg(test)]
mod tests {
    use super::{ReceiptPage, STYLE};
    use crate::resources::bookings::receipt_view::{Phrases, Receipt, ReceiptRow};
    use askama::Template as _;

    #[test]
    fn guest_text_is_escaped() {
        let receipt = Receipt {
            phrases: Phrases::choose(Some("fr"), &[]),
            hostel: "PVT <Montréal>",
            address: "1 rue de la Commune",
            reference: "PVT-0000000000",
            guest: "Ada <script>alert(1)</script>".to_owned(),
            notice: None,
            stays: vec!["A & B".to_owned()],
            prices: Vec::new(),
            total: ReceiptRow { label: "Total".to_owned(), amount: "1.00 CAD".to_owned() },
            fee: None,
            free_until: None,
            payments: Vec::new(),
            balance: "0.00 CAD".to_owned(),
        };
        let html = ReceiptPage { style: STYLE, receipt }.render().unwrap();
        assert!(html.contains("lang=\"fr\"") && html.contains("Reçu") && html.contains("@media print"));
        for foreign in ["<script", "src=", "<link", "@import", "url("] {
            assert!(!html.contains(foreign), "the page holds {foreign}");
        }
    }
}
