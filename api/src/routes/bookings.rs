//! Bookings: asked for, looked at, cancelled.

pub(super) mod cancel;
pub(super) mod create;
pub(super) mod show;
mod visitor;

use axum::http::HeaderValue;

/// The revision as an entity tag.
fn etag(rev: u32) -> HeaderValue {
    HeaderValue::try_from(format!("\"{rev}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}
