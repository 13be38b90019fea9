//! Value types without rules of their own: what is booked, sold and charged.
//!
//! They stand below every rule, so that pricing, inventory, rates and bookings can share them without importing each
//! other. They must never import a rule. Outside this crate they are reached by topic: `booking::Stay`,
//! `pricing::Price`, `inventory::Property`.

pub(crate) mod field_error;
pub(crate) mod guest;
pub(crate) mod names;
pub(crate) mod notification;
pub(crate) mod place_guest;
mod places;
pub(crate) mod policy;
pub(crate) mod price;
pub(crate) mod property;
pub(crate) mod queue_hop;
pub(crate) mod rate_plan;
pub(crate) mod refusal;
pub(crate) mod restriction;
pub(crate) mod room;
pub(crate) mod stay;
pub(crate) mod tax;
