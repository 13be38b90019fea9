//! Catalog of messages: every wire name with its class, queues, description and example.
//!
//! Composed from the declarations; the description of the queues, the bindings and the tests derive from it.

pub use crate::wire::{CatalogEntry, MessageClass};

use crate::commands::{BookingCommand, EmailCommand, PaymentCommand, ReconcileCommand, RecordCommand, StripeCommand};
use crate::events::{AnalyticsEvent, BookingEvent, InventoryChanged, NotificationEvent, PaymentEvent};
use crate::replies::{PaymentReply, Reply};

const FAMILIES: &[&[CatalogEntry]] = &[
    BookingCommand::ENTRIES,
    PaymentCommand::ENTRIES,
    StripeCommand::ENTRIES,
    RecordCommand::ENTRIES,
    EmailCommand::ENTRIES,
    ReconcileCommand::ENTRIES,
    AnalyticsEvent::ENTRIES,
    BookingEvent::ENTRIES,
    PaymentEvent::ENTRIES,
    InventoryChanged::ENTRIES,
    NotificationEvent::ENTRIES,
    Reply::ENTRIES,
    PaymentReply::ENTRIES,
];

/// Every message, in the order of declaration.
pub fn entries() -> impl Iterator<Item = &'static CatalogEntry> {
    FAMILIES.iter().copied().flatten()
}

/// The message of this wire name.
pub fn entry(kind: &str) -> Option<&'static CatalogEntry> {
    entries().find(|entry| entry.kind == kind)
}
