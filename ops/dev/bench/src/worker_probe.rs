//! Progress of a worker by its own metrics: messages acknowledged and in flight.

use super::wire;
use anyhow::{Context, Result, bail};
use pvt_worker_runtime::metrics::{BATCH_SIZE, HANDLE_SECONDS, IN_FLIGHT, MESSAGES};
use serde::Serialize;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A worker's counters.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct WorkerCounters {
    /// Messages handled, with their events published, and acknowledged unless they are in flight.
    pub(super) ok: u64,
    /// Messages retried or dead-lettered.
    pub(super) failed: u64,
    in_flight: bool,
    calls: f64,
    /// Messages of all calls together.
    called_with: f64,
    handle_seconds: f64,
}

/// Mean size and duration of the calls of a handler.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Calls {
    /// Messages of a call.
    pub(super) mean_size: f64,
    /// Duration of a call in milliseconds.
    pub(super) mean_ms: f64,
}

impl WorkerCounters {
    /// The calls since earlier counters; `None` when there were none.
    pub(super) fn calls_since(&self, earlier: &Self) -> Option<Calls> {
        let calls = self.calls - earlier.calls;
        let mean = |total: f64| total / calls;
        let (size, seconds) = (self.called_with - earlier.called_with, self.handle_seconds - earlier.handle_seconds);
        (calls > 0.0).then(|| Calls { mean_size: mean(size), mean_ms: mean(seconds) * 1_000.0 })
    }
}

/// First and last reading of the counters of a worker.
#[derive(Debug, Clone, Copy)]
pub(super) struct ThroughputWindow {
    /// Time and count of the first reading with handled messages.
    pub(super) first: (Instant, u64),
    /// Time and count of the reading with all messages handled.
    pub(super) last: (Instant, u64),
}

impl ThroughputWindow {
    /// Messages per second between the two readings, so that the start of the process does not count. When both are the
    /// same reading, since `begun`.
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    pub(super) fn per_second(&self, begun: Instant) -> f64 {
        let (from, count) =
            if self.first.1 < self.last.1 { (self.first.0, self.last.1 - self.first.1) } else { (begun, self.last.1) };
        count as f64 / self.last.0.duration_since(from).as_secs_f64().max(f64::EPSILON)
    }
}

/// Reads the counters once.
pub(super) async fn read_counters(address: SocketAddr, worker: &str) -> Result<WorkerCounters> {
    let (status, page) = wire::get(address, "/metrics").await.with_context(|| format!("the metrics of `{worker}`"))?;
    if status != 200 {
        bail!("the metrics of `{worker}` answer {status}");
    }
    Ok(read(&page, worker))
}

/// Reads the counters until `count` messages are handled and none is in flight.
pub(super) async fn wait_for(
    address: SocketAddr,
    worker: &str,
    count: u64,
    limit: Duration,
) -> Result<ThroughputWindow> {
    let deadline = Instant::now() + limit;
    let mut first = None;
    loop {
        let progress = read_counters(address, worker).await?;
        let now = (Instant::now(), progress.ok);
        if progress.ok > 0 {
            first.get_or_insert(now);
        }
        if progress.failed > 0 {
            bail!("`{worker}` failed on {} messages", progress.failed);
        }
        if progress.ok >= count && !progress.in_flight {
            return Ok(ThroughputWindow { first: first.unwrap_or(now), last: now });
        }
        if Instant::now() > deadline {
            bail!("`{worker}` handled {} of {count} messages within {limit:?}", progress.ok);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn read(page: &str, worker: &str) -> WorkerCounters {
    let label = format!("worker=\"{worker}\"");
    let mut progress = WorkerCounters::default();
    let size_sum = format!("{BATCH_SIZE}_sum");
    let (time_sum, time_count) = (format!("{HANDLE_SECONDS}_sum"), format!("{HANDLE_SECONDS}_count"));
    for (series, value) in page.lines().filter(|line| line.contains(&label)).filter_map(|line| line.rsplit_once(' ')) {
        let name = series.split('{').next().unwrap_or_default();
        let number: f64 = value.parse().unwrap_or_default();
        if name == MESSAGES {
            let count: u64 = value.parse().unwrap_or_default();
            *(if series.contains("outcome=\"ok\"") { &mut progress.ok } else { &mut progress.failed }) += count;
        } else if name == IN_FLIGHT {
            progress.in_flight = number > 0.0;
        } else if name == size_sum {
            progress.called_with = number;
        } else if name == time_sum {
            progress.handle_seconds = number;
        } else if name == time_count {
            progress.calls = number;
        }
    }
    progress
}

#[cfg(test)]
mod tests {
    use super::{ThroughputWindow, WorkerCounters, read};
    use std::time::{Duration, Instant};

    #[test]
    fn only_series_of_named_worker_count() {
        let page = "# TYPE pvt_worker_messages_total counter\n\
            pvt_worker_messages_total{worker=\"emails\",outcome=\"ok\"} 12\n\
            pvt_worker_messages_total{worker=\"emails\",outcome=\"dead\"} 1\n\
            pvt_worker_messages_total{outcome=\"retried\",worker=\"emails\"} 2\n\
            pvt_worker_messages_total{worker=\"payments\",outcome=\"ok\"} 99\n\
            pvt_worker_batch_size_sum{worker=\"emails\"} 600\n\
            pvt_worker_handle_duration_seconds_sum{worker=\"emails\"} 0.6\n\
            pvt_worker_handle_duration_seconds_count{worker=\"emails\"} 4\n\
            pvt_worker_in_flight{worker=\"emails\"} 200\n";
        let found = read(page, "emails");
        assert_eq!(
            found,
            WorkerCounters { ok: 12, failed: 3, in_flight: true, calls: 4.0, called_with: 600.0, handle_seconds: 0.6 }
        );
        assert_eq!(found.calls_since(&WorkerCounters::default()).map(|calls| calls.mean_size), Some(150.0));
        assert_eq!(found.calls_since(&found), None);
        assert_eq!(read(page, "analytics"), WorkerCounters::default());
    }

    #[test]
    fn process_start_is_excluded_from_throughput() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!(ThroughputWindow { first: (at(3), 100), last: (at(5), 500) }.per_second(begun), 200.0);
        assert_eq!(ThroughputWindow { first: (at(5), 500), last: (at(5), 500) }.per_second(begun), 100.0);
    }
}
