//! The mart.
