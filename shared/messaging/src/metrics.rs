//! Metric names of messaging. Dashboards and alerts rely on them: renaming one is a breaking change.

/// Histogram, seconds: from the call to the broker's confirm.
pub const PUBLISH_CONFIRM_SECONDS: &str = "pvt_publish_confirm_duration_seconds";
/// Counter: publishes without a confirm. Label `class`: the class of the error.
pub const PUBLISH_FAILURES: &str = "pvt_publish_failures_total";
/// Counter: reconnections to the broker. Label `connection`.
pub const RECONNECTS: &str = "pvt_broker_reconnects_total";
/// Gauge: messages that were confirmed although they had no route, as last counted; NaN when the last count failed.
pub const UNROUTABLE_MESSAGES: &str = "pvt_unroutable_messages";
/// Counter: of these, messages that were moved to their queues once these existed again.
pub const UNROUTABLE_RETURNED: &str = "pvt_unroutable_returned_total";
/// Gauge: messages ready for delivery in a queue of the topology, as last counted; NaN when the last count failed.
/// Labels `queue` (its full name) and `role`: `work`, `dead`, `retry`, `unroutable`.
pub const QUEUE_READY: &str = "pvt_queue_messages_ready";
/// Gauge: consumers of a work queue, as last counted; 0 where the queue does not exist, NaN when the last count
/// failed. Label `queue`.
pub const QUEUE_CONSUMERS: &str = "pvt_queue_consumers";
/// Gauge, seconds since 1970: when all queues were last counted; at first, when the counting began.
pub const QUEUES_COUNTED: &str = "pvt_queues_counted_timestamp_seconds";
/// Gauge: 1 while the connection of this name is connected and not blocked by a resource alarm, 0 otherwise.
/// Connections that end with a look at a queue have none. Label `connection`.
pub const CONNECTED: &str = "pvt_broker_connected";
