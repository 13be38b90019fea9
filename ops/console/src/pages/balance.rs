//! Balance of a booking: what is open between the property and its guests.

use pvt_domain::booking::Booking;
use pvt_domain::money::{Currency, Money};

/// What is owed, and what staff are to return.
pub(crate) fn balance(booking: &Booking, currency: Currency) -> String {
    let due = Money::new(booking.outstanding(), currency).to_string();
    to_return(booking, currency).map_or(due.clone(), |to_return| format!("{due}, {to_return}"))
}

/// What staff are to return to the guest, if anything: Stripe returns the rest by itself.
pub(crate) fn to_return(booking: &Booking, currency: Currency) -> Option<String> {
    let by_staff = booking.payment.refunds_due().manual;
    (by_staff > 0).then(|| format!("{} to be returned to the guest", Money::new(by_staff, currency)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pvt_domain::ledger::Summary;
    use serde_json::json;

    #[test]
    fn cash_that_is_to_be_returned_is_shown_beside_what_is_owed() {
        let id = "11111111-2222-5333-8444-555555555555";
        let mut booking: Booking = serde_json::from_value(json!({
            "_id": id, "reference": "PVT-0000000000", "status": "checked_out", "rev": 1, "property_id": "here",
            "rate_plan_id": "standard", "source": "direct",
            "stays": [{ "room_type_id": "dorm", "arrival": "2027-01-10", "departure": "2027-01-11", "guests": 1,
                "assigned_beds": [] }],
            "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com" },
            "price": { "currency": "CAD", "nights": [[4200]], "taxes": [], "total": 4200 }, "fingerprint": "f",
            "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:00.010Z", "history": [],
        }))
        .unwrap();
        assert_eq!(balance(&booking, Currency::CAD), "42.00 CAD");
        booking.payment.ledger = Some(Summary { captured: 9_197, manual: 9_197, ..Summary::default() });
        booking.payment.to_refund = 4_997;
        assert_eq!(balance(&booking, Currency::CAD), "0.00 CAD, 49.97 CAD to be returned to the guest");
        booking.payment.ledger = Some(Summary { captured: 9_197, ..Summary::default() });
        assert_eq!(balance(&booking, Currency::CAD), "0.00 CAD", "Stripe returns it by itself");
    }
}
