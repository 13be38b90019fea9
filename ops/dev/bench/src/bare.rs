//! Bare limits of this machine without the product, which all other figures are compared with.
//!
//! They measure only what no implementation could leave out: a handler that publishes, a consumer that publishes, a
//! transaction.

pub(super) mod intake;
pub(super) mod pipeline;
pub(super) mod transactions;
