//! Events: <https://docs.stripe.com/api/events/object>. The object of an event is kept as text, so that later changes
//! do not affect it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The account's API version, which events have.
pub const API_VERSION: &str = "2025-09-30.clover";

/// An event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) created: i64,
    /// Stripe's `type`.
    pub(crate) kind: String,
    /// `{"object": …, "previous_attributes"?: …}` as JSON.
    pub(crate) data: String,
    pub(crate) request_id: Option<String>,
    pub(crate) key: Option<String>,
    /// Endpoints that have not answered yet.
    pub(crate) pending: usize,
    /// Never sent, by fault injection.
    #[serde(default)]
    pub(crate) lost: bool,
}

impl Event {
    /// Its JSON as Stripe shows and sends it.
    pub(crate) fn json(&self) -> Value {
        json!({
            "id": self.id, "object": "event", "api_version": API_VERSION, "created": self.created,
            "data": serde_json::from_str::<Value>(&self.data).unwrap_or_default(), "livemode": false,
            "pending_webhooks": self.pending,
            "request": { "id": self.request_id, "idempotency_key": self.key }, "type": self.kind,
        })
    }
}
