//! List of payments: staff see those of their properties, other callers those of their own bookings.
//!
//! Payments are listed by ledger, the last changed first. A short page may still have a next one.

use super::show::booking_filter;
use crate::auth::policy::Caller;
use crate::http::extract::QueryParams;
use crate::http::pagination::{Page, PageQuery, Paged};
use crate::http::problem::{self, Problem};
use crate::resources::payments::view::{PaymentView, payments_of};
use crate::state::SharedApp;
use crate::store_call;
use axum::extract::State;
use axum::http::Uri;
use chrono::{DateTime, TimeDelta, Utc};
use pvt_domain::ids::{BookingId, PropertyId};
use pvt_domain::ledger::Ledger;
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::bookings::{BookingFilter, BookingScope};
use pvt_stores::mongo::ledgers::LedgerFilter;
use schemars::JsonSchema;
use serde::Deserialize;
use std::cmp::Reverse;
use uuid::Uuid;

/// Most bookings of a caller whose payments are listed: the newest.
const MAX_OWN_BOOKINGS: i64 = 500;
/// Ledgers read beyond those of the page, for those that changed in the same millisecond as the last one of the
/// previous page.
const OVERREAD: i64 = 50;
/// Between the parts of a cursor.
const SEPARATOR: char = '|';

#[derive(Deserialize, JsonSchema)]
pub(super) struct ListQuery {
    /// Only of this property.
    property_id: Option<String>,
    /// Only of this booking.
    #[schemars(with = "Option<Uuid>")]
    booking_id: Option<String>,
    /// `true`: only of bookings with findings that need staff.
    attention: Option<bool>,
}

/// The end of a page: so many payments of this ledger were shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    at: Timestamp,
    booking: BookingId,
    shown: usize,
}

