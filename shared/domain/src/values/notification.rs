//! Kinds of mails.

use crate::wire_enum;

wire_enum! {
    /// Kind of a mail about a booking.
    #[derive(Hash)]
    pub enum NotificationKind {
        /// The booking is confirmed.
        BookingConfirmed = "booking_confirmed",
        /// Dates, guests, room types or the price were changed.
        BookingModified = "booking_modified",
        /// The booking is cancelled.
        BookingCancelled = "booking_cancelled",
        /// The guests did not arrive, and their beds were released.
        BookingNoShow = "booking_no_show",
        /// Arrival is in a few days.
        ArrivalSoon = "arrival_soon",
        /// Arrival is today.
        ArrivalToday = "arrival_today",
        /// Beds are held until payment: where to pay, and until when.
        PaymentLink = "payment_link",
        /// What a change adds is held until payment: where to pay, and until when.
        ChangePaymentLink = "change_payment_link",
        /// A change that was held until payment was dropped unpaid.
        ChangeReleased = "change_released",
        /// A payment for a confirmed booking was received.
        PaymentReceived = "payment_received",
        /// A payment attempt failed.
        PaymentFailed = "payment_failed",
        /// The hold expired unpaid.
        HoldExpired = "hold_expired",
        /// A refund was made.
        PaymentRefunded = "payment_refunded",
        /// The payment came after the beds were released and sold: it is refunded, with an apology.
        PaymentReturned = "payment_returned",
        /// A refund that was announced failed: the money is returned in another way.
        RefundFailed = "refund_failed",
        /// The guest's address was replaced: the last mail to the one before.
        AddressChanged = "address_changed",
    }
}

impl NotificationKind {
    /// The kinds that staff may ask for, by name.
    pub const REQUESTABLE: &'static [(&'static str, Self)] = &[
        Self::BookingConfirmed.named(),
        Self::BookingModified.named(),
        Self::BookingCancelled.named(),
        Self::BookingNoShow.named(),
        Self::ArrivalSoon.named(),
        Self::ArrivalToday.named(),
        Self::PaymentLink.named(),
        Self::ChangePaymentLink.named(),
        Self::ChangeReleased.named(),
        Self::PaymentReceived.named(),
        Self::HoldExpired.named(),
        Self::PaymentRefunded.named(),
        Self::PaymentReturned.named(),
        Self::RefundFailed.named(),
    ];

    /// Whether staff may ask for it. A notice to a former address would go to the present one; a failed attempt to pay
    /// is no revision of the booking, and the link to pay says what to do.
    pub const fn is_requestable(self) -> bool {
        !matches!(self, Self::AddressChanged | Self::PaymentFailed)
    }

    const fn named(self) -> (&'static str, Self) {
        (self.as_str(), self)
    }
}

wire_enum! {
    /// Kind of a mail about an account.
    #[derive(Hash)]
    pub enum AccountMailKind {
        /// The account was created.
        Welcome = "welcome",
        /// The address that was registered already has an account.
        AlreadyRegistered = "already_registered",
        /// The password can be reset.
        PasswordReset = "password_reset",
        /// A booking's payment needs the attention of staff.
        StaffAlert = "staff_alert",
    }
}

#[cfg(test)]
mod tests {
    use super::NotificationKind;

    #[test]
    fn kinds_that_staff_may_request_are_listed_in_order() {
        let requestable = NotificationKind::ALL.into_iter().filter(|(_, kind)| kind.is_requestable());
        assert_eq!(requestable.collect::<Vec<_>>(), NotificationKind::REQUESTABLE);
    }
}
