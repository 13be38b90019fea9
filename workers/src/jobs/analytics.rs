//! Worker `analytics`.
