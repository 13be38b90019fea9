//! Client of Stripe's API.
//!
//! Requests are built by async-stripe's typed builders and sent by a transport of our own (decision 41). A call returns
//! the object that Stripe documents or a [`StripeError`] that says how to handle the failure. Every request that
//! creates something carries an idempotency key, so that a retry never creates it twice. The client decides nothing
//! about bookings, stores nothing and never shows its key.
//! While an operation of Stripe fails for all, its calls fail at once; other operations go on.

mod answer;
mod calls;
mod circuits;
mod client;
mod error;
mod lists;
mod locale;
mod metrics;
mod redact;
mod requests;
mod retry;

pub use calls::{Cancellation, Expiry};
pub use client::{StripeClient, StripeConfig};
pub use error::StripeError;
pub use lists::{EventQuery, Page, TransactionQuery};
pub use requests::{NewIntent, NewRefund, NewSession};
