//! Bookings: asked for, looked at, changed, cancelled, and everything that happens at the desk.

pub(super) mod booking_access;
pub(super) mod calendar;
pub(super) mod cancel;
pub(super) mod create;
pub(super) mod events;
mod forms;
pub(super) mod history;
pub(super) mod list;
pub(super) mod modify;
mod modify_form;
pub(super) mod pay;
pub(super) mod receipt;
pub(super) mod refusal;
pub(super) mod show;
pub(super) mod staff_actions;
mod submit;

use axum::http::HeaderValue;

/// The revision as an entity tag.
fn etag(rev: u32) -> HeaderValue {
    HeaderValue::try_from(format!("\"{rev}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}
