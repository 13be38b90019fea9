//! Lists: Stripe gives them newest first and at most 100 at a time.

use crate::client::StripeClient;
use crate::error::StripeError;
use crate::form::Form;
use pvt_domain::stripe::{BalanceTransaction, Dispute, Refund};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Most that Stripe gives at once.
const MAX_PAGE: u32 = 100;
/// Most pages of what belongs to one payment: nobody is refunded or disputes a payment so often.
const MAX_PAGES: u32 = 10;

/// A part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// Newest first.
    pub items: Vec<T>,
    /// What the next page starts after; `None` when this is the last.
    pub next: Option<String>,
}

/// Which events to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventQuery {
    /// Made then or later, in Unix seconds.
    pub created_from: i64,
    /// Made before then.
    pub created_until: Option<i64>,
    /// [`Page::next`] of the page before.
    pub starting_after: Option<String>,
    /// How many at most, 1 to 100; what is outside is taken for the nearest.
    pub limit: u32,
}

/// Which lines of Stripe's own ledger to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionQuery {
    /// Made then or later, in Unix seconds.
    pub created_from: i64,
    /// Made before then.
    pub created_until: Option<i64>,
    /// [`Page::next`] of the page before.
    pub starting_after: Option<String>,
}

/// A list as Stripe writes it.
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
        self.all_of("refunds_of", "refunds", payment_intent).await
    }

    /// Every dispute of a payment.
    ///
    /// # Errors
    /// [`StripeError`]; [`StripeError::Unreadable`] also when there are more than a thousand.
    pub async fn disputes_of(&self, payment_intent: &str) -> Result<Vec<Dispute>, StripeError> {
        self.all_of("disputes_of", "disputes", payment_intent).await
    }

    /// Events as Stripe wrote them. It keeps them for 30 days.
    ///
    /// # Errors
    /// [`StripeError`].
    pub async fn events(&self, query: &EventQuery) -> Result<Page<Value>, StripeError> {
        let form = created(query.created_from, query.created_until);
        self.page("events", "events", form, query.limit.clamp(1, MAX_PAGE), query.starting_after.as_deref()).await
    }

    /// Lines of Stripe's own ledger.
    ///
    /// # Errors
    /// [`StripeError`].
    pub async fn balance_transactions(
        &self,
        query: &TransactionQuery,
    ) -> Result<Page<BalanceTransaction>, StripeError> {
        let form = created(query.created_from, query.created_until);
        self.page("balance_transactions", "balance_transactions", form, MAX_PAGE, query.starting_after.as_deref()).await
    }

    async fn all_of<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        list: &'static str,
        payment_intent: &str,
    ) -> Result<Vec<T>, StripeError> {
        let (mut all, mut after) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let form = Form::default().with("payment_intent", payment_intent);
            let page: Page<T> = self.page(operation, list, form, MAX_PAGE, after.as_deref()).await?;
            all.extend(page.items);
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
        Err(StripeError::Unreadable(format!("more than {MAX_PAGES} pages of {list} of {payment_intent}")))
    }

    async fn page<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        list: &'static str,
        form: Form,
        limit: u32,
        after: Option<&str>,
    ) -> Result<Page<T>, StripeError> {
        let form = form.with("limit", limit).with_some("starting_after", after);
        let wire: Wire = self.get(operation, &[list], &form).await?;
        Page::read(wire).map_err(|reason| StripeError::Unreadable(format!("{list}: {reason}")))
    }
}

impl<T: DeserializeOwned> Page<T> {
    fn read(wire: Wire) -> Result<Self, &'static str> {
        let last = wire.data.last().and_then(|last| last["id"].as_str()).map(str::to_owned);
        let next = match (wire.has_more, last) {
            (false, _) => None,
            (true, Some(last)) => Some(last),
            (true, None) => return Err("there is more, and nothing to go on from"),
        };
        let items = wire.data.into_iter().map(serde_json::from_value).collect::<Result<_, _>>();
        items.map(|items| Self { items, next }).map_err(|_| "an object is not of its documented shape")
    }
}

fn created(from: i64, until: Option<i64>) -> Form {
    Form::default().with("created[gte]", from).with_some("created[lt]", until)
}
