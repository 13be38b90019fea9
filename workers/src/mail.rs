//! Mail: the decision to write, the content, the finished message, and its delivery to a server.
//!
//! Everything but [`smtp`] is pure: the caller passes `now`, the stored booking and its property. Nothing here reads a
//! store, and nothing here may put an address or a guest's name into a log, a metric or an error.

pub mod account;
mod change;
mod compose;
mod content;
pub mod decide;
mod error;
pub mod identity;
mod kinds;
mod language;
mod links;
mod message;
pub mod other_mails;
mod parts;
pub mod smtp;
mod text;

pub use compose::{BookingMailParts, MailContext, compose};
pub use error::MailError;
pub use links::Links;
pub use message::{OutgoingMail, Sender};

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod layout;
