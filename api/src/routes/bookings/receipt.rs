//! The receipt of a booking: a page to print.

use super::visitor::Visitor;
use crate::app::SharedApp;
use crate::html_page;
use crate::payments::receipt::Receipt;
use crate::problem::{self, Answer, Problem};
use crate::routes::parts::known;
use crate::routes::payments::ask;
use askama::Template;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;

/// Of pages that guests are led to.
pub(super) const STYLE: &str = include_str!("../../../templates/receipt.css");

#[derive(Template)]
#[template(path = "receipt.html")]
struct ReceiptPage<'a> {
    style: &'static str,
    receipt: Receipt<'a>,
}

/// `GET /api/bookings/{id}/receipt`; 404 for a booking that has no price.
pub(in crate::routes) async fn receipt(State(app): State<SharedApp>, Path(id): Path<String>, request: Request) -> Answer {
    let (parts, _) = request.into_parts();
    let booking = Visitor::of(&app, &id, &parts)?.decided_booking(&app).await?;
    let price = booking.price.as_ref().ok_or_else(|| Problem::from(problem::NOT_FOUND))?;
    let house = known(&app, &booking.property_id).await?;
    let ledger = ask::ledger(&app, booking.id).await?;
    let page = ReceiptPage { style: STYLE, receipt: Receipt::new(&booking, price, &house, ledger.as_ref()) };
    html_page::answer(StatusCode::OK, &page, (STYLE, page.receipt.words.tag))
}

#[cfg(test)]
mod tests {
    use super::{ReceiptPage, STYLE};
    use crate::payments::receipt::{Receipt, Words};
    use askama::Template as _;

    #[test]
    fn what_guests_write_is_shown_and_never_obeyed() {
        let receipt = Receipt {
            words: Words::choose(Some("fr"), &[]),
            hostel: "PVT <Montréal>",
            address: "1 rue de la Commune",
            reference: "PVT-0000000000",
            guest: "Ada <script>alert(1)</script>".to_owned(),
            stays: vec!["A & B".to_owned()],
            prices: Vec::new(),
            total: "1.00 CAD".to_owned(),
            cancellation_fee: None,
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
