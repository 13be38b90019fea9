//! Payment analytics of a property, by day.

use crate::auth::policy::Caller;
use crate::form::query::QueryFields;
use crate::http::extract::{OfProperty, QueryParams};
use crate::http::problem::{self, Problem};
use crate::http::response::Shown;
use crate::resources::payments::analytics_view::{AnalyticsView, Days};
use crate::resources::properties::responses::known;
use crate::state::SharedApp;
use crate::store_call;
use axum::extract::State;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use pvt_domain::inventory::Property;
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::ledgers::LedgerFilter;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::HashSet;
use std::ops::Range;

/// Most days of one request.
const MAX_DAYS: i64 = 366;
/// Ledgers per read, and reads per request.
const BATCH: i64 = 1_000;
const MAX_READS: usize = 30;
/// Clocks may differ by so much: an entry of a day is in a ledger that changed since the day before.
const MARGIN: TimeDelta = TimeDelta::days(1);

#[derive(Deserialize, JsonSchema)]
pub(super) struct AnalyticsQuery {
    /// First day.
    #[schemars(with = "NaiveDate")]
    from: Option<String>,
    /// The first day that is not included, at most 366 days later.
    #[schemars(with = "NaiveDate")]
    until: Option<String>,
}

/// `GET /api/payments/analytics?property_id=…&from=…&until=…`; `until` is exclusive.
pub(super) async fn analytics(
    State(app): State<SharedApp>,
    OfProperty(property): OfProperty,
    QueryParams(query): QueryParams<AnalyticsQuery>,
    caller: Caller,
) -> Result<Shown<AnalyticsView>, Problem> {
    let dates = dates(&query)?;
    caller.staff_of(&property)?;
    let inventory = known(&app, &property).await?;
    let days = read(&app, &inventory.property, &dates).await?;
    Ok(Shown::new(&days.view(&inventory.property, dates)))
}

fn dates(query: &AnalyticsQuery) -> Result<Range<NaiveDate>, Problem> {
    let mut fields = QueryFields::default();
    let (from, until) = (fields.date("from", query.from.as_deref()), fields.date("until", query.until.as_deref()));
    let range = from.zip(until).map(|(from, until)| from..until);
    if range.as_ref().is_some_and(|range| !(1..=MAX_DAYS).contains(&(range.end - range.start).num_days())) {
        fields.violation(format!("`until` takes a date 1 to {MAX_DAYS} days after `from`"));
    }
    fields.finish(range)
}

/// Reads all ledgers that changed since the first day, oldest change first: one that changes in the
/// meantime is read before or after its change, and counted once.
async fn read(app: &SharedApp, property: &Property, dates: &Range<NaiveDate>) -> Result<Days, Problem> {
    let begin: DateTime<Utc> = dates.start.and_time(chrono::NaiveTime::MIN).and_utc();
    let mut filter = LedgerFilter {
        properties: Some(vec![property.id.clone()]),
        since: Some((begin - MARGIN).into()),
        oldest_first: true,
        ..LedgerFilter::default()
    };
    let (mut days, mut seen) = (Days::default(), HashSet::new());
    for _ in 0..MAX_READS {
        let (mongo, batch) = (app.mongo.clone(), filter.clone());
        let ledgers = store_call::read(async move { mongo.ledgers().list(&batch, BATCH).await }).await?;
        let is_last = i64::try_from(ledgers.len()).is_ok_and(|count| count < BATCH);
        let newest: Option<Timestamp> = ledgers.last().map(|ledger| ledger.updated_at);
        let mut is_new = false;
        // Ledgers at the edge of a batch are read twice.
        for ledger in ledgers.iter().filter(|ledger| seen.insert(ledger.booking_id)) {
            is_new = true;
            days.add(ledger, property, dates);
        }
        if is_last || !is_new {
            return Ok(days);
        }
        filter.since = newest;
    }
    Err(Problem::new(
        problem::INVALID_QUERY,
        "More payments changed since `from` than one request adds up. Choose later days.",
    ))
}
