//! The clock, as a dependency: tests pass another one.

use chrono::Utc;
use pvt_domain::timestamp::Timestamp;

/// Returns the current time.
pub type Clock = fn() -> Timestamp;

/// The machine's clock.
pub fn system() -> Timestamp {
    Utc::now().into()
}
