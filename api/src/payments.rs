//! Money as callers see it, computed from a booking's ledger. Nothing here reads a store or changes anything.

pub(crate) mod analytics;
pub(crate) mod disputes;
pub(crate) mod receipt;
pub(crate) mod view;

#[cfg(test)]
pub(crate) mod fixtures;
