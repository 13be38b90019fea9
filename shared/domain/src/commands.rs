//! Commands: requests to change bookings, payments and mails, each in the queue of the one worker that executes it.
//!
//! A command is declared once, in the inbox of its queue: see [`crate::wire`]. To add one, write its type, its line in
//! the inbox and its example in `messages/`.

mod bookings;
mod mails;
mod payments;
mod reconciliation;
mod size;

pub use bookings::*;
pub use mails::*;
pub use payments::*;
pub use reconciliation::*;
