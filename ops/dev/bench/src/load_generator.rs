//! Load generator: many persistent connections, driven by a thread of their own.

use super::wire::Connection;
use anyhow::{Result, bail};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// More unexpected responses than this over one connection end a run, unless the workload tolerates fewer.
const MAX_UNEXPECTED: u64 = 100;
/// Longest excerpt of an unexpected response.
const EXAMPLE_CHARS: usize = 400;

/// A sequence of requests, and what is done with the responses.
pub(super) trait Workload: Send + Sync {
    /// Writes request `number` into the buffer.
    fn write(&self, number: u64, request: &mut Vec<u8>) -> Result<()>;

    /// The expected status of its response.
    fn expected(&self, number: u64) -> u16;

    /// Handles an expected response.
    fn on_success(&self, _number: u64, _body: &[u8]) -> Result<()> {
        Ok(())
    }

    /// Unexpected responses over one connection that do not end the run yet.
    fn max_unexpected(&self) -> u64 {
        MAX_UNEXPECTED
    }
}

/// Requests that depend only on their number, all with the same expected status.
pub(super) struct StatelessWorkload<F> {
    pub(super) expected: u16,
    pub(super) write: F,
}

impl<F: Fn(u64, &mut Vec<u8>) + Send + Sync> Workload for StatelessWorkload<F> {
    fn write(&self, number: u64, request: &mut Vec<u8>) -> Result<()> {
        (self.write)(number, request);
        Ok(())
    }

    fn expected(&self, _number: u64) -> u16 {
        self.expected
    }
}

/// The times at which requests are sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// Closed loop: each connection sends its next request when the last one is answered.
    ClosedLoop,
    /// Open loop: so many requests a second on a fixed schedule. Latency counts from the scheduled time, so that a
    /// stall shows in every request that it delayed.
    OpenLoop(u32),
}

/// A load: its address, size and pace.
#[derive(Debug, Clone, Copy)]
pub(super) struct LoadGenerator {
    pub(super) address: SocketAddr,
    pub(super) connections: usize,
    pub(super) count: u64,
    pub(super) pace: Pace,
    /// Time limit of the whole load.
    pub(super) limit: Duration,
}

/// The responses to a load.
#[derive(Debug)]
pub(super) struct LoadReport {
    /// The scheduled time of the first request.
    pub(super) begun: std::time::Instant,
    /// Time from then to the last response.
    pub(super) took: Duration,
    /// Latencies of the expected responses, ascending, in microseconds, with the numbers of their requests.
    latencies_us: Vec<(u32, u64)>,
    /// Responses with another status, and broken connections.
    pub(super) unexpected: u64,
    /// The first of them.
    pub(super) example: Option<String>,
}

impl LoadReport {
    /// Number of expected responses.
    pub(super) fn expected(&self) -> u64 {
        u64::try_from(self.latencies_us.len()).unwrap_or(u64::MAX)
    }

    /// Expected responses per second.
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    pub(super) fn per_second(&self) -> f64 {
        self.expected() as f64 / self.took.as_secs_f64()
    }

    /// The latency at this quantile, in thousandths.
    pub(super) fn latency_ms(&self, per_mille: usize) -> f64 {
        let place = (self.latencies_us.len() * per_mille).div_ceil(1_000).saturating_sub(1);
        self.latencies_us.get(place).map_or(f64::NAN, |(us, _)| f64::from(*us) / 1_000.0)
    }

    /// The report of some of the requests alone.
    pub(super) fn only(&self, wanted: impl Fn(u64) -> bool) -> Self {
        let latencies_us = self.latencies_us.iter().filter(|(_, number)| wanted(*number)).copied().collect();
        Self { begun: self.begun, took: self.took, latencies_us, unexpected: 0, example: None }
    }
}

