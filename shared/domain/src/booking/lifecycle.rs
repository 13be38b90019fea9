//! Where a booking stands, and how it may move on.

use serde::{Deserialize, Serialize};

/// Where a booking stands. `requested` exists only between intake and decision and is never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Accepted at intake, not decided.
    Requested,
    /// Beds are claimed until it is paid, or time is up.
    Held,
    /// Beds are claimed.
    Confirmed,
    /// The guests are in the house.
    CheckedIn,
    /// The guests have left. Final.
    CheckedOut,
    /// Nobody came; the beds are free again.
    NoShow,
    /// Refused, with a reason. Final.
    Rejected,
    /// Was held or confirmed, its beds are free again. Final.
    Cancelled,
    /// Nobody paid in time; the beds are free again. Whoever pays late gets them if they still are.
    Expired,
}

impl Status {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Requested,
        Self::Held,
        Self::Confirmed,
        Self::CheckedIn,
        Self::CheckedOut,
        Self::NoShow,
        Self::Rejected,
        Self::Cancelled,
        Self::Expired,
    ];

    /// States in which a booking owns beds, as they are written: what queries ask for.
    pub const HOLDING: [&'static str; 4] = ["held", "confirmed", "checked_in", "checked_out"];

    /// The wire name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Held => "held",
            Self::Confirmed => "confirmed",
            Self::CheckedIn => "checked_in",
            Self::CheckedOut => "checked_out",
            Self::NoShow => "no_show",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// Whether a booking in this state owns beds. The nights that were slept stay claimed after departure.
    pub fn holds_beds(self) -> bool {
        matches!(self, Self::Held | Self::Confirmed | Self::CheckedIn | Self::CheckedOut)
    }

    /// Whether the beds of a booking in this state count as sold.
    pub fn has_sold(self) -> bool {
        self.holds_beds() && self != Self::Held
    }

    /// Whether a booking in this state may be given other beds to make room for somebody else.
    pub fn allows_reassignment(self) -> bool {
        matches!(self, Self::Held | Self::Confirmed)
    }

    /// Whether the stays of a booking in this state may be changed.
    pub fn is_changeable(self) -> bool {
        matches!(self, Self::Confirmed | Self::CheckedIn)
    }

    /// The legal moves of the lifecycle, the undoing of a check-in or a no-show included.
    pub fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Requested, Self::Held | Self::Confirmed | Self::Rejected)
                | (Self::Held, Self::Confirmed | Self::Expired | Self::Cancelled)
                | (Self::Expired, Self::Confirmed)
                | (Self::Confirmed, Self::Cancelled | Self::CheckedIn | Self::NoShow)
                | (Self::CheckedIn, Self::CheckedOut | Self::Confirmed)
                | (Self::NoShow, Self::Confirmed)
        )
    }
}

/// Why a request was refused, or a change of a booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// Not enough free beds on at least one night.
    NoAvailability,
    /// The dates cannot be sold: past, too far ahead, or not a range.
    InvalidDates,
    /// More guests than the room type can take at all, or takes in one booking.
    OverCapacity,
    /// The room type or rate plan is not, or no longer, sold.
    Closed,
    /// A restriction of the rate plan forbids these dates.
    Restriction,
    /// The price is no longer what was quoted.
    PriceChanged,
    /// The dorm is for the other gender.
    Gender,
    /// Somebody is younger than the room type allows.
    Age,
}

impl Rejection {
    /// Every reason with its wire name.
    pub const ALL: [(&'static str, Self); 8] = [
        ("no_availability", Self::NoAvailability),
        ("invalid_dates", Self::InvalidDates),
        ("over_capacity", Self::OverCapacity),
        ("closed", Self::Closed),
        ("restriction", Self::Restriction),
        ("price_changed", Self::PriceChanged),
        ("gender", Self::Gender),
        ("age", Self::Age),
    ];

    /// The wire name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoAvailability => "no_availability",
            Self::InvalidDates => "invalid_dates",
            Self::OverCapacity => "over_capacity",
            Self::Closed => "closed",
            Self::Restriction => "restriction",
            Self::PriceChanged => "price_changed",
            Self::Gender => "gender",
            Self::Age => "age",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Rejection, Status};

    #[test]
    fn final_statuses_have_no_successor() {
        for end in [Status::CheckedOut, Status::Rejected, Status::Cancelled] {
            assert!(Status::ALL.iter().all(|next| !end.may_become(*next)), "{end:?}");
            assert!(!end.is_changeable());
        }
    }

    #[test]
    fn holding_lists_every_status_that_holds_beds() {
        let holding: Vec<&str> =
            Status::ALL.into_iter().filter(|status| status.holds_beds()).map(Status::as_str).collect();
        assert_eq!(holding, Status::HOLDING);
    }

    #[test]
    fn wire_names_match_serde() {
        for status in Status::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        for (name, rejection) in Rejection::ALL {
            assert_eq!((serde_json::to_value(rejection).unwrap(), rejection.as_str()), (name.into(), name));
        }
    }
}
