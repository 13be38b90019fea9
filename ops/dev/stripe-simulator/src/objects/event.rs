//! Events: <https://docs.stripe.com/api/events/object>. What an object looked like when something happened is kept as
//! text: nobody may change it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The account's API version, which events are written in.
pub const API_VERSION: &str = "2025-09-30.clover";

/// Something happened.
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
    /// It is never sent.
    #[serde(default)]
    pub(crate) lost: bool,
}

impl Event {
    /// As Stripe shows and sends it.
    pub(crate) fn json(&self) -> Value {
        json!({
            "id": self.id, "object": "event", "api_version": API_VERSION, "created": self.created,
            "data": serde_json::from_str::<Value>(&self.data).unwrap_or_default(), "livemode": false,
            "pending_webhooks": self.pending,
            "request": { "id": self.request_id, "idempotency_key": self.key }, "type": self.kind,
        })
    }
}
