//! Reasons for which requests are rejected and commands refused, and what can be offered instead.

use super::stay::StayRequest;
use crate::ids::BookingId;
use crate::wire_enum;
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
        /// Too early: check-in opens on the day of arrival, a no-show can be marked after the cut-off.
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
}

/// Most bookings that a refusal names, so that its message keeps within its limit.
pub(crate) const MAX_NAMED_BOOKINGS: usize = 50;

impl RefusalDetail {
    /// A refusal without further details.
    pub fn of(code: impl Into<RefusalCode>) -> Self {
        Self { code: code.into(), alternatives: Vec::new(), bookings: Vec::new(), booking_count: None }
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
