//! Figures of a run. Their names state quantity and unit; other programs read them.

use super::machine::Machine;
use super::process_group::Snapshot;
use super::worker_probe::Calls;
use serde::Serialize;
use std::collections::BTreeMap;

/// All figures; those that were not measured are absent.
#[derive(Debug, Default, Serialize)]
pub(super) struct Figures {
    /// The program that was measured.
    pub(super) version: &'static str,
    /// `release`, or `debug`: then nothing here means anything.
    pub(super) build: &'static str,
    /// Small counts: the run shows that everything works, not how fast it is.
    pub(super) quick: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) machine: Option<Machine>,

    /// A handler that only publishes, confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bare_intake_requests_per_s: Option<f64>,
    /// Consume, publish confirmed, acknowledge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bare_pipeline_messages_per_s: Option<f64>,
    /// Transactions of 200 decided bookings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bare_transaction_bookings_per_s: Option<f64>,
    /// The rate at which one booking costs a share of all three on the same cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bare_all_three_bookings_per_s: Option<f64>,

    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) intake_requests_per_s: Option<f64>,
    /// Relative to the bare handler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) intake_ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) intake_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) intake_p99_ms: Option<f64>,

    /// The confirmations worker alone on a full queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) backlog_bookings_per_s: Option<f64>,

    /// From the first request to the last booking stored and its event published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) drained_bookings_per_s: Option<f64>,
    /// Relative to all three bare limits together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) drained_ratio: Option<f64>,
    /// Seconds from the first request to the last 202.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) drained_accepted_s: Option<f64>,
    /// Seconds from the first request to the last booking stored and its event published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) drained_stored_s: Option<f64>,
    /// Seconds from the first request to the last event in the mart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) drained_mart_s: Option<f64>,

    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) steady_requests_per_s: Option<f64>,
    /// From request to 201.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) steady_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) steady_p99_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) steady_max_ms: Option<f64>,

    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) search_requests_per_s: Option<f64>,
    /// 30 room types, 90 days, beside as many bookings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) search_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) search_p99_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) search_max_ms: Option<f64>,
    /// Of those bookings, from request to 201.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) search_beside_p99_ms: Option<f64>,

    /// Changes of confirmed bookings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) modify_per_s: Option<f64>,
    /// From request to 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) modify_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) modify_p99_ms: Option<f64>,
    /// Responses with another status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) modify_refused: Option<u64>,

    /// Of 20 requests, 16 search, 3 create a booking, 1 modifies one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mixed_requests_per_s: Option<f64>,
    /// From request to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mixed_search_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mixed_search_p99_ms: Option<f64>,
    /// From request to 201.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mixed_book_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mixed_book_p99_ms: Option<f64>,
    /// From request to 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mixed_change_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mixed_change_p99_ms: Option<f64>,
    /// Responses with an unexpected status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mixed_errors: Option<u64>,

    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mails_per_s: Option<f64>,
    /// Relative to the bare pipeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mails_ratio: Option<f64>,

    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) etl_events_per_s: Option<f64>,
    /// Relative to the bare pipeline; loading publishes nothing, so it may be above 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) etl_ratio: Option<f64>,

    /// A handler that only publishes bodies of the length of Stripe's events, confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bare_webhooks_per_s: Option<f64>,
    /// Signed events accepted, nothing else running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) webhooks_per_s: Option<f64>,
    /// Relative to that bare handler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) webhooks_ratio: Option<f64>,
    /// From the start of the workers to the last ledger and the last booking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) webhook_events_applied_per_s: Option<f64>,
    /// From the event of a payment to the confirmed booking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) webhook_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) webhook_p99_ms: Option<f64>,

    /// Peak resident memory of each process.
    pub(super) peak_rss_mib: BTreeMap<String, f64>,
    /// CPU time per request, booking, mail or event, by scenario and process.
    pub(super) cpu_us_per_item: BTreeMap<&'static str, BTreeMap<String, f64>>,
    /// Handler calls by scenario and worker.
    pub(super) calls: BTreeMap<&'static str, BTreeMap<&'static str, Calls>>,
    /// Failures and losses.
    pub(super) troubles: Vec<String>,
}

impl Figures {
    /// No figures yet.
    pub(super) fn new(quick: bool) -> Self {
        let build = if cfg!(debug_assertions) { "debug" } else { "release" };
        Self { version: env!("CARGO_PKG_VERSION"), build, quick, ..Self::default() }
    }

    /// Records the CPU time that a scenario used per item, and the handler calls of its workers.
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    pub(super) fn record(&mut self, part: &'static str, before: &Snapshot, after: &Snapshot, items: u64) {
        let used = after.cpu.iter().map(|(name, cpu)| {
            let spent = cpu.saturating_sub(before.cpu.get(name).copied().unwrap_or_default());
            (name.clone(), spent.as_secs_f64() * 1e6 / items.max(1) as f64)
        });
        // Idle processes are left out.
        self.cpu_us_per_item.insert(part, used.filter(|(_, us)| *us >= 0.05).collect());
        let calls = after.workers.iter().filter_map(|(worker, progress)| {
            let earlier = before.workers.get(worker).copied().unwrap_or_default();
            Some((*worker, progress.calls_since(&earlier)?))
        });
        self.calls.insert(part, calls.collect());
    }
}

/// `figure / limit`, when there is a limit.
pub(super) fn ratio(figure: f64, limit: Option<f64>) -> Option<f64> {
    limit.map(|limit| figure / limit)
}
