//! The list of workers.
