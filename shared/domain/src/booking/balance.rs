//! Balance of a booking: what is owed, payable and to be refunded in its present status.

use super::mails::increase;
use super::{Booking, HistoryEntry, PaymentStatus, Status};
use crate::ledger::Summary;
use crate::stripe::amounts;

impl Booking {
    /// Amount that the property may keep in the booking's present status.
    fn owed(&self) -> i64 {
        match self.status {
            Status::Requested | Status::Held | Status::Confirmed | Status::CheckedIn | Status::CheckedOut => {
                self.total() + self.change_fee()
            }
            Status::NoShow | Status::Cancelled => self.cancellation_fee.unwrap_or(0),
            Status::Expired | Status::Rejected => 0,
        }
    }

    /// What is still owed, in minor units of the price's currency: the balance, or of a booking that has ended the part
    /// of its fee that no payment covered. That part is not collected by itself: it is never payable. What is returned
    /// after the end is not owed again; a surplus payment is refunded, and pays for no fee.
    pub fn outstanding(&self) -> i64 {
        match self.status {
            Status::NoShow | Status::Cancelled => {
                let ledger = self.payment.ledger();
                // A refund that has failed since then returned nothing.
                let by_then = ledger.refunded - self.refunded_since_end().max(0);
                let returned = ledger.surplus.max(by_then);
                (self.owed() - (ledger.most_refundable() - returned).max(0)).max(0)
            }
            _ => self.balance(),
        }
    }

    /// What was refunded since the booking ended.
    fn refunded_since_end(&self) -> i64 {
        let is_end = |entry: &&HistoryEntry| entry.from != entry.to && entry.to == self.status;
        let end = self.history.iter().rfind(is_end).map_or(0, |entry| entry.rev);
        let since = self.history.iter().filter(|entry| entry.rev > end);
        since.map(|entry| increase(entry, |ledger| ledger.refunded)).sum()
    }

    /// Open balance, in minor units of the price's currency. A cancellation fee is not collected by itself.
    pub fn balance(&self) -> i64 {
        if !self.status.holds_beds() {
            return 0;
        }
        (self.owed() - self.payment.ledger.as_ref().map_or(0, Summary::kept)).max(0)
    }

    /// Amount that a guest can pay now: what confirms a held booking or a pending change, otherwise the balance, as far
    /// as Stripe takes it in one payment. A guest who paid in another currency is not asked again: staff decide.
    pub fn payable(&self) -> i64 {
        let ledger = self.payment.ledger.as_ref();
        if ledger.is_some_and(|ledger| !ledger.other_currencies.is_empty()) {
            return 0;
        }
        let due = match (&self.pending_change, self.status) {
            (Some(pending), _) => return self.missing(pending.required),
            (None, Status::Held) => self.payment.required - ledger.map_or(0, |ledger| ledger.cleared),
            (None, _) => self.balance(),
        };
        self.payable_part(due.max(0))
    }

    /// What is missing of the deposit of a change, as far as Stripe takes it: a rest below its smallest amount could
    /// never be paid, and is left to the balance.
    pub(crate) fn missing(&self, required: i64) -> i64 {
        self.payable_part((required - self.payment.retained()).max(0))
    }

    /// The part of an amount that Stripe takes in one payment.
    fn payable_part(&self, amount: i64) -> i64 {
        self.price.as_ref().map_or(amount, |price| amounts::payable_part(amount, price.currency))
    }

    /// Total to refund in the booking's present status: overpayment and surplus payments.
    ///
    /// `refund = max(0, captured − refunded − fee)`; amounts charged back cannot be refunded.
    pub fn total_to_refund(&self) -> i64 {
        let Some(pending) = &self.pending_change else { return self.total_to_refund_if_owed(self.owed()) };
        // What is paid towards a pending change is kept until the change is applied or released.
        let total = pending.price.as_ref().map_or(0, |price| price.total);
        // A chargeback since then has perhaps returned what was to be refunded before it.
        let decided = pending.to_refund.min(self.total_to_refund_if_owed(self.owed()));
        self.total_to_refund_if_owed(self.owed().max(total)).max(decided)
    }

    /// The same, if the property may keep `owed`: a cancellation fee, for example.
    pub fn total_to_refund_if_owed(&self, owed: i64) -> i64 {
        let Some(ledger) = &self.payment.ledger else { return 0 };
        let left = ledger.most_refundable();
        (left - owed).max(ledger.surplus.min(left)).max(0)
    }

