//! The hop of a message through its queue, as the handler that took effect saw it.

use crate::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

fn first_attempt() -> u32 {
    1
}

fn is_first(attempt: &u32) -> bool {
    *attempt <= 1
}

fn is_none(count: &u32) -> bool {
    *count == 0
}

/// The hop of a message over its queue to a handler. Stored with what the handler writes anyway, and for operators
/// only: nothing is decided by it.
///
/// A handler that crashed or failed before it wrote anything is known by its counts alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueHop {
    /// When its sender asked for what it says, where the message names that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<Timestamp>,
    /// When it was first published: in whole seconds, which is all that a message carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_at: Option<Timestamp>,
    /// When the process whose handler took effect received it.
    pub delivered_at: Timestamp,
    /// Number of the attempt that took effect, counting from 1.
    #[serde(default = "first_attempt", skip_serializing_if = "is_first")]
    pub attempt: u32,
    /// How often its handler delayed it without failing.
    #[serde(default, skip_serializing_if = "is_none")]
    pub deferrals: u32,
    /// Deliveries since its last publish that ended without an acknowledgement: a crash, a lost connection, a pause.
    #[serde(default, skip_serializing_if = "is_none")]
    pub redeliveries: u32,
    /// When an attempt first failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_failed_at: Option<Timestamp>,
    /// The class of the last failure before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_with: Option<String>,
    /// Whether it had been a dead letter, and was replayed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
}

impl QueueHop {
    /// The time from which it waited: the most exact one that is known.
    pub fn sent_at(&self) -> Option<Timestamp> {
        self.requested_at.or(self.published_at)
    }
}

#[cfg(test)]
mod tests {
    use super::QueueHop;
    use serde_json::json;

    #[test]
    fn hop_at_the_first_attempt_is_two_times() {
        let stored = json!({ "published_at": "2027-01-10T15:00:00.000Z", "delivered_at": "2027-01-10T15:00:00.250Z" });
        let hop: QueueHop = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!((hop.attempt, hop.deferrals, hop.redeliveries, hop.replayed), (1, 0, 0, false));
        assert_eq!(serde_json::to_value(&hop).unwrap(), stored);
        assert_eq!(hop.sent_at(), hop.published_at);
    }
}
