//! Payments: checkout, refunds, recorded payments, disputes, analytics, and Stripe's webhook.
//!
//! Nothing here calls Stripe or writes a ledger: commands go to a worker, and answers show what is stored afterwards.

pub(crate) mod analytics;
pub(crate) mod analytics_view;
pub(crate) mod checkout;
pub(crate) mod disputes;
pub(crate) mod disputes_view;
pub(crate) mod list;
pub(crate) mod record;
pub(crate) mod refund;
pub(crate) mod return_urls;
pub(crate) mod show;
pub(crate) mod submit;
pub(crate) mod view;
pub(crate) mod webhook;
pub(crate) mod webhook_signature;

#[cfg(test)]
pub(crate) mod fixtures;