impl LoadGenerator {
    /// Sends the whole load. Dropping the future ends it.
    pub(super) async fn run(self, workload: Arc<dyn Workload>) -> Result<LoadReport> {
        let stop = CancellationToken::new();
        let _ends_with_this = stop.clone().drop_guard();
        let thread = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                match stop.run_until_cancelled(timeout(self.limit, self.drive(workload))).await {
                    None => bail!("stopped"),
                    Some(Err(_)) => bail!("{} requests were not answered within {:?}", self.count, self.limit),
                    Some(Ok(answers)) => answers,
                }
            })
        });
        thread.await?
    }

    async fn drive(self, workload: Arc<dyn Workload>) -> Result<LoadReport> {
        let mut connections = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            connections.push(Connection::open(self.address).await?);
        }
        let next = Arc::new(AtomicU64::new(0));
        let (begun, begun_std) = (Instant::now(), std::time::Instant::now());
        let mut senders = JoinSet::new();
        for connection in connections {
            let sender = Sender {
                load: self,
                begun,
                next: Arc::clone(&next),
                workload: Arc::clone(&workload),
                latencies_us: Vec::new(),
                unexpected: 0,
                example: None,
            };
            senders.spawn(sender.run(connection));
        }
        let mut answers = LoadReport {
            begun: begun_std,
            took: Duration::ZERO,
            latencies_us: Vec::new(),
            unexpected: 0,
            example: None,
        };
        while let Some(ended) = senders.join_next().await {
            let sender = ended??;
            answers.latencies_us.extend(sender.latencies_us);
            answers.unexpected += sender.unexpected;
            answers.example = answers.example.or(sender.example);
        }
        answers.took = begun.elapsed();
        answers.latencies_us.sort_unstable();
        Ok(answers)
    }
}

/// The work of one connection.
struct Sender {
    load: LoadGenerator,
    begun: Instant,
    next: Arc<AtomicU64>,
    workload: Arc<dyn Workload>,
    latencies_us: Vec<(u32, u64)>,
    unexpected: u64,
    example: Option<String>,
}

impl Sender {
    async fn run(mut self, mut connection: Connection) -> Result<Self> {
        let mut request = Vec::with_capacity(1_024);
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.load.count {
                return Ok(self);
            }
            request.clear();
            self.workload.write(number, &mut request)?;
            let due = self.due(number).await;
            let unexpected = match connection.exchange(&request).await {
                Ok(answer) if answer.status == self.workload.expected(number) => {
                    self.latencies_us.push((u32::try_from(due.elapsed().as_micros()).unwrap_or(u32::MAX), number));
                    self.workload.on_success(number, answer.body)?;
                    continue;
                }
                Ok(answer) => format!(
                    "{} {}",
                    answer.status,
                    String::from_utf8_lossy(answer.body).chars().take(EXAMPLE_CHARS).collect::<String>()
                ),
                Err(error) => {
                    connection = Connection::open(self.load.address).await?;
                    error.to_string()
                }
            };
            self.unexpected += 1;
            if self.unexpected > self.workload.max_unexpected() {
                bail!("{} unexpected responses over one connection, such as: {unexpected}", self.unexpected);
            }
            self.example.get_or_insert(unexpected);
        }
    }

    /// Waits for the scheduled time of a request and returns it.
    async fn due(&self, number: u64) -> Instant {
        match self.load.pace {
            Pace::ClosedLoop => Instant::now(),
            Pace::OpenLoop(rate) => {
                let due = self.begun + Duration::from_micros(number.saturating_mul(1_000_000) / u64::from(rate.max(1)));
                sleep_until(due).await;
                due
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LoadReport;
    use std::time::{Duration, Instant};

    #[test]
    fn percentiles_of_sorted_latencies() {
        let latencies_us = (1..=1_000).map(|n| (n * 1_000, u64::from(n))).collect();
        let answers = LoadReport {
            begun: Instant::now(),
            took: Duration::from_secs(2),
            latencies_us,
            unexpected: 0,
            example: None,
        };
        assert_eq!(
            (answers.latency_ms(500), answers.latency_ms(990), answers.latency_ms(1_000)),
            (500.0, 990.0, 1_000.0)
        );
        assert_eq!(answers.per_second(), 500.0);
        let even = answers.only(|number| number % 2 == 0);
        assert_eq!((even.expected(), even.latency_ms(500), even.latency_ms(1)), (500, 500.0, 2.0));
    }
}
