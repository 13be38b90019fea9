//! Scale of a run: counts and bounds, the same for every run of one size.

use super::args::{Bench, Scenario};
use super::stripe;
use std::time::Duration;

const REQUESTS: u64 = 60_000;
const QUICK_REQUESTS: u64 = 2_000;
const STEADY_SECONDS: u16 = 15;
const QUICK_STEADY_SECONDS: u16 = 3;

/// The size of a run.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    scenarios: Vec<Scenario>,
    /// Requests of intake and of drain each.
    pub(super) requests: u64,
    pub(super) connections: usize,
    pub(super) properties: u16,
    pub(super) beds: u16,
    /// Rate of the scenarios at a steady rate.
    pub(super) rate_per_s: u32,
    pub(super) steady: Duration,
    /// Messages of the bare handler and of the bare pipeline.
    pub(super) bare_messages: u64,
    /// Batches of each writer of the bare transactions.
    pub(super) bare_batches: usize,
}

impl Scale {
    /// The scale of the arguments.
    pub(super) fn of(args: &Bench) -> Self {
        let requests = args.requests.unwrap_or(if args.quick { QUICK_REQUESTS } else { REQUESTS });
        let seconds = args.seconds.unwrap_or(if args.quick { QUICK_STEADY_SECONDS } else { STEADY_SECONDS });
        Self {
            scenarios: args.only.clone(),
            requests,
            connections: usize::from(args.connections),
            properties: args.properties,
            beds: args.beds,
            rate_per_s: u32::from(args.rate),
            steady: Duration::from_secs(u64::from(seconds)),
            bare_messages: requests,
            bare_batches: if args.quick { 4 } else { 50 },
        }
    }

    /// Modifications per second, half of the requests.
    pub(super) fn changes_per_s(&self) -> u32 {
        self.rate_per_s.div_ceil(2)
    }

    /// Bookings whose payments are sent in one burst; each has several events.
    pub(super) fn paid_at_once(&self) -> u64 {
        self.requests.div_ceil(stripe::EVENTS_EACH)
    }

    /// Whether this scenario is selected.
    pub(super) fn wants(&self, scenario: Scenario) -> bool {
        self.scenarios.is_empty() || self.scenarios.contains(&scenario)
    }

    /// Whether any of these scenarios is selected.
    pub(super) fn wants_any(&self, scenarios: &[Scenario]) -> bool {
        scenarios.iter().any(|scenario| self.wants(*scenario))
    }
}
