//! List of disputes, for administrators.

use crate::http::problem::Problem;
use crate::http::response::Shown;
use crate::resources::payments::disputes_view::{DisputeView, disputes_of, sort_open_first};
use crate::state::SharedApp;
use crate::store_call;
use axum::extract::State;
use pvt_domain::ids::BookingId;
use pvt_stores::mongo::ledgers::LedgerFilter;
use schemars::JsonSchema;
use serde::Serialize;

/// Most ledgers whose disputes are listed: those that changed last. Stripe closes accounts with nearly as many.
const MAX_LEDGERS: i64 = 500;

/// All disputes.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct DisputesView {
    items: Vec<DisputeView>,
}

/// `GET /api/disputes`: open ones first, then the newest.
pub(super) async fn list(State(app): State<SharedApp>) -> Result<Shown<DisputesView>, Problem> {
    let mongo = app.mongo.clone();
    let filter = LedgerFilter { disputed: true, ..LedgerFilter::default() };
    let ledgers = store_call::read(async move { mongo.ledgers().list(&filter, MAX_LEDGERS).await }).await?;
    let (mongo, ids) = (app.mongo.clone(), ledgers.iter().map(|ledger| ledger.booking_id).collect::<Vec<BookingId>>());
    let bookings = store_call::read(async move { mongo.bookings().find_by_ids(ids).await }).await?;
    let mut items: Vec<DisputeView> =
        ledgers.iter().flat_map(|ledger| disputes_of(ledger, bookings.get(&ledger.booking_id))).collect();
    sort_open_first(&mut items);
    Ok(Shown::new(&DisputesView { items }))
}
