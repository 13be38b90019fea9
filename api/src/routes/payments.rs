//! Money: what Stripe tells, sending guests to pay, giving back, what staff take, and what it all comes to.
//!
//! Nothing here talks to Stripe or writes a ledger: commands go to a worker, and answers are what is stored then.

pub(super) mod analytics;
pub(super) mod checkout;
pub(super) mod disputes;
pub(super) mod list;
pub(super) mod record;
pub(super) mod refund;
pub(super) mod show;
pub(super) mod submit;
pub(super) mod webhook;
