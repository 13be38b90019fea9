//! The person a booking is for, and the channel it was made through.

use crate::people::text::shown;
use crate::wire_enum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

wire_enum! {
    /// Sales channel of a booking.
    #[derive(Default)]
    pub enum Source {
        /// The property's own site or app.
        #[default]
        Direct = "direct",
        /// Booking.com.
        BookingCom = "booking_com",
        /// Airbnb.
        Airbnb = "airbnb",
        /// Hostelworld.
        Hostelworld = "hostelworld",
        /// By phone.
        Phone = "phone",
        /// At the front desk.
        WalkIn = "walk_in",
        /// Another program.
        Api = "api",
    }
}

// Personal data: never in an event, a header, a log or the mart.
/// The guest who made the booking and receives its mails.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Guest {
    /// Given name; empty for guests with one name, which is the other.
    pub first_name: String,
    /// Family name; empty for guests with one name, which is the other.
    pub last_name: String,
    /// Mail address; empty when staff booked without one: then no mail is sent.
    pub email: String,
    /// Phone number in E.164, if given; an extension follows as `;ext=12`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Language tag (BCP 47), if given: `fr`, `en-CA`, `zh-Hant`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
}

impl Guest {
    /// The name as it may be shown.
    pub fn full_name(&self) -> String {
        shown(&format!("{} {}", self.first_name, self.last_name)).trim().to_owned()
    }

    /// The name to greet the guest by: the given one, or the only one.
    pub fn called(&self) -> &str {
        if self.first_name.trim().is_empty() { &self.last_name } else { &self.first_name }
    }

    /// The name to find the guest by in a list: the family name, or the only one.
    pub fn listed_by(&self) -> &str {
        if self.last_name.trim().is_empty() { &self.first_name } else { &self.last_name }
    }

    /// The address that mails are sent to; `None` when staff booked without one.
    pub fn mail_address(&self) -> Option<&str> {
        Some(self.email.as_str()).filter(|address| !address.is_empty())
    }

    /// Whether both have the same address, or none.
    pub fn has_address_of(&self, other: &Self) -> bool {
        is_same_address(&self.email, &other.email)
    }
}

/// The form in which mail addresses are compared: those that differ only in capitals or outer space are the same
/// recipient. Keys of stored mails are derived from it, so it never changes.
pub fn recipient(address: &str) -> String {
    address.trim().to_lowercase()
}

/// Whether two addresses are the same recipient.
pub(crate) fn is_same_address(one: &str, other: &str) -> bool {
    recipient(one) == recipient(other)
}

/// Redacted, so that no log line can carry personal data.
impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Guest(…)")
    }
}
