//! Worker `confirmations`.
