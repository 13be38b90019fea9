//! Pages: each reads what it shows, makes texts of it by a pure function, and leaves the rest to its template.

pub(crate) mod actions;
pub(crate) mod audit;
mod balance;
pub(crate) mod bookings;
pub(crate) mod chart;
pub(crate) mod dead_letters;
pub(crate) mod front_desk;
pub(crate) mod moves;
pub(crate) mod overview;
pub(crate) mod payments;
pub(crate) mod queues;
pub(crate) mod reconciliations;
pub(crate) mod schedules;
pub(crate) mod sparkline;
pub(crate) mod workers;

use pvt_domain::timestamp::Timestamp;

/// An instant as pages show it.
fn shown(at: Timestamp) -> String {
    at.as_datetime().format("%Y-%m-%d %H:%M:%S").to_string()
}
