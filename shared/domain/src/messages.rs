//! Messages between the API and the workers: commands, replies, inboxes, and their catalog. Events are in
//! [`crate::events`].

pub mod catalog;

pub use crate::commands::*;
pub use crate::events::AnalyticsEvent;
pub use crate::replies::*;
pub use crate::values::refusal::{RefusalCause, RefusalCode, RefusalDetail, Shortage};
pub use crate::wire::{
    CatalogEntry, DecodeError, Decoded, Inbox, MAX_BODY_BYTES, MessageClass, MessageType, decode_body, queues,
};
