//! Reasons for which requests are rejected and commands refused, and what can be offered instead.

use super::restriction::RestrictionViolation;
use super::stay::StayRequest;
use crate::ids::{BedId, BookingId, RoomTypeId};
use crate::wire_enum;
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Declares [`Rejection`] and [`RefusalCode`] from one list: every reason to reject a request may also refuse a change.
macro_rules! refusals {
    (
        rejections { $( $(#[$rejection_doc:meta])* $rejection:ident = $rejection_wire:literal, )+ }
        refusals { $( $(#[$refusal_doc:meta])* $refusal:ident = $refusal_wire:literal, )+ }
    ) => {
        wire_enum! {
            /// Reason for which a request is rejected.
            #[derive(Hash)]
            pub enum Rejection {
                $( $(#[$rejection_doc])* $rejection = $rejection_wire, )+
            }
        }

        wire_enum! {
            /// Reason for which a command is refused.
            #[derive(Hash)]
            pub enum RefusalCode {
                $( $(#[$rejection_doc])* $rejection = $rejection_wire, )+
                $( $(#[$refusal_doc])* $refusal = $refusal_wire, )+
            }
        }

        impl From<Rejection> for RefusalCode {
            fn from(rejection: Rejection) -> Self {
                match rejection {
                    $( Rejection::$rejection => Self::$rejection, )+
                }
            }
        }
    };
}

refusals! {
    rejections {
        /// Not enough free beds on at least one night.
        NoAvailability = "no_availability",
        /// The dates cannot be sold: past, too far ahead, or not a range.
        InvalidDates = "invalid_dates",
        /// More guests than the room type can take at all, or takes in one booking.
        OverCapacity = "over_capacity",
        /// The room type or rate plan is not, or no longer, sold.
        Closed = "closed",
        /// A restriction of the rate plan forbids these dates.
        Restriction = "restriction",
        /// The price is no longer what was quoted.
        PriceChanged = "price_changed",
        /// The dorm is for the other gender.
        Gender = "gender",
        /// A guest is younger than the room type allows.
        Age = "age",
    }
    refusals {
        /// Too early: check-in opens with the business day of arrival, a no-show can be marked after it.
        TooEarly = "too_early",
        /// Too late: only an administrator undoes what is older than a business day; check-in ends at departure.
        TooLate = "too_late",
        /// The balance is open.
        BalanceOpen = "balance_open",
        /// A payment was captured or is processing and must be settled first.
        PaymentUnderWay = "payment_under_way",
        /// A stay has no beds, or not as many as it has guests.
        BedsMissing = "beds_missing",
        /// A bed must be cleaned first.
        BedNotClean = "bed_not_clean",
        /// A guest who has not checked out lies in the bed.
        BedOccupied = "bed_occupied",
        /// Checked-in guests would change beds tonight, and staff named none.
        BedsUnnamed = "beds_unnamed",
        /// A bed is taken.
        BedTaken = "bed_taken",
        /// The bed does not exist, is out of service, or does not belong to the stay's room type.
        BedUnfit = "bed_unfit",
        /// The stay does not exist, or is named twice.
        UnknownStay = "unknown_stay",
        /// The guests of the stay have arrived or left already, or have not arrived.
        WrongProgress = "wrong_progress",
        /// A part of a stay is named that there is not: it has no such beds, fewer guests, or is a private room, which
        /// is let as a whole.
        UnknownGuests = "unknown_guests",
        /// A reason is required.
        ReasonMissing = "reason_missing",
        /// The booking has reached its maximum number of revisions.
        TooManyChanges = "too_many_changes",
    }
}

/// Refusal of a command, with what the caller can do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusalDetail {
    /// The reason.
    pub code: RefusalCode,
    /// Offers that could be booked instead: at most three.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Alternative>,
    /// Bookings that are in the way: the first fifty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bookings: Vec<BookingId>,
    /// How many bookings are in the way, if there are more than are named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booking_count: Option<usize>,
    /// What exactly forbids it, where that is known.
    #[serde(default, skip_serializing_if = "RefusalCause::is_empty")]
    pub cause: RefusalCause,
}

/// What exactly forbids a request or a command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusalCause {
    /// Restrictions that the stays violate: the first twenty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restrictions: Vec<RestrictionViolation>,
    /// Nights without enough beds, by room type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shortages: Vec<Shortage>,
    /// Beds that are not clean, each with those that could be assigned instead: the first ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dirty_beds: Vec<DirtyBed>,
    /// The first business day on which it is not too early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub possible_from: Option<NaiveDate>,
}

/// A bed into which guests cannot move before it is cleaned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DirtyBed {
    /// Bed.
    pub bed: BedId,
    /// Clean beds of its room type that are free on all remaining nights of the stay, in private rooms all beds of such
    /// a room: the first, at most ten.
    pub clean: Vec<BedId>,
}

impl DirtyBed {
    /// A bed with the clean ones of whole `units`, as many as are named.
    pub(crate) fn new(bed: BedId, units: Vec<Vec<BedId>>) -> Self {
        let mut clean = Vec::new();
        for unit in units {
            if clean.len() + unit.len() > MAX_NAMED_BEDS {
                break;
            }
            clean.extend(unit);
        }
        Self { bed, clean }
    }
}

/// Nights on which a room type has too few free beds for the stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shortage {
    /// Room type.
    pub room_type_id: RoomTypeId,
    /// The nights: the first thirty. All nights of the stays when every one has enough free beds, but not the same.
    pub nights: Vec<NaiveDate>,
}

/// Most restrictions that a refusal names.
const MAX_NAMED_RESTRICTIONS: usize = 20;
/// Most nights that a refusal names for one room type.
const MAX_NAMED_NIGHTS: usize = 30;
/// Most beds that are not clean that a refusal names, and most clean ones for each.
const MAX_NAMED_BEDS: usize = 10;

impl RefusalCause {
    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These restrictions, as many as are named.
    pub fn restricted(mut restrictions: Vec<RestrictionViolation>) -> Self {
        restrictions.truncate(MAX_NAMED_RESTRICTIONS);
        Self { restrictions, ..Self::default() }
    }

    /// These shortages, with as many nights as are named.
    pub(crate) fn short_of(mut shortages: Vec<Shortage>) -> Self {
        shortages.iter_mut().for_each(|shortage| shortage.nights.truncate(MAX_NAMED_NIGHTS));
        Self { shortages, ..Self::default() }
    }

    /// These beds, as many as are named.
    pub(crate) fn not_clean(mut dirty_beds: Vec<DirtyBed>) -> Self {
        dirty_beds.truncate(MAX_NAMED_BEDS);
        Self { dirty_beds, ..Self::default() }
    }
}

/// Most bookings that a refusal names, so that its message keeps within its limit.
pub(crate) const MAX_NAMED_BOOKINGS: usize = 50;

impl RefusalDetail {
    /// A refusal without further details.
    pub fn of(code: impl Into<RefusalCode>) -> Self {
        Self {
            code: code.into(),
            alternatives: Vec::new(),
            bookings: Vec::new(),
            booking_count: None,
            cause: RefusalCause::default(),
        }
    }

    /// The same refusal with its cause.
    pub fn caused_by(self, cause: RefusalCause) -> Self {
        Self { cause, ..self }
    }

    /// The same refusal with the bookings in the way: the first of them, and how many there are.
    pub fn naming(mut self, mut bookings: Vec<BookingId>) -> Self {
        bookings.sort_unstable();
        bookings.dedup();
        self.booking_count = Some(bookings.len()).filter(|count| *count > MAX_NAMED_BOOKINGS);
        bookings.truncate(MAX_NAMED_BOOKINGS);
        self.bookings = bookings;
        self
    }
}

/// An offer to a guest whose request was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Alternative {
    /// All stays of the booking, with other dates or another room type.
    pub stays: Vec<StayRequest>,
    /// Their price, taxes included, in minor units of the property's currency.
    pub total: i64,
}
