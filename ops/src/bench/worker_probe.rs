//! How far a worker has come, by its own metrics: messages settled and messages in hand.

use super::wire;
use anyhow::{Context, Result, bail};
use pvt_worker_runtime::signals::{IN_FLIGHT, MESSAGES};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A worker's counters.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Progress {
    /// Messages handled, published for and, unless they are in hand, acknowledged.
    pub(super) ok: u64,
    /// Messages sent to the ladder or given up.
    pub(super) failed: u64,
    in_hand: bool,
}

/// When a worker had come how far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    /// The first look that found something settled, and how much.
    pub(super) first: (Instant, u64),
    /// The look that found everything settled.
    pub(super) last: (Instant, u64),
}

impl Stretch {
    /// Messages per second between the two looks, so that the start of a process does not count. When both were the same look,
    /// since `begun`.
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    pub(super) fn per_second(&self, begun: Instant) -> f64 {
        let (from, count) = if self.first.1 < self.last.1 { (self.first.0, self.last.1 - self.first.1) } else { (begun, self.last.1) };
        count as f64 / self.last.0.duration_since(from).as_secs_f64().max(f64::EPSILON)
    }
}

/// Looks once.
pub(super) async fn look(address: SocketAddr, worker: &str) -> Result<Progress> {
    let (status, page) = wire::get(address, "/metrics").await.with_context(|| format!("the metrics of `{worker}`"))?;
    if status != 200 {
        bail!("the metrics of `{worker}` answer {status}");
    }
    Ok(read(&page, worker))
}

/// Looks until `count` messages are settled and none is in hand.
pub(super) async fn wait_for(address: SocketAddr, worker: &str, count: u64, limit: Duration) -> Result<Stretch> {
    let deadline = Instant::now() + limit;
    let mut first = None;
    loop {
        let progress = look(address, worker).await?;
        let now = (Instant::now(), progress.ok);
        if progress.ok > 0 {
            first.get_or_insert(now);
        }
        if progress.failed > 0 {
            bail!("`{worker}` failed on {} messages", progress.failed);
        }
        if progress.ok >= count && !progress.in_hand {
            return Ok(Stretch { first: first.unwrap_or(now), last: now });
        }
        if Instant::now() > deadline {
            bail!("`{worker}` settled {} of {count} messages within {limit:?}", progress.ok);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn read(page: &str, worker: &str) -> Progress {
    let label = format!("worker=\"{worker}\"");
    let mut progress = Progress::default();
    for (series, value) in page.lines().filter(|line| line.contains(&label)).filter_map(|line| line.rsplit_once(' ')) {
        let name = series.split('{').next().unwrap_or_default();
        if name == MESSAGES {
            let count: u64 = value.parse().unwrap_or_default();
            *(if series.contains("outcome=\"ok\"") { &mut progress.ok } else { &mut progress.failed }) += count;
        } else if name == IN_FLIGHT {
            progress.in_hand = value.parse::<f64>().is_ok_and(|held| held > 0.0);
        }
    }
    progress
}

#[cfg(test)]
mod tests {
    use super::{Progress, Stretch, read};
    use std::time::{Duration, Instant};

    #[test]
    fn only_the_named_workers_series_count() {
        let page = "# TYPE pvt_worker_messages_total counter\n\
            pvt_worker_messages_total{worker=\"emails\",outcome=\"ok\"} 12\n\
            pvt_worker_messages_total{worker=\"emails\",outcome=\"dead\"} 1\n\
            pvt_worker_messages_total{outcome=\"retried\",worker=\"emails\"} 2\n\
            pvt_worker_messages_total{worker=\"payments\",outcome=\"ok\"} 99\n\
            pvt_worker_in_flight{worker=\"emails\"} 200\n";
        assert_eq!(read(page, "emails"), Progress { ok: 12, failed: 3, in_hand: true });
        assert_eq!(read(page, "analytics"), Progress::default());
    }

    #[test]
    fn the_start_of_the_process_does_not_count() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!(Stretch { first: (at(3), 100), last: (at(5), 500) }.per_second(begun), 200.0);
        assert_eq!(Stretch { first: (at(5), 500), last: (at(5), 500) }.per_second(begun), 100.0);
    }
}
