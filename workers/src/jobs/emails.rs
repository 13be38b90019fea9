//! Worker `emails`.
