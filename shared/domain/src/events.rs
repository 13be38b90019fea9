//! Events: facts about bookings, payments, inventory and mails. They carry state without personal data.
//!
//! An event is declared once, in its family: see [`crate::wire`]. To add one, write its line in the family and its
//! example in `messages/`.

mod analytics;
mod bookings;
mod inventory;
mod notifications;
mod payments;

pub use analytics::*;
pub use bookings::*;
pub use inventory::*;
pub use notifications::*;
pub use payments::*;
