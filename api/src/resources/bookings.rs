//! Bookings: requests, changes, cancellations, and everything the front desk does with them.

pub(crate) mod calendar;
pub(crate) mod cancel;
pub(crate) mod command_forms;
pub(crate) mod create;
pub(crate) mod events;
pub(crate) mod form;
pub(crate) mod history;
pub(crate) mod list;
pub(crate) mod modify;
pub(crate) mod modify_form;
pub(crate) mod pay;
pub(crate) mod receipt;
pub(crate) mod receipt_view;
pub(crate) mod refusal;
pub(crate) mod show;
pub(crate) mod staff_actions;
mod submit;
pub(crate) mod view;

use axum::http::HeaderValue;

/// The revision as an entity tag.
fn etag(rev: u32) -> HeaderValue {
    HeaderValue::try_from(format!("\"{rev}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}