/// `GET /api/payments`, filtered by `property_id`, `booking_id`, `attention`.
pub(super) async fn list(
    State(app): State<SharedApp>,
    uri: Uri,
    caller: Caller,
    page: PageQuery,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Paged<PaymentView>, Problem> {
    let after = page.after.as_deref().map(parse_cursor).transpose()?;
    let filter = filter(&app, &caller, query, after).await?;
    let limit = page.fetch_limit() + OVERREAD;
    let mongo = app.mongo.clone();
    let ledgers = store_call::read(async move { mongo.ledgers().list(&filter, limit).await }).await?;
    let may_be_more = i64::try_from(ledgers.len()).is_ok_and(|count| count >= limit);
    let (payments, next) = page_of(ledgers, after, page.limit(), may_be_more, Utc::now().into());
    let next = next.map(|next| format!("{}{SEPARATOR}{}{SEPARATOR}{}", next.at, next.booking, next.shown));
    Page::with_cursor(shown_to_caller(&caller, payments), next).respond_at(&uri, &page, |view| view)
}

async fn filter(
    app: &SharedApp,
    caller: &Caller,
    query: ListQuery,
    after: Option<Position>,
) -> Result<LedgerFilter, Problem> {
    let booking = booking_filter(query.booking_id)?;
    let properties: Vec<PropertyId> =
        app.inventory_cache.all().keys().filter(|property| caller.is_staff_of(property)).cloned().collect();
    let requested: Option<PropertyId> = query.property_id.map(PropertyId::new);
    // The store returns what changed at this instant or before; what is not after the position is skipped later.
    let until = after.map(|after| (after.at.as_datetime() + TimeDelta::milliseconds(1)).into());
    let attention = query.attention.unwrap_or_default();
    let filter = LedgerFilter { bookings: booking.map(|id| vec![id]), attention, until, ..LedgerFilter::default() };
    if !properties.is_empty() {
        return match requested {
            Some(requested) if properties.contains(&requested) => {
                Ok(LedgerFilter { properties: Some(vec![requested]), ..filter })
            }
            Some(_) => Err(problem::NOT_FOUND.into()),
            None => Ok(LedgerFilter { properties: Some(properties), ..filter }),
        };
    }
    let client = caller.client().ok_or_else(|| Problem::from(problem::UNAUTHENTICATED))?;
    let own = own_bookings(app, client, booking).await?;
    Ok(LedgerFilter { properties: requested.map(|requested| vec![requested]), bookings: Some(own), ..filter })
}

async fn own_bookings(app: &SharedApp, client: &str, only: Option<BookingId>) -> Result<Vec<BookingId>, Problem> {
    let filter = BookingFilter {
        scope: BookingScope::Client(client.to_owned()),
        property_id: None,
        status: None,
        arrival_from: None,
        arrival_until: None,
        email: None,
        ids: only.map(|id| (id, id)),
    };
    let mongo = app.mongo.clone();
    let found = store_call::read(async move { mongo.bookings().list(&filter, None, MAX_OWN_BOOKINGS).await }).await?;
    Ok(found.into_iter().map(|booking| booking.id).collect())
}

/// Payments as lists show them to this caller.
fn shown_to_caller(caller: &Caller, payments: Vec<PaymentView>) -> Vec<PaymentView> {
    payments.into_iter().map(|payment| payment.without_checkout_url().visible_to(caller)).collect()
}

/// The payments of one page, and where it ended if there may be more.
fn page_of(
    mut ledgers: Vec<Ledger>,
    after: Option<Position>,
    limit: usize,
    may_be_more: bool,
    now: Timestamp,
) -> (Vec<PaymentView>, Option<Position>) {
    ledgers.sort_by_key(|ledger| Reverse((ledger.updated_at, ledger.booking_id)));
    let mut items = Vec::new();
    let mut last = None;
    for ledger in ledgers {
        let place = (ledger.updated_at, ledger.booking_id);
        let shown = match after {
            Some(after) if place > (after.at, after.booking) => continue,
            Some(after) if place == (after.at, after.booking) => after.shown,
            _ => 0,
        };
        let payments = payments_of(&ledger, now);
        let room = limit - items.len();
        let left = payments.len().saturating_sub(shown);
        if left > room {
            items.extend(payments.into_iter().skip(shown).take(room));
            return (items, Some(Position { at: place.0, booking: place.1, shown: shown + room }));
        }
        last = Some(Position { at: place.0, booking: place.1, shown: payments.len() });
        items.extend(payments.into_iter().skip(shown));
    }
    (items, last.filter(|_| may_be_more))
}

fn parse_cursor(cursor: &str) -> Result<Position, Problem> {
    let read = || {
        let mut parts = cursor.split(SEPARATOR);
        let at = DateTime::parse_from_rfc3339(parts.next()?).ok()?.to_utc().into();
        let position = Position { at, booking: parts.next()?.parse().ok()?, shown: parts.next()?.parse().ok()? };
        parts.next().is_none().then_some(position)
    };
    read()
        .ok_or_else(|| Problem::new(problem::INVALID_QUERY, "`cursor` takes what an earlier page gave as next_cursor."))
}

#[cfg(test)]
mod tests {
    use super::{Position, page_of, parse_cursor, shown_to_caller};
    use crate::auth::policy::Caller;
    use crate::resources::payments::fixtures::{at, paid};
    use crate::resources::payments::view::payments_of;
    use chrono::{DateTime, TimeDelta};
    use pvt_domain::ids::BookingId;
    use pvt_domain::ledger::{Ledger, PaymentChannel};
    use pvt_domain::money::Currency;
    use pvt_domain::timestamp::Timestamp;
    use uuid::Uuid;

    fn ledger(number: u128, updated_secs: i64, payments: u128) -> Ledger {
        let at: Timestamp = (DateTime::UNIX_EPOCH + TimeDelta::seconds(updated_secs)).into();
        let mut ledger =
            Ledger::new(BookingId::from_uuid(Uuid::from_u128(number)), "pvt-montreal".into(), Currency::CAD, at);
        for payment in 0..payments {
            ledger.open(Uuid::from_u128(number * 100 + payment), PaymentChannel::Checkout, 1_000, at);
        }
        ledger
    }

    #[test]
    fn every_payment_appears_once_for_any_page_size() {
        let all = || vec![ledger(1, 30, 2), ledger(2, 20, 3), ledger(3, 20, 0), ledger(4, 20, 1), ledger(5, 10, 2)];
        let ids =
            |payments: &[super::PaymentView]| payments.iter().map(|payment| payment.id.clone()).collect::<Vec<_>>();
        let (whole, end) = page_of(all(), None, 50, false, DateTime::UNIX_EPOCH.into());
        assert_eq!((whole.len(), end), (8, None));
        for limit in 1..=8 {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let (page, next) = page_of(all(), after, limit, false, DateTime::UNIX_EPOCH.into());
                assert!(page.len() <= limit);
                seen.extend(ids(&page));
                match next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            assert_eq!(seen, ids(&whole), "pages of {limit}");
        }
    }

    #[test]
    fn empty_page_has_a_next_cursor() {
        let (page, next) = page_of(vec![ledger(1, 30, 0)], None, 50, true, DateTime::UNIX_EPOCH.into());
        assert!(page.is_empty());
        let booking = BookingId::from_uuid(Uuid::from_u128(1));
        assert_eq!(
            next,
            Some(Position { at: (DateTime::UNIX_EPOCH + TimeDelta::seconds(30)).into(), booking, shown: 0 })
        );
    }

    #[test]
    fn malformed_cursors_are_refused() {
        assert!(parse_cursor("2026-12-01T12:00:00.000Z|11111111-2222-5333-8444-555555555555|2").is_ok());
        for bad in [
            "",
            "||",
            "2026-12-01T12:00:00.000Z|1|0",
            "2026-12-01T12:00:00.000Z|11111111-2222-5333-8444-555555555555|-1",
        ] {
            assert!(parse_cursor(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn listed_payments_hide_staff_fields_from_guests() {
        let listed = shown_to_caller(&Caller::Anonymous, payments_of(&paid(), at("2027-01-15T08:10:00Z")));
        let listed = serde_json::to_value(&listed[0]).unwrap();
        assert_eq!((listed.get("fee"), listed.get("attention"), listed.get("checkout_url")), (None, None, None));
    }
}
