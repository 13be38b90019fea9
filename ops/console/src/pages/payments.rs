//! Payments that need the attention of staff.

use crate::access::SignedIn;
use crate::app::SharedApp;
use crate::failure::{Failure, page};
use crate::frame::Frame;
use crate::pages::shown;
use crate::store;
use askama::Template;
use axum::extract::State;
use axum::response::Html;
use pvt_domain::ledger::{Attention, Ledger};
use pvt_stores::mongo::ledgers::LedgerFilter;

/// Ledgers on the page: those that changed last.
pub(crate) const MAX_LEDGERS: i64 = 200;

#[derive(Template)]
#[template(path = "payments.html")]
struct PaymentsPage {
    frame: Frame,
    rows: Vec<AttentionRow>,
}

/// One reason for attention.
struct AttentionRow {
    booking_id: String,
    reference: String,
    property: String,
    what: &'static str,
    advice: &'static str,
    subject: String,
    amount: String,
    changed_at: String,
}

/// `GET /payments`.
pub(crate) async fn show(State(app): State<SharedApp>, user: SignedIn) -> Result<Html<String>, Failure> {
    let properties = user.properties(&app).await?;
    let filter = LedgerFilter { properties: Some(properties), attention: true, ..LedgerFilter::default() };
    let mongo = app.mongo.clone();
    let ledgers = store::read(&app, async move { mongo.ledgers().list(&filter, MAX_LEDGERS).await }).await?;
    let rows = ledgers.iter().flat_map(rows).collect();
    page(&PaymentsPage { frame: Frame::new(&user, "Payments that need attention", "/payments"), rows })
}

fn rows(ledger: &Ledger) -> Vec<AttentionRow> {
    // What is to be returned by hand is about an amount, which has a column of its own.
    let subject = |subject: String| if subject.parse::<i64>().is_ok() { "–".to_owned() } else { subject };
    let row = |item: pvt_domain::ledger::AttentionItem| AttentionRow {
        booking_id: ledger.booking_id.to_string(),
        reference: ledger.booking_id.reference(),
        property: ledger.property_id.to_string(),
        what: item.kind.as_str(),
        advice: advice(item.kind),
        subject: subject(item.subject),
        amount: item.amount.map_or_else(|| "–".to_owned(), |amount| amount.to_string()),
        changed_at: shown(ledger.updated_at),
    };
    ledger.attention_items().into_iter().map(row).collect()
}

fn advice(kind: Attention) -> &'static str {
    match kind {
        Attention::AmountMismatch => "The amount paid is not the amount due: refund it, or record what it was for.",
        Attention::CurrencyMismatch => "It was paid in another currency: refund it.",
        Attention::RefundFailed => "Refund the guest in another way, and record it.",
        Attention::DisputeOpen => "Answer the dispute in Stripe’s dashboard before it closes.",
        Attention::DisputeLost => "The bank has taken the money back.",
        Attention::RefundManual => "Pay the guest what Stripe cannot refund, and record it.",
        Attention::RefundPending => "Stripe has not made the refund for more than an hour.",
    }
}
