//! The person a booking is for, and the channel it was made through.

use crate::wire_enum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

wire_enum! {
    /// Sales channel of a booking.
    pub enum Source {
        /// The property's own site or app.
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
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Guest {
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// Mail address.
    #[schemars(email)]
    pub email: String,
    /// Phone number in E.164, if given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Language tag, if given (`fr`, `en`, `en-CA`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
}

/// Redacted, so that no log line can carry personal data.
impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Guest(…)")
    }
}
