//! Worker `reconciliation`.
