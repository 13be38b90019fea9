//! The time, as a dependency: tests and drills pass another one.

use chrono::Utc;
use pvt_domain::timestamp::Timestamp;

/// Tells the time.
pub type Clock = fn() -> Timestamp;

/// The machine's clock.
pub fn system() -> Timestamp {
    Utc::now().into()
}
