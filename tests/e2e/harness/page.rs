//! Waiting for a page in a browser.

use crate::chromium::Chromium;
use anyhow::{Result, bail};
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks at the page.
const PAUSE: Duration = Duration::from_millis(50);

/// Waits until an expression of the page has a value.
pub(crate) async fn wait_for_value(
    browser: &mut Chromium,
    expression: &str,
    value: &Value,
    limit: Duration,
) -> Result<()> {
    let deadline = Instant::now() + limit;
    let mut last = Value::Null;
    while Instant::now() < deadline {
        // Between two pages there is no document.
        last = browser.value(expression).await.unwrap_or_default();
        if last == *value {
            return Ok(());
        }
        sleep(PAUSE).await;
    }
    bail!("{expression} is {last}, never {value}")
}
