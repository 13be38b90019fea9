//! Resources of the API, one folder each: handlers, the views they answer with and the forms they take.

pub(crate) mod accounts;
pub(crate) mod audit;
pub(crate) mod availability;
pub(crate) mod bookings;
pub(crate) mod front_desk;
pub(crate) mod notifications;
pub(crate) mod payments;
pub(crate) mod properties;
pub(crate) mod quotes;
pub(crate) mod system;
pub(crate) mod warning;
