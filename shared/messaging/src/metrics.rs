//! Names of the metrics that messaging emits. Dashboards and alerts rely on them: renaming one is a breaking change.

/// Histogram, seconds: from the call to the broker's confirm. Label `outcome`: `ok` or the error's class.
pub const PUBLISH_CONFIRM_SECONDS: &str = "pvt_publish_confirm_seconds";
/// Counter: publishes that did not end in a confirm. Label `class`.
pub const PUBLISH_FAILURES: &str = "pvt_publish_failures_total";
/// Counter: connections to the broker that were established again. Label `connection`.
pub const RECONNECTS: &str = "pvt_broker_reconnects_total";
/// Gauge: 1 while connected and not blocked by an alarm, else 0. Label `connection`.
pub const CONNECTED: &str = "pvt_broker_connected";
