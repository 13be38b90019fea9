//! What this machine can do at best, without the product: the figures that all others are compared with.
//!
//! Only the parts that nobody could leave out: a handler that publishes, a consumer that publishes, a transaction.

pub(super) mod intake;
pub(super) mod pipeline;
pub(super) mod transactions;
