//! Mail: whether to write, what to say, how to write it down, and how to hand it to a server.
//!
//! Everything but [`smtp`] is pure: the caller passes `now`, the stored booking and its property. Nothing here reads a
//! store, and nothing here may put an address or a guest's name into a log, a metric or an error.

pub mod account;
pub mod calendar;
pub mod compose;
mod content;
pub mod decide;
mod error;
pub mod identity;
mod language;
mod links;
mod local_time;
pub mod smtp;

pub use compose::{MailContext, OutgoingMail, Sender, compose};
pub use error::MailError;
pub use language::Language;
pub use links::Links;

#[cfg(test)]
pub(crate) mod fixtures;