    /// Payment status for display.
    pub fn payment_status(&self) -> PaymentStatus {
        let ledger = self.payment.ledger();
        let is_live = self.status.holds_beds();
        match ledger {
            Summary { captured: 1.., charged_back: 1.., .. } if ledger.kept() <= 0 => PaymentStatus::ChargedBack,
            Summary { captured: 1.., refunded: 1.., .. } if ledger.kept() <= 0 => PaymentStatus::Refunded,
            Summary { captured: 1.., refunded: 1.., .. } if !is_live || self.balance() > 0 => {
                PaymentStatus::PartiallyRefunded
            }
            Summary { captured: 1.., .. } if self.outstanding() > 0 => PaymentStatus::PartiallyPaid,
            Summary { captured: 1.., .. } => PaymentStatus::Paid,
            Summary { processing: true, .. } => PaymentStatus::Processing,
            _ if !ledger.other_currencies.is_empty() => PaymentStatus::PartiallyPaid,
            _ if self.status == Status::Held => PaymentStatus::Pending,
            _ if is_live && self.balance() > 0 => PaymentStatus::PayOnArrival,
            _ if self.outstanding() > 0 => PaymentStatus::FeeOwed,
            _ => PaymentStatus::NotDue,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::booking::{Booking, Payment, Status};
    use crate::ledger::Summary;
    use serde_json::json;

    /// Cancelled at this fee with these payments, of which so much was refunded by then.
    fn cancelled(fee: i64, ledger: Summary, refunded: i64) -> Booking {
        let payment = |ledger: &Summary| json!({ "ledger": serde_json::to_value(ledger).unwrap() });
        let before = Summary { refunded, ..ledger.clone() };
        let entry = |rev: u32, action, from, changes| {
            json!({ "rev": rev, "at": "2026-12-01T12:00:01.000Z", "action": action, "from": from, "to": "cancelled",
                "command_id": "11111111-2222-5333-8444-555555555556", "actor": "guest",
                "event_id": "11111111-2222-5333-8444-555555555557", "changes": changes })
        };
        let refunds = json!({ "payment": { "before": payment(&before), "after": payment(&ledger) } });
        let mut booking: Booking = serde_json::from_value(json!({
            "_id": "11111111-2222-5333-8444-555555555555", "reference": "PVT-0000000000", "status": "cancelled",
            "rev": 3, "property_id": "pvt-montreal", "rate_plan_id": "standard", "source": "direct", "stays": [],
            "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com" },
            "price": { "currency": "CAD", "nights": [[20_000]], "taxes": [], "total": 20_000 },
            "fingerprint": "f", "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:01.000Z",
            "history": [entry(2, "cancel", "confirmed", json!(null)),
                entry(3, "record_payment", "cancelled", refunds)],
        }))
        .unwrap();
        booking.cancellation_fee = Some(fee);
        booking.payment = Payment { ledger: Some(ledger), ..Payment::default() };
        booking
    }

    #[test]
    fn fee_is_owed_as_far_as_it_was_never_paid() {
        let paid = |captured, refunded| Summary { captured, refunded, ..Summary::default() };
        let twice = |refunded| Summary { surplus: 10_000, ..paid(20_000, refunded) };
        for (name, fee, ledger, by_then, owed, to_refund) in [
            ("not paid", 5_000, paid(0, 0), 0, 5_000, 0),
            ("paid in part", 5_000, paid(2_000, 0), 0, 3_000, 0),
            ("all paid, the rest returned", 5_000, paid(20_000, 15_000), 0, 0, 15_000),
            ("the fee was returned, too", 5_000, paid(20_000, 20_000), 0, 0, 15_000),
            ("all was returned before", 5_000, paid(20_000, 20_000), 20_000, 5_000, 15_000),
            ("a record was corrected", 5_000, paid(5_000, 5_000), 5_000, 5_000, 0),
            ("a deposit was paid twice", 20_000, twice(0), 0, 10_000, 10_000),
            ("its surplus was returned", 20_000, twice(10_000), 0, 10_000, 10_000),
            ("its surplus was returned before", 20_000, twice(10_000), 10_000, 10_000, 10_000),
            ("charged back", 5_000, Summary { charged_back: 20_000, ..paid(20_000, 0) }, 0, 5_000, 0),
        ] {
            let booking = cancelled(fee, ledger, by_then);
            assert_eq!((booking.outstanding(), booking.total_to_refund()), (owed, to_refund), "{name}");
            assert_eq!(
                (booking.payable(), booking.status),
                (0, Status::Cancelled),
                "{name}: never collected by itself"
            );
        }
    }
}
