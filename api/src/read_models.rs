//! Read models of this instance, kept in memory: inventories and occupancy.

pub(crate) mod inventory;
pub(crate) mod occupancy;
