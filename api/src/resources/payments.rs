//! Money: what Stripe tells, sending guests to pay, giving back, what staff take, and what it all comes to.
//!
//! Nothing here talks to Stripe or writes a ledger: commands go to a worker, and answers are what is stored then.

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
