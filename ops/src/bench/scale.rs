//! How much is measured: counts and bounds, the same for every run of one size.

use super::{BenchArgs, Scenario, stripe};
use std::time::Duration;

const REQUESTS: u64 = 60_000;
const QUICK_REQUESTS: u64 = 2_000;
const STEADY_SECONDS: u16 = 15;
const QUICK_STEADY_SECONDS: u16 = 3;

/// The size of a run.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    parts: Vec<Scenario>,
    /// Of the intake run and of the drain run each.
    pub(super) requests: u64,
    pub(super) connections: usize,
    pub(super) properties: u16,
    pub(super) beds: u16,
    /// Of the runs at a steady rate.
    pub(super) rate_per_s: u32,
    pub(super) steady: Duration,
    /// Of the bare handler, and of the bare pipeline.
    pub(super) bare_messages: u64,
    /// Of the bare transaction, by each of its writers.
    pub(super) bare_batches: usize,
}

impl Scale {
    /// As the command line says.
    pub(super) fn of(args: &BenchArgs) -> Self {
        let requests = args.requests.unwrap_or(if args.quick { QUICK_REQUESTS } else { REQUESTS });
        let seconds = args.seconds.unwrap_or(if args.quick { QUICK_STEADY_SECONDS } else { STEADY_SECONDS });
        Self {
            parts: args.only.clone(),
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

    /// Changes are rarer than requests.
    pub(super) fn changes_per_s(&self) -> u32 {
        self.rate_per_s.div_ceil(2)
    }

    /// Bookings that are paid at once: each comes with several events.
    pub(super) fn paid_at_once(&self) -> u64 {
        self.requests.div_ceil(stripe::EVENTS_EACH)
    }

    /// Whether this was asked for.
    pub(super) fn wants(&self, part: Scenario) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }

    /// Whether any of these was.
    pub(super) fn wants_any(&self, parts: &[Scenario]) -> bool {
        parts.iter().any(|part| self.wants(*part))
    }
}
