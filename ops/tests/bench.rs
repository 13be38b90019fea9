//! Quick run of the benchmark: it ends, and prints the figures that other programs read. Their size is not tested.

use anyhow::{Context, Result};
use serde_json::Value;
use std::time::Duration;
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(240);

#[tokio::test]
async fn quick_run_reports_every_figure_and_loses_nothing() -> Result<()> {
    let urls = pvt_testkit::engines().await?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_pvt"));
    command.args([
        "bench",
        "--quick",
        "--json",
        "--requests",
        "300",
        "--properties",
        "10",
        "--seconds",
        "1",
        "--rate",
        "20",
    ]);
    command.envs(urls.as_env()).kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await.context("the benchmark did not end in time")??;
    let notes = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{notes}");
    let figures: Value = serde_json::from_slice(&output.stdout).with_context(|| notes.into_owned())?;
    let positive = [
        "bare_intake_requests_per_s",
        "bare_pipeline_messages_per_s",
        "bare_transaction_bookings_per_s",
        "intake_requests_per_s",
        "intake_ratio",
        "intake_p50_ms",
        "intake_p99_ms",
        "drained_bookings_per_s",
        "drained_ratio",
        "steady_p50_ms",
        "steady_p99_ms",
        "search_requests_per_s",
        "search_p50_ms",
        "search_p99_ms",
        "modify_per_s",
        "modify_p50_ms",
        "modify_p99_ms",
        "mixed_requests_per_s",
        "mixed_search_p50_ms",
        "mixed_search_p99_ms",
        "mixed_book_p50_ms",
        "mixed_book_p99_ms",
        "mixed_change_p50_ms",
        "mixed_change_p99_ms",
        "mails_per_s",
        "etl_events_per_s",
        "bare_webhooks_per_s",
        "webhooks_per_s",
        "webhooks_ratio",
        "webhook_events_applied_per_s",
        "webhook_p50_ms",
        "webhook_p99_ms",
    ];
    for name in positive {
        assert!(figures[name].as_f64().is_some_and(|value| value > 0.0), "{name}: {}", figures[name]);
    }
    for process in ["api", "confirmations", "analytics", "emails", "payments"] {
        assert!(figures["peak_rss_mib"][process].as_f64().is_some_and(|mib| mib > 1.0), "{process}: {figures}");
    }
    for name in ["modify_refused", "mixed_errors"] {
        assert_eq!(figures[name], 0, "{name}");
    }
    assert_eq!(figures["troubles"], Value::Array(Vec::new()));
    Ok(())
}
