//! The figures of a run. Their names say what they are and in which unit, and other programs read them.

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
    /// Small counts: shows that everything works, not how fast it is.
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
    /// What is left when one booking after another costs all three on the same cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bare_all_three_bookings_per_s: Option<f64>,

    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) intake_requests_per_s: Option<f64>,
    /// Of the bare handler.
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
    /// Of all three bare limits together.
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
    /// Any other answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) modify_refused: Option<u64>,

    /// Of 20 requests, 16 search, 3 ask for a booking, 1 changes one.
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
    /// Answers that were not hoped for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mixed_errors: Option<u64>,

    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mails_per_s: Option<f64>,
    /// Of the bare pipeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mails_ratio: Option<f64>,

    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) etl_events_per_s: Option<f64>,
    /// Of the bare pipeline; loading publishes nothing, so it may be above 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) etl_ratio: Option<f64>,

    /// A handler that only publishes what is as long as Stripe's events, confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bare_webhooks_per_s: Option<f64>,
    /// Signed events taken in, nothing else running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) webhooks_per_s: Option<f64>,
    /// Of that bare handler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) webhooks_ratio: Option<f64>,
    /// From the start of the workers to the last ledger and the last booking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) webhook_events_applied_per_s: Option<f64>,
    /// From a payment's event to its booking confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) webhook_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) webhook_p99_ms: Option<f64>,

    /// The most memory that each process ever had resident.
    pub(super) peak_rss_mib: BTreeMap<String, f64>,
    /// By part and process: CPU time per request, booking, mail or event.
    pub(super) cpu_us_per_item: BTreeMap<&'static str, BTreeMap<String, f64>>,
    /// By part and worker: what the calls of its handler were like.
    pub(super) calls: BTreeMap<&'static str, BTreeMap<&'static str, Calls>>,
    /// What did not go as it should.
    pub(super) troubles: Vec<String>,
}

impl Figures {
    /// None yet.
    pub(super) fn new(quick: bool) -> Self {
        let build = if cfg!(debug_assertions) { "debug" } else { "release" };
        Self { version: env!("CARGO_PKG_VERSION"), build, quick, ..Self::default() }
    }

    /// Notes what a part used, spread over what it did, and what the workers' calls were like.
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    pub(super) fn note(&mut self, part: &'static str, before: &Snapshot, after: &Snapshot, items: u64) {
        let used = after.cpu.iter().map(|(name, cpu)| {
            let spent = cpu.saturating_sub(before.cpu.get(name).copied().unwrap_or_default());
            (name.clone(), spent.as_secs_f64() * 1e6 / items.max(1) as f64)
        });
        // A process that did nothing is no news.
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
