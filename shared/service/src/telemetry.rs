//! Logs, metrics and traces of a process.
//!
//! Logs go to standard error: one JSON object a line, or readable lines on a terminal. Metrics are kept for `/metrics`.
//! Spans are exported where a collector is configured; nothing else is pushed anywhere.

mod renamed_metrics;
mod traces;

use crate::config::Config;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;
use thiserror::Error;
use tracing_subscriber::EnvFilter;

/// Buckets of everything measured in seconds: from one write on loopback to the longest wait a client may ask for.
const SECONDS_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3_600.0];
/// Buckets of everything that counts messages or rows at once.
const SIZE_BUCKETS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 5_000.0];
/// How often recorded samples are folded into their buckets; until then each of them takes memory.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Renders the metrics of this process in Prometheus' text format. Cheap to clone.
#[derive(Clone)]
pub struct MetricsHandle(PrometheusHandle);

impl MetricsHandle {
    /// Everything recorded so far, renamed metrics under both names.
    pub fn render(&self) -> String {
        renamed_metrics::with_aliases(self.0.render())
    }
}

/// Failures of setting up telemetry.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The filter was checked with the configuration, so this is a fault of the caller.
    #[error("PVT_LOG cannot be used: {0}")]
    Filter(String),
    /// A logger is already installed in this process.
    #[error("a logger is already installed: {0}")]
    Logging(String),
    /// A metrics recorder is already installed in this process.
    #[error("a metrics recorder is already installed: {0}")]
    Metrics(String),
    /// The export of spans is configured and cannot be set up.
    #[error("spans cannot be exported: {0}")]
    Traces(String),
}

/// The telemetry of this process.
#[must_use = "spans that are left are exported by closing it"]
pub struct Telemetry {
    metrics: MetricsHandle,
    export: Option<traces::Export>,
}

impl Telemetry {
    /// The metrics behind `/metrics`.
    pub fn metrics(&self) -> MetricsHandle {
        self.metrics.clone()
    }

    /// Exports the spans that are left, within three seconds. To be called last.
    pub async fn close(self) {
        if let Some(export) = self.export {
            // It waits for a thread, which no thread of the runtime may do.
            let flushed = tokio::task::spawn_blocking(move || export.flush()).await;
            if let Err(error) = flushed {
                tracing::warn!(%error, "the export of spans did not end");
            }
        }
    }
}

/// Whether `text` can be a filter of log lines.
pub(crate) fn check_filter(text: &str) -> Result<(), String> {
    EnvFilter::try_new(text).map(|_| ()).map_err(|error| format!("is not a log filter: {error}"))
}

/// Sets up logging, metrics and traces of this process, in whose spans it is named `service`. Once, first thing in
/// `main`.
///
/// # Errors
/// [`TelemetryError`] when something else has set them up, or spans cannot be exported as configured.
pub fn init(config: &Config, service: &'static str) -> Result<Telemetry, TelemetryError> {
    let filter = EnvFilter::try_new(&config.log).map_err(|error| TelemetryError::Filter(error.to_string()))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = if std::io::stderr().is_terminal() {
        lines.with_target(false).compact().try_init()
    } else {
        lines.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    };
    installed.map_err(|error| TelemetryError::Logging(error.to_string()))?;
    // First: metrics that are created before there is a recorder are lost.
    let metrics = metrics_handle()?;
    let export = traces::start(config.traces.as_ref(), service).map_err(TelemetryError::Traces)?;
    Ok(Telemetry { metrics, export })
}

/// The metrics behind `/metrics`. The first call installs the recorder: the metrics crate has one per process, so
/// servers that share a process (in tests) share it.
///
/// # Errors
/// [`TelemetryError::Metrics`] when another recorder is installed.
pub fn metrics_handle() -> Result<MetricsHandle, TelemetryError> {
    static HANDLE: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
    HANDLE.get_or_init(install_recorder).clone().map(MetricsHandle).map_err(TelemetryError::Metrics)
}

fn install_recorder() -> Result<PrometheusHandle, String> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS_BUCKETS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_size".to_owned()), SIZE_BUCKETS))
        .map_err(|error| error.to_string())?;
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| error.to_string())?;
    let kept = handle.clone();
    // A thread, because the recorder belongs to the process and outlives any runtime in it.
    let upkeep = move || loop {
        std::thread::sleep(UPKEEP_INTERVAL);
        kept.run_upkeep();
    };
    std::thread::Builder::new().name("pvt-metrics".to_owned()).spawn(upkeep).map_err(|error| error.to_string())?;
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use super::metrics_handle;

    #[test]
    fn durations_have_buckets_and_the_recorder_is_shared() {
        let handle = metrics_handle().unwrap();
        metrics::histogram!("pvt_test_seconds").record(0.003);
        metrics::histogram!("pvt_test_batch_size").record(7.0);
        let shown = metrics_handle().unwrap().render();
        assert!(shown.contains("pvt_test_seconds_bucket{le=\"0.005\"} 1"), "{shown}");
        assert!(shown.contains("pvt_test_batch_size_bucket{le=\"10\"} 1"), "{shown}");
        drop(handle);
    }
}
