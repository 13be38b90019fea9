//! Read models of this instance, kept in memory: inventories, occupancy and maintenance.

pub(crate) mod inventory;
pub(crate) mod maintenance;
pub(crate) mod occupancy;
