//! Conformity to Stripe's own Python SDK, which drives the simulator and verifies its webhooks.
//!
//! Ignored by default, because it needs the SDK, which `tests/stripe-sdk/run` installs.

use crate::harness::Harness;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

const JOURNEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/stripe-sdk/journey.py");
/// Longest run of the journey.
const RUN_LIMIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Stripe's Python SDK: tests/stripe-sdk/run"]
async fn stripe_python_sdk_drives_the_simulator() {
    let python = std::env::var_os("PVT_STRIPE_SDK").expect("run tests/stripe-sdk/run, which installs the SDK");
    let harness = Harness::start().await;
    let journey = Command::new(python)
        .args([JOURNEY, &harness.base])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_PROXY", "*")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(RUN_LIMIT, journey).await.expect("the journey took too long").unwrap();
    let report = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{report}");
    assert!(report.contains("Ran 9 tests") && report.ends_with("OK\n"), "{report}");
    harness.stop().await;
}
