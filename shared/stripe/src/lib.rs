//! Everything that we ask of Stripe, behind one small client.
//!
//! A call either has the answer that Stripe documents, or a [`StripeError`] that says what to do about it. Whatever
//! creates something carries an idempotency key, so that asking again never does it twice. The client decides nothing
//! about bookings, keeps nothing, and never shows its key; pausing while Stripe is down is its caller's.

mod answer;
mod calls;
mod client;
mod error;
mod form;
mod lists;
mod locale;
mod redact;
mod requests;
mod retry;
mod signals;

pub use calls::{Cancellation, Expiry};
pub use client::{StripeClient, StripeConfig};
pub use error::StripeError;
pub use lists::{EventQuery, Page, TransactionQuery};
pub use requests::{NewIntent, NewRefund, NewSession};
