//! Fault injection on request: the ways in which a mail server fails, so that senders can be tested against them.

use super::recipients;
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Delay of a tarpit before it answers, by default.
const TARPIT_DELAY_MS: u64 = 30_000;
/// Longest delay that can be requested.
const MAX_DELAY_MS: u64 = 600_000;

/// A kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultMode {
    /// New connections are reset at once, open ones at the next mail.
    RefuseConnections,
    /// The reply to `MAIL` is delayed by `delay_ms`.
    Tarpit,
    /// The reply to `RCPT` is delayed by `delay_ms`.
    TarpitRecipient,
    /// The connection is closed in place of the reply to `RCPT`.
    DropAtRecipient,
    /// `MAIL` is answered 421 and the connection closed.
    #[serde(rename = "421")]
    ServiceClosing,
    /// `RCPT` is answered 451.
    #[serde(rename = "451")]
    TryLater,
    /// `RCPT` is answered 550.
    #[serde(rename = "550")]
    NoSuchMailbox,
    /// `RCPT` is answered 550 with a policy code: the sender's quota is used up.
    #[serde(rename = "550_policy")]
    SenderPolicy,
    /// The mail is kept, and the connection closed in place of the reply 250: the sender cannot know the outcome.
    #[serde(rename = "drop_before_250")]
    DropBefore250,
    /// The mail is kept and answered 250, and the connection closed right after.
    #[serde(rename = "drop_after_250")]
    DropAfter250,
}

/// A point of a session at which a fault can be injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultPoint<'a> {
    Connect,
    Mail,
    /// `RCPT` of this address.
    Recipient(&'a str),
    Accepted,
}

impl FaultMode {
    fn applies_at(self, point: FaultPoint<'_>) -> bool {
        match self {
            Self::RefuseConnections => matches!(point, FaultPoint::Connect | FaultPoint::Mail),
            Self::Tarpit | Self::ServiceClosing => point == FaultPoint::Mail,
            Self::TryLater
            | Self::NoSuchMailbox
            | Self::TarpitRecipient
            | Self::DropAtRecipient
            | Self::SenderPolicy => matches!(point, FaultPoint::Recipient(_)),
            Self::DropBefore250 | Self::DropAfter250 => point == FaultPoint::Accepted,
        }
    }
}

/// A fault to inject.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultInjection {
    /// The kind of failure; `null` injects none.
    pub mode: Option<FaultMode>,
    /// How many times; `null` is until it is changed.
    #[serde(default)]
    pub next: Option<u32>,
    /// The delay of a tarpit.
    #[serde(default)]
    pub delay_ms: Option<u64>,
    /// For a fault at `RCPT`: only for addresses that contain this, whatever its capitals.
    #[serde(default)]
    pub recipient: Option<String>,
}

/// The fault that is set, shared by all sessions.
#[derive(Debug, Default)]
pub(crate) struct FaultInjector {
    set: Mutex<FaultInjection>,
}

impl FaultInjector {
    pub(super) fn set(&self, fault: FaultInjection) {
        *self.lock() = fault;
    }

    pub(super) fn get(&self) -> FaultInjection {
        self.lock().clone()
    }

    /// The fault to inject at this point, counted down.
    pub(super) fn inject(&self, point: FaultPoint<'_>) -> Option<FaultMode> {
        let mut fault = self.lock();
        let mode = fault.mode.filter(|mode| mode.applies_at(point))?;
        if let (FaultPoint::Recipient(address), Some(recipient)) = (point, &fault.recipient)
            && !recipients::contains(address, recipient)
        {
            return None;
        }
        match &mut fault.next {
            None => {}
            Some(0) => {
                fault.mode = None;
                return None;
            }
            Some(left) => *left -= 1,
        }
        Some(mode)
    }

    pub(super) fn delay(&self) -> Duration {
        Duration::from_millis(self.lock().delay_ms.unwrap_or(TARPIT_DELAY_MS).min(MAX_DELAY_MS))
    }

    /// No panic can happen while it is held, so a poisoned lock is still consistent.
    fn lock(&self) -> MutexGuard<'_, FaultInjection> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{FaultInjection, FaultInjector, FaultMode, FaultPoint};

    #[test]
    fn counted_fault_applies_n_times_at_its_point() {
        let faults = FaultInjector::default();
        faults.set(FaultInjection { mode: Some(FaultMode::TryLater), next: Some(2), ..FaultInjection::default() });
        assert_eq!(faults.inject(FaultPoint::Mail), None);
        assert_eq!(faults.inject(FaultPoint::Recipient("ada@example.com")), Some(FaultMode::TryLater));
        assert_eq!(faults.inject(FaultPoint::Recipient("ada@example.com")), Some(FaultMode::TryLater));
        assert_eq!(faults.inject(FaultPoint::Recipient("ada@example.com")), None);
        assert_eq!(faults.get().mode, None);
    }

    #[test]
    fn fault_concerns_recipients_by_a_part_of_their_address() {
        let faults = FaultInjector::default();
        let recipient = Some("Slow@".to_owned());
        faults.set(FaultInjection { mode: Some(FaultMode::TryLater), recipient, ..FaultInjection::default() });
        assert_eq!(faults.inject(FaultPoint::Recipient("ada@example.com")), None);
        assert_eq!(faults.inject(FaultPoint::Recipient("slow@example.com")), Some(FaultMode::TryLater));
    }

    #[test]
    fn fault_modes_have_stable_wire_names() {
        for (name, mode) in [
            ("refuse_connections", FaultMode::RefuseConnections),
            ("tarpit", FaultMode::Tarpit),
            ("tarpit_recipient", FaultMode::TarpitRecipient),
            ("drop_at_recipient", FaultMode::DropAtRecipient),
            ("550_policy", FaultMode::SenderPolicy),
            ("421", FaultMode::ServiceClosing),
            ("451", FaultMode::TryLater),
            ("550", FaultMode::NoSuchMailbox),
            ("drop_before_250", FaultMode::DropBefore250),
            ("drop_after_250", FaultMode::DropAfter250),
        ] {
            let read: FaultInjection = serde_json::from_str(&format!(r#"{{"mode":"{name}","next":1}}"#)).unwrap();
            assert_eq!(read, FaultInjection { mode: Some(mode), next: Some(1), ..FaultInjection::default() });
        }
        assert_eq!(serde_json::from_str::<FaultInjection>(r#"{"mode":null}"#).unwrap(), FaultInjection::default());
    }
}
