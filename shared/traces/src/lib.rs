//! Spans of requests, messages and their effects, and the W3C trace context that connects them.
//!
//! Which spans there are, and what they are called, is decided here alone. Until a process [starts](start) recording,
//! every constructor looks at one static value and allocates nothing. Attributes are ids, names, sizes and classes of
//! errors: a span must never hold a guest's data, a path with a booking's token, or the text of an error.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod messages;
pub mod names;
mod operations;
mod span;
pub mod trace_context;

pub use messages::{ReceivedMessage, SentMessage};
pub use operations::Store;
pub use span::{Span, in_current, is_recording, kept, start};
pub use trace_context::TraceParent;
