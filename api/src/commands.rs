//! Commands to workers: idempotency of the requests that cause them, and waiting for their replies.

pub(crate) mod booking_watch;
pub(crate) mod idempotency;
pub(crate) mod idempotency_cache;
pub(crate) mod pending_replies;
pub(crate) mod reply_queue;
pub(crate) mod submit;
