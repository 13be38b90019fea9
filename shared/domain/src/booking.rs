//! A booking: stays of one payer, its lifecycle and its history.

use crate::ids::{BedId, BookingId, PropertyId, RatePlanId, RoomTypeId, uuid_text};
use crate::nights::Nights;
use crate::pricing::Price;
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

/// Where a booking stands. `requested` exists only between intake and decision and is never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Accepted at intake, not decided.
    Requested,
    /// Beds are claimed.
    Confirmed,
    /// Refused, with a reason.
    Rejected,
    /// Was confirmed, its beds are free again.
    Cancelled,
}

impl Status {
    /// The wire name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Confirmed => "confirmed",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether a booking in this state owns beds.
    pub fn holds_beds(self) -> bool {
        matches!(self, Self::Confirmed)
    }

    /// The legal moves of the lifecycle.
    pub fn may_become(self, next: Self) -> bool {
        matches!((self, next), (Self::Requested, Self::Confirmed | Self::Rejected) | (Self::Confirmed, Self::Cancelled))
    }
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// Not enough free beds on at least one night.
    NoAvailability,
    /// The dates cannot be sold: past, too far ahead, or not a range.
    InvalidDates,
    /// More guests than the room type can take at all.
    OverCapacity,
    /// The room type or rate plan is not, or no longer, sold.
    Closed,
}

impl Rejection {
    /// The wire name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoAvailability => "no_availability",
            Self::InvalidDates => "invalid_dates",
            Self::OverCapacity => "over_capacity",
            Self::Closed => "closed",
        }
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

/// A stay as asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StayRequest {
    /// What is wanted.
    pub room_type_id: RoomTypeId,
    /// First night.
    pub arrival: NaiveDate,
    /// Morning of departure.
    pub departure: NaiveDate,
    /// Guests in this stay.
    pub guests: u32,
}

impl StayRequest {
    /// Its nights.
    pub fn nights(&self) -> Nights {
        Nights::new(self.arrival, self.departure)
    }
}

/// A stay of a booking. What was sold and what is assigned are kept apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stay {
    /// What was asked for and sold.
    pub room_type_id: RoomTypeId,
    /// First night.
    pub arrival: NaiveDate,
    /// Morning of departure.
    pub departure: NaiveDate,
    /// Guests in this stay.
    pub guests: u32,
    /// The beds, the same on every night; empty before any were assigned. A cancelled booking keeps the last ones as a record.
    pub assigned_beds: Vec<BedId>,
}

impl Stay {
    /// Its nights.
    pub fn nights(&self) -> Nights {
        Nights::new(self.arrival, self.departure)
    }

    /// Every assigned bed on every night.
    pub fn bed_nights(&self) -> impl Iterator<Item = (&BedId, NaiveDate)> {
        self.assigned_beds.iter().flat_map(|bed| self.nights().iter().map(move |night| (bed, night)))
    }
}

/// How a booking is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Nothing is owed before arrival.
    PayOnArrival,
    /// Nothing is owed at all.
    NotDue,
}

/// What caused a revision. The first history entry is always `Request`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The guest's request was decided.
    Request,
    /// The booking was cancelled.
    Cancel,
}

/// One revision: what happened, why, and which message caused it.
///
/// Because it names the command and the event, a redelivered command finds its own entry and publishes the same event
/// again: the booking is inbox and outbox in one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Revision that this entry made, counting from 1 without gaps.
    pub rev: u32,
    /// When it was decided.
    pub at: Timestamp,
    /// What was asked.
    pub action: Action,
    /// Status before; `requested` for the first entry.
    pub from: Status,
    /// Status after.
    pub to: Status,
    /// The command's message id.
    #[serde(with = "uuid_text")]
    pub command_id: Uuid,
    /// The event's message id.
    #[serde(with = "uuid_text")]
    pub event_id: Uuid,
    /// Who asked: `guest`, `client:<id>`, `staff:<id>`, `system`.
    pub actor: String,
    /// Why, if somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
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
    pub payment_status: PaymentStatus,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection: Option<Rejection>,
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
