//! What a mail says of money: lines and sentences, all from the booking as it is now but for what a single payment or
//! refund came to.

use super::{Link, Row};
use crate::mail::language::Language;
use crate::mail::links::Links;
use chrono_tz::Tz;
use pvt_domain::booking::history::PaymentChange;
use pvt_domain::booking::{Booking, Status};
use pvt_domain::inventory::Property;
use pvt_domain::ledger::Summary;
use pvt_domain::messages::NotificationKind;
use pvt_domain::money::{Currency, Money};
use pvt_domain::timestamp::Timestamp;

/// What is told.
pub(super) struct PaymentSummary<'a> {
    kind: NotificationKind,
    booking: &'a Booking,
    /// What the revision that the mail tells of changed.
    change: Option<&'a PaymentChange>,
    ledger: Summary,
    language: Language,
    currency: Currency,
    zone: Tz,
}

impl<'a> PaymentSummary<'a> {
    /// The figures of a mail of this kind that tells of revision `rev`.
    pub(super) fn of(
        kind: NotificationKind,
        rev: u32,
        booking: &'a Booking,
        property: &Property,
        language: Language,
    ) -> Self {
        let entry = booking.history.iter().find(|entry| entry.rev == rev);
        Self {
            kind,
            booking,
            change: entry.and_then(|entry| entry.changes.as_deref()).and_then(|changes| changes.payment.as_ref()),
            ledger: booking.payment.ledger(),
            language,
            currency: booking.price.as_ref().map_or(property.currency, |price| price.currency),
            zone: property.time_zone,
        }
    }

    /// The lines under the heading of figures.
    pub(super) fn rows(&self) -> Vec<Row> {
        let say = self.language.phrases();
        let ledger = &self.ledger;
        match self.kind {
            NotificationKind::PaymentLink | NotificationKind::PaymentFailed => self.payment_request_rows(),
            NotificationKind::BookingCancelled => self.cancellation_rows(say.fee),
            NotificationKind::BookingNoShow => self.cancellation_rows(say.no_show_fee),
            NotificationKind::HoldExpired => Vec::new(),
            NotificationKind::PaymentReturned => {
                vec![self.amount(say.paid, ledger.captured), self.amount(say.refund, self.refund_total())]
            }
            _ if ledger.captured == 0 => Vec::new(),
            _ => self.account_rows(),
        }
    }

    /// What is asked for, until when, and what is left for later.
    fn payment_request_rows(&self) -> Vec<Row> {
        let say = self.language.phrases();
        let due = self.booking.payable();
        let later = self.booking.balance() - due;
        let mut lines = vec![self.amount(say.due_now, due)];
        lines.extend(
            self.booking
                .payment
                .expires_at
                .map(|at| Row { label: say.deadline.to_owned(), value: self.local_moment(at) }),
        );
        lines.extend((later > 0).then(|| self.amount(say.due_on_arrival, later)));
        lines
    }

    /// What ending the booking costs, of what was paid.
    fn cancellation_rows(&self, fee: &str) -> Vec<Row> {
        let say = self.language.phrases();
        vec![
            self.amount(say.paid, self.ledger.captured),
            self.amount(fee, self.booking.cancellation_fee.unwrap_or(0)),
            self.amount(say.refund, self.refund_total()),
        ]
    }

    /// What came, what went, and what is left.
    fn account_rows(&self) -> Vec<Row> {
        let say = self.language.phrases();
        let moved = match self.kind {
            NotificationKind::PaymentReceived => Some((say.this_payment, self.increase(|ledger| ledger.captured))),
            NotificationKind::PaymentRefunded => Some((say.this_refund, self.increase(|ledger| ledger.refunded))),
            _ => None,
        };
        let parts = [
            (say.paid, self.ledger.captured),
            (say.refunded, self.ledger.refunded),
            (say.charged_back, self.ledger.charged_back),
            (say.to_come_back, self.booking.payment.refund_due()),
        ];
        let told = moved.into_iter().chain(parts).filter(|(_, amount)| *amount > 0);
        let mut lines: Vec<Row> = told.map(|(label, amount)| self.amount(label, amount)).collect();
        if self.booking.status.holds_beds() {
            lines.push(self.amount(say.balance, self.booking.balance()));
        }
        lines
    }

    /// What goes back in all, what went already included: somebody may have given back more than was decided.
    fn refund_total(&self) -> i64 {
        self.booking.payment.to_refund.max(self.ledger.refunded)
    }

    /// How much this part of the ledger rose with the revision that is told of.
    fn increase(&self, part: impl Fn(&Summary) -> i64) -> i64 {
        self.change.map_or(0, |change| part(&change.after.ledger()) - part(&change.before.ledger()))
    }

    /// The sentence on what is still to be paid; none about a stay that will not be, and none where lines say it.
    pub(super) fn payment(&self) -> &'static str {
        let say = self.language.phrases();
        match self.booking.balance() {
            _ if self.booking.status == Status::Held => "",
            0 if self.ledger.kept() > 0 => say.all_paid,
            0 => say.not_due,
            _ if self.ledger.kept() > 0 => say.balance_on_arrival,
            _ => say.pay_on_arrival,
        }
    }

    /// The sentence to whoever paid twice.
    pub(super) fn note(&self) -> &'static str {
        let tells_of_payment =
            matches!(self.kind, NotificationKind::PaymentReceived | NotificationKind::BookingConfirmed);
        if tells_of_payment && self.increase(|ledger| ledger.surplus) > 0 {
            self.language.phrases().paid_twice
        } else {
            ""
        }
    }

    /// The button: where to pay, or the receipt of what was paid.
    pub(super) fn link(&self, links: &Links) -> Option<Link> {
        let say = self.language.phrases();
        let asks = matches!(self.kind, NotificationKind::PaymentLink | NotificationKind::PaymentFailed);
        if asks && self.booking.payable() > 0 {
            return Some(Link { label: say.pay, url: links.pay(self.booking.id) });
        }
        (self.ledger.captured > 0).then(|| Link { label: say.receipt, url: links.receipt(self.booking.id) })
    }

    fn amount(&self, label: &str, amount: i64) -> Row {
        Row { label: label.to_owned(), value: self.language.money(Money::new(amount, self.currency)) }
    }

    /// Date and time as clocks at the property show them.
    fn local_moment(&self, at: Timestamp) -> String {
        let local = at.as_datetime().with_timezone(&self.zone);
        format!("{}, {}", self.language.date(local.date_naive()), self.language.time(local.time()))
    }
}
