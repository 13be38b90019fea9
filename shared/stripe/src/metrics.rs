//! Names of the metrics that calls of Stripe emit. Dashboards and alerts rely on them: renaming one is a breaking
//! change.

/// Counter: requests sent, tries included. Labels `operation` and `outcome`: `ok` or what the failure is.
pub(crate) const CALLS: &str = "pvt_stripe_calls_total";
/// Histogram, seconds: from the request to the end of its answer. Label `operation`.
pub(crate) const CALL_SECONDS: &str = "pvt_stripe_call_duration_seconds";
