//! Status of a booking and its legal transitions.

use crate::wire_enum;

wire_enum! {
    /// Status of a booking. `requested` exists only between intake and decision and is never stored.
    #[derive(Hash)]
    pub enum Status {
        /// Accepted at intake, not decided.
        Requested = "requested",
        /// Beds are claimed until payment or expiry.
        Held = "held",
        /// Beds are claimed.
        Confirmed = "confirmed",
        /// The guests have checked in.
        CheckedIn = "checked_in",
        /// The guests have checked out. Final.
        CheckedOut = "checked_out",
        /// The guests did not arrive; the beds are released.
        NoShow = "no_show",
        /// Rejected with a reason. Final.
        Rejected = "rejected",
        /// Was held or confirmed; the beds are released. Final.
        Cancelled = "cancelled",
        /// The hold expired unpaid; the beds are released. A late payment claims them again if they are still free.
        Expired = "expired",
    }
}

impl Status {
    /// Names of the statuses in which a booking holds beds, for queries.
    pub const HOLDING: [&'static str; 4] =
        [Self::Held.as_str(), Self::Confirmed.as_str(), Self::CheckedIn.as_str(), Self::CheckedOut.as_str()];

    /// The statuses in which the details of the guest may be corrected: mails, refunds and invoices need them after the
    /// stay, too.
    pub const WITH_GUEST: [Self; 6] =
        [Self::Held, Self::Confirmed, Self::CheckedIn, Self::CheckedOut, Self::NoShow, Self::Cancelled];

    /// Whether a booking in this status holds beds. Nights that were slept stay claimed after departure.
    pub fn holds_beds(self) -> bool {
        matches!(self, Self::Held | Self::Confirmed | Self::CheckedIn | Self::CheckedOut)
    }

    /// Whether the beds of a booking in this status count as sold.
    pub fn has_sold(self) -> bool {
        self.holds_beds() && self != Self::Held
    }

    /// Whether a booking in this status may be given other beds to make room for another booking.
    pub fn allows_reassignment(self) -> bool {
        matches!(self, Self::Held | Self::Confirmed)
    }

    /// Whether the stays of a booking in this status may be changed.
    pub fn is_changeable(self) -> bool {
        matches!(self, Self::Confirmed | Self::CheckedIn)
    }

    /// Whether the details of the guest of a booking in this status may be corrected.
    pub fn has_guest(self) -> bool {
        Self::WITH_GUEST.contains(&self)
    }

    /// The legal transitions of the lifecycle, including the reinstatement of a check-in or a no-show.
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

#[cfg(test)]
mod tests {
    use super::Status;
    use crate::booking::Rejection;

    #[test]
    fn final_statuses_have_no_successor() {
        for end in [Status::CheckedOut, Status::Rejected, Status::Cancelled] {
            assert!(Status::ALL.iter().all(|(_, next)| !end.may_become(*next)), "{end:?}");
            assert!(!end.is_changeable());
        }
    }

    #[test]
    fn holding_lists_every_status_that_holds_beds() {
        let holding: Vec<&str> =
            Status::ALL.into_iter().filter(|(_, status)| status.holds_beds()).map(|(name, _)| name).collect();
        assert_eq!(holding, Status::HOLDING);
    }

    #[test]
    fn wire_names_match_serde() {
        for (name, status) in Status::ALL {
            assert_eq!((serde_json::to_value(status).unwrap(), status.as_str()), (name.into(), name));
        }
        for (name, rejection) in Rejection::ALL {
            assert_eq!((serde_json::to_value(rejection).unwrap(), rejection.as_str()), (name.into(), name));
        }
    }
}
