//! Worker `payments`.
