//! Rates: what a rate plan charges, restricts and refunds by date.

pub mod calendar;
pub mod cancellation;
pub mod quote;
pub mod restrictions;

pub use crate::values::rate_plan::{DEFAULT_DEPOSIT_PPM, Deposit};
pub use calendar::{DateSet, RateCalendar, Rates};
