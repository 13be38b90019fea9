//! The HTML of every mail about a booking as mail programs lay it out.

use super::{composed, read};
use crate::mail::fixtures::{booking, cancelled, held, inventory, modified, with_payments, with_pending_change};
use crate::mail::layout::{assert_layout, buttons};
use pvt_domain::booking::Status;
use pvt_domain::messages::NotificationKind::{
    ArrivalSoon, BookingCancelled, BookingConfirmed, BookingModified, ChangePaymentLink, PaymentLink, PaymentReceived,
};

#[test]
fn mails_keep_width_and_buttons_in_outlook() {
    let paid = with_payments(&held(), 14_280, 0, Status::Confirmed);
    let mails = [
        (BookingConfirmed, booking(), 0),
        (BookingModified, modified(), 0),
        (BookingCancelled, cancelled(), 0),
        (ArrivalSoon, booking(), 0),
        (PaymentLink, held(), 1),
        (ChangePaymentLink, with_pending_change(), 1),
        (PaymentReceived, paid, 1),
    ];
    for (kind, mut booking, expected) in mails {
        for locale in ["en", "fr"] {
            booking.guest.locale = Some(locale.to_owned());
            let (_, text, html) = read(&composed(kind, &booking, &inventory()));
            assert_layout(&html, &text);
            assert_eq!(buttons(&html), expected, "{kind:?}");
        }
    }
}

#[test]
fn cells_hold_what_guests_and_staff_type() {
    let (mut booking, mut inventory) = (booking(), inventory());
    booking.guest.first_name = "\" style=\"padding:9px".to_owned();
    inventory.property.name = "</td></tr></table><div>".to_owned();
    inventory.property.address = "<!--[if mso]>".to_owned();
    let (_, text, html) = read(&composed(BookingConfirmed, &booking, &inventory));
    assert_layout(&html, &text);
}
