//! Inbox of the analytics queue: every event.

use super::{BookingEvent, InventoryChanged, NotificationEvent, PaymentEvent};
use crate::wire::{inbox, queues};

inbox! {
    /// Inbox of the `analytics` queue.
    pub enum AnalyticsEvent on queues::ANALYTICS {
        commands {}
        events {
            /// A booking changed.
            Booking(Box<BookingEvent>);
            /// A mail was sent or permanently refused.
            Notification(NotificationEvent);
            /// The inventory, rates or blocks of a property changed.
            Inventory(Box<InventoryChanged>);
            /// A payment changed.
            Payment(Box<PaymentEvent>);
        }
    }
}
