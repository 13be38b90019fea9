//! A booking: stays of one payer, its lifecycle and its history.

pub mod history;
pub mod lifecycle;
pub mod payment;
pub mod stay;

pub use history::{Action, Changes, HistoryEntry};
pub use lifecycle::{Rejection, Status};
pub use payment::{Payment, PaymentStatus};
pub use stay::{EarlierBeds, PartyGender, Stay, StayRequest};

use crate::ids::{BedId, BookingId, PropertyId, RatePlanId};
use crate::pricing::Price;
use crate::rates::cancellation::CancellationPolicy;
use crate::timestamp::Timestamp;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where a booking came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The hostel's own site or app.
    Direct,
    /// Booking.com.
    BookingCom,
    /// Airbnb.
    Airbnb,
    /// Hostelworld.
    Hostelworld,
    /// Taken by phone.
    Phone,
    /// At the desk.
    WalkIn,
    /// Another program.
    Api,
}

impl Source {
    /// Every source with its wire name, for decoding and for messages that list the choices.
    pub const ALL: [(&'static str, Self); 7] = [
        ("direct", Self::Direct),
        ("booking_com", Self::BookingCom),
        ("airbnb", Self::Airbnb),
        ("hostelworld", Self::Hostelworld),
        ("phone", Self::Phone),
        ("walk_in", Self::WalkIn),
        ("api", Self::Api),
    ];

    /// The wire name.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, source)| *source == self).map_or("direct", |(name, _)| name)
    }
}

/// Who sleeps and who is written to. Personal data: never in an event, a header, a log or the mart.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// Where mails go.
    pub email: String,
    /// E.164, if given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Language tag, if given (`fr`, `en`, `en-CA`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
}

/// Shows nothing of the person, so that no log line ever can.
impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Guest(…)")
    }
}

/// What a refused guest could have instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alternative {
    /// All stays of the booking, with other dates or other room types.
    pub stays: Vec<StayRequest>,
    /// What they would cost, taxes included, in minor units of the property's currency.
    pub total: i64,
}

/// A booking as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Booking {
    /// Its id.
    #[serde(rename = "_id")]
    pub id: BookingId,
    /// The code for people; a function of the id.
    pub reference: String,
    /// Where it stands.
    pub status: Status,
    /// Revision: the number of history entries.
    pub rev: u32,
    /// The hostel.
    pub property_id: PropertyId,
    /// The price list.
    pub rate_plan_id: RatePlanId,
    /// Where it came from.
    pub source: Source,
    /// What was booked.
    pub stays: Vec<Stay>,
    /// Who it is for.
    pub guest: Guest,
    /// What it costs; absent when it was refused before it could be priced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// How it is paid.
    #[serde(default, skip_serializing_if = "Payment::is_empty")]
    pub payment: Payment,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection: Option<Rejection>,
    /// What could be had instead, when it was refused: at most three.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Alternative>,
    /// What cancelling costs, as it was when the booking was made; absent in bookings from before there were policies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation_policy: Option<CancellationPolicy>,
    /// What cancelling cost, in minor units of the price's currency; zero when it was waived. Whether it is charged is
    /// decided apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation_fee: Option<i64>,
    /// Authenticated client that asked; absent for anonymous callers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Fingerprint of the request's body, to recognise a key that is used for something else.
    pub fingerprint: String,
    /// When intake accepted it.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Every revision, oldest first.
    pub history: Vec<HistoryEntry>,
}

impl Booking {
    /// The entry that this command made, if it was applied before.
    pub fn entry_of(&self, command_id: Uuid) -> Option<&HistoryEntry> {
        self.history.iter().find(|entry| entry.command_id == command_id)
    }

    /// The beds and nights that this booking must own, from its stays and status alone.
    pub fn claims(&self) -> impl Iterator<Item = (&BedId, NaiveDate)> {
        let stays = if self.status.holds_beds() { self.stays.as_slice() } else { &[] };
        stays.iter().flat_map(Stay::bed_nights)
    }
}
