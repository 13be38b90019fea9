//! The identity of a mail: its ledger key, and the ids derived from it.
//!
//! All are functions of the booking, the kind of mail, its version and its recipient, so that a retry names the same
//! mail.

use pvt_domain::booking::recipient;
use pvt_domain::ids::BookingId;
use pvt_domain::messages::NotificationKind;
use sha2::{Digest, Sha256};
use std::fmt;
use std::fmt::Write as _;
use uuid::Uuid;

/// Bytes of the recipient's hash that the key keeps: enough to distinguish a booking's recipients.
const RECIPIENT_HASH_BYTES: usize = 12;

/// Which mail of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// The one about this revision.
    Rev(u32),
    /// The one requested under this id: each request is one mail, however often it is delivered.
    Request(Uuid),
    /// The one about this event, which made no revision.
    Event(Uuid),
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rev(rev) => write!(f, "{rev}"),
            Self::Request(id) | Self::Event(id) => write!(f, "{id}"),
        }
    }
}

/// The key of a mail in the ledger, `booking|kind|version|hash of the recipient`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LedgerKey {
    booking: BookingId,
    text: String,
}

impl LedgerKey {
    /// The key of this mail to the recipient of this address.
    pub fn new(booking: BookingId, kind: NotificationKind, version: Version, address: &str) -> Self {
        let hash = Sha256::digest(recipient(address).as_bytes());
        let mut text = format!("{booking}|{}|{version}|", kind.as_str());
        for byte in hash.iter().take(RECIPIENT_HASH_BYTES) {
            // Writing into a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self { booking, text }
    }

    /// The key of a row about this booking; `None` for a row about another.
    pub fn stored(booking: BookingId, text: &str) -> Option<Self> {
        let is_of_booking = text.split('|').next() == Some(booking.to_string().as_str());
        is_of_booking.then(|| Self { booking, text: text.to_owned() })
    }

    /// Whether it names the same mail, whatever the recipient.
    pub fn is_same_mail(&self, other: &Self) -> bool {
        let mail = |key: &Self| key.text.rsplit_once('|').map(|(mail, _)| mail.to_owned());
        mail(self) == mail(other)
    }

    /// Whether it names a mail to the same recipient, about whatever booking.
    pub fn has_same_recipient(&self, other: &Self) -> bool {
        let recipient = |key: &Self| key.text.rsplit_once('|').map(|(_, recipient)| recipient.to_owned());
        recipient(self) == recipient(other)
    }

    /// The key as stored.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `Message-ID` of every attempt, with its angle brackets. `domain` is the sender's.
    pub fn message_id(&self, domain: &str) -> String {
        format!("<{}@{domain}>", self.derived("message"))
    }

    /// Id of the event that reports the outcome of the mail: one id for both outcomes, because only one can happen.
    pub fn event_id(&self) -> Uuid {
        self.derived("event")
    }

    fn derived(&self, purpose: &str) -> Uuid {
        Uuid::new_v5(&self.booking.as_uuid(), format!("notification|{purpose}|{}", self.text).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::{LedgerKey, Version};
    use pvt_domain::ids::BookingId;
    use pvt_domain::messages::NotificationKind::{BookingCancelled, BookingConfirmed};
    use uuid::Uuid;

    fn booking() -> BookingId {
        BookingId::derive(None, "k", "f")
    }

    #[test]
    fn ledger_key_is_unique_and_hides_the_address() {
        let key = |kind, version, to: &str| LedgerKey::new(booking(), kind, version, to);
        let one = key(BookingConfirmed, Version::Rev(1), "ada@example.com");
        assert!(
            one.as_str().starts_with(&format!("{}|booking_confirmed|1|", booking())) && !one.as_str().contains("ada")
        );
        // Rows of earlier versions have these keys.
        assert!(one.as_str().ends_with("|b5fc85e55755f9e0d030a10a"), "{}", one.as_str());
        assert_eq!(one, key(BookingConfirmed, Version::Rev(1), " Ada@Example.com "));
        for other in [
            key(BookingCancelled, Version::Rev(1), "ada@example.com"),
            key(BookingConfirmed, Version::Rev(2), "ada@example.com"),
            key(BookingConfirmed, Version::Request(Uuid::nil()), "ada@example.com"),
            key(BookingConfirmed, Version::Rev(1), "eve@example.com"),
        ] {
            assert_ne!(one, other);
            assert_ne!(one.message_id("pvt.test"), other.message_id("pvt.test"));
            assert_ne!(one.event_id(), other.event_id());
        }
        assert!(one.has_same_recipient(&key(BookingCancelled, Version::Rev(2), "Ada@example.com")));
        assert!(!one.has_same_recipient(&key(BookingConfirmed, Version::Rev(1), "eve@example.com")));
    }

    #[test]
    fn message_id_and_event_id_differ() {
        let key = LedgerKey::new(booking(), BookingConfirmed, Version::Rev(1), "ada@example.com");
        assert!(!key.message_id("pvt.test").contains(&key.event_id().to_string()));
    }
}
