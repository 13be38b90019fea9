//! Lists, which Stripe returns newest first and at most 100 items a page.

use crate::client::StripeClient;
use crate::error::StripeError;
use pvt_domain::stripe::{BalanceTransaction, Dispute, Refund};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use stripe_client_core::StripeRequest;
use stripe_core::balance_transaction::ListBalanceTransaction;
use stripe_core::dispute::ListDispute;
use stripe_core::event::ListEvent;
use stripe_core::refund::ListRefund;
use stripe_types::{RangeBoundsTs, RangeQueryTs};

/// Largest page that Stripe returns.
const MAX_PAGE: i64 = 100;
/// Largest number of pages of one payment's refunds or disputes: no real payment has a thousand.
const MAX_PAGES: u32 = 10;

/// A page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// Newest first.
    pub items: Vec<T>,
    /// The cursor of the next page; `None` on the last.
    pub next: Option<String>,
}

/// Filter of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventQuery {
    /// Created then or later, in Unix seconds.
    pub created_from: i64,
    /// Created before then.
    pub created_until: Option<i64>,
    /// [`Page::next`] of the page before.
    pub starting_after: Option<String>,
    /// Page size, 1 to 100; other values are clamped.
    pub limit: u32,
}

/// Filter of balance transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionQuery {
    /// Created then or later, in Unix seconds.
    pub created_from: i64,
    /// Created before then.
    pub created_until: Option<i64>,
    /// [`Page::next`] of the page before.
    pub starting_after: Option<String>,
}

/// A list as Stripe sends it.
#[derive(Deserialize)]
struct Wire {
    data: Vec<Value>,
    has_more: bool,
}

impl StripeClient {
    /// Every refund of a payment.
    ///
    /// # Errors
    /// [`StripeError`]; [`StripeError::Unreadable`] also when there are more than a thousand.
    pub async fn refunds_of(&self, payment_intent: &str) -> Result<Vec<Refund>, StripeError> {
        let first = ListRefund::new().payment_intent(payment_intent).limit(MAX_PAGE);
        self.all_of("refunds_of", payment_intent, first, |list, after| list.starting_after(after)).await
    }

    /// Every dispute of a payment.
    ///
    /// # Errors
    /// [`StripeError`]; [`StripeError::Unreadable`] also when there are more than a thousand.
    pub async fn disputes_of(&self, payment_intent: &str) -> Result<Vec<Dispute>, StripeError> {
        let first = ListDispute::new().payment_intent(payment_intent).limit(MAX_PAGE);
        self.all_of("disputes_of", payment_intent, first, |list, after| list.starting_after(after)).await
    }

    /// Events as Stripe wrote them. It keeps them for 30 days.
    ///
    /// # Errors
    /// [`StripeError`].
    pub async fn events(&self, query: &EventQuery) -> Result<Page<Value>, StripeError> {
        let mut list = ListEvent::new()
            .created(created(query.created_from, query.created_until))
            .limit(i64::from(query.limit).clamp(1, MAX_PAGE));
        if let Some(after) = &query.starting_after {
            list = list.starting_after(after);
        }
        self.page("events", &list).await
    }

    /// Balance transactions: Stripe's own ledger.
    ///
    /// # Errors
    /// [`StripeError`].
    pub async fn balance_transactions(
        &self,
        query: &TransactionQuery,
    ) -> Result<Page<BalanceTransaction>, StripeError> {
        let mut list =
            ListBalanceTransaction::new().created(created(query.created_from, query.created_until)).limit(MAX_PAGE);
        if let Some(after) = &query.starting_after {
            list = list.starting_after(after);
        }
        self.page("balance_transactions", &list).await
    }

    async fn all_of<T: DeserializeOwned, L: StripeRequest + Clone>(
        &self,
        operation: &'static str,
        payment_intent: &str,
        first: L,
        after: impl Fn(L, String) -> L,
    ) -> Result<Vec<T>, StripeError> {
        let (mut all, mut list) = (Vec::new(), first.clone());
        for _ in 0..MAX_PAGES {
            let page: Page<T> = self.page(operation, &list).await?;
            all.extend(page.items);
            let Some(next) = page.next else { return Ok(all) };
            list = after(first.clone(), next);
        }
        Err(StripeError::Unreadable(format!("more than {MAX_PAGES} pages of {operation} {payment_intent}")))
    }

    async fn page<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        list: &impl StripeRequest,
    ) -> Result<Page<T>, StripeError> {
        let wire: Wire = self.send(operation, list, None).await?;
        Page::read(wire).map_err(|reason| StripeError::Unreadable(format!("{operation}: {reason}")))
    }
}

impl<T: DeserializeOwned> Page<T> {
    fn read(wire: Wire) -> Result<Self, &'static str> {
        let last = wire.data.last().and_then(|last| last["id"].as_str()).map(str::to_owned);
        let next = match (wire.has_more, last) {
            (false, _) => None,
            (true, Some(last)) => Some(last),
            (true, None) => return Err("the page has more items but no id to continue from"),
        };
        let items = wire.data.into_iter().map(serde_json::from_value).collect::<Result<_, _>>();
        items.map(|items| Self { items, next }).map_err(|_| "an object is not of its documented shape")
    }
}

fn created(from: i64, until: Option<i64>) -> RangeQueryTs {
    RangeQueryTs::Bounds(RangeBoundsTs { gte: Some(from), lt: until, ..RangeBoundsTs::default() })
}
