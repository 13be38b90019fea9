//! The payments of a booking as rows and sentences, all as the booking is now but for the amount of a single payment or
//! refund.

use super::rows::{Link, Row};
use crate::mail::kinds::{Movement, PaymentRows, Shows};
use crate::mail::language::Worded as _;
use crate::mail::links::Links;
use pvt_domain::booking::mails::increase;
use pvt_domain::booking::{Booking, HistoryEntry, Status};
use pvt_domain::inventory::Property;
use pvt_domain::ledger::Summary;
use pvt_domain::money::{Currency, Money};
use pvt_domain::people::writing::Language;
use pvt_domain::timestamp::Timestamp;

/// The payments that a mail shows.
pub(super) struct PaymentSummary<'a> {
    shows: &'a Shows,
    booking: &'a Booking,
    /// The revision that the mail reports.
    entry: Option<&'a HistoryEntry>,
    ledger: Summary,
    language: Language,
    currency: Currency,
    property: &'a Property,
    /// When the mail is written: what is over by then is not announced.
    now: Timestamp,
}

impl<'a> PaymentSummary<'a> {
    pub(super) fn of(
        shows: &'a Shows,
        rev: u32,
        booking: &'a Booking,
        (property, now): (&'a Property, Timestamp),
        language: Language,
    ) -> Self {
        Self {
            shows,
            booking,
            entry: booking.history.iter().find(|entry| entry.rev == rev),
            ledger: booking.payment.ledger(),
            language,
            currency: booking.price.as_ref().map_or(property.currency, |price| price.currency),
            property,
            now,
        }
    }

    /// The rows under the heading of payments.
    pub(super) fn rows(&self) -> Vec<Row> {
        let phrases = self.language.phrases();
        let paid = || self.amount(phrases.paid, self.ledger.captured);
        match &self.shows.payments {
            PaymentRows::None => Vec::new(),
            PaymentRows::Request => self.request_rows(),
            PaymentRows::Balance(movement) if self.is_paid() || self.booking.change_fee() > 0 => {
                self.balance_rows(*movement)
            }
            PaymentRows::Balance(_) => Vec::new(),
            PaymentRows::Fee => {
                let agreed = self.booking.price.as_ref().map(|price| self.amount(phrases.agreed, price.total));
                let mut rows: Vec<Row> = agreed.into_iter().chain(self.fee_of_end()).collect();
                rows.push(paid());
                rows.extend(self.other_currency_rows());
                rows.extend(self.positive(phrases.charged_back, self.ledger.charged_back));
                rows.extend(self.refund_rows());
                rows.extend(self.positive(phrases.fee_open, self.open_fee()));
                rows
            }
            PaymentRows::FullRefund => std::iter::once(paid()).chain(self.refund_rows()).collect(),
        }
    }

    /// The fee for ending the booking, once it has ended.
    fn fee_of_end(&self) -> Option<Row> {
        let phrases = self.language.phrases();
        let label = match self.booking.status {
            Status::Cancelled => phrases.fee,
            Status::NoShow => phrases.no_show_fee,
            _ => return None,
        };
        Some(self.amount(label, self.booking.cancellation_fee.unwrap_or(0)))
    }

    /// Whether anything was paid, in whatever currency.
    fn is_paid(&self) -> bool {
        self.ledger.captured > 0 || !self.ledger.other_currencies.is_empty()
    }

    /// The whole refund, including what is refunded already; apart from it, what Stripe does not return by itself.
    fn refund_rows(&self) -> Vec<Row> {
        let (phrases, due) = (self.language.phrases(), self.booking.payment.refunds_due());
        let through_stripe = self.ledger.refunded + due.automatic;
        let is_all = due.disputed + due.manual == 0;
        let first = (is_all || through_stripe > 0).then(|| self.amount(phrases.refund, through_stripe));
        first.into_iter().chain(self.delayed_refund_rows()).collect()
    }

    fn delayed_refund_rows(&self) -> Vec<Row> {
        let (phrases, due) = (self.language.phrases(), self.booking.payment.refunds_due());
        let disputed = self.positive(phrases.refund_disputed, due.disputed);
        disputed.into_iter().chain(self.positive(phrases.refund_manual, due.manual)).collect()
    }

    fn other_currency_rows(&self) -> impl Iterator<Item = Row> {
        let label = self.language.phrases().other_currency;
        let paid = self.ledger.other_currencies.iter();
        paid.map(move |money| Row { label: label.to_owned(), value: self.language.money(*money) })
    }

    /// What is due now, until when, and what is left for later: of the changed booking, if this pays for a change.
    fn request_rows(&self) -> Vec<Row> {
        let phrases = self.language.phrases();
        let due = self.booking.payable();
        let pending = self.shows.pending(self.booking);
        let paid_for = pending.as_ref().unwrap_or(self.booking);
        // Money that is being refunded pays for nothing.
        let kept = self.ledger.kept() - self.booking.payment.refund_due();
        let total = paid_for.price.as_ref().map_or(0, |price| price.total);
        let later = total + paid_for.change_fee() - kept - due;
        let deadline =
            self.booking.hold_ends().map(|at| Row { label: phrases.deadline.to_owned(), value: self.local_moment(at) });
        let mut rows = self.fee_rows(paid_for);
        rows.push(self.amount(phrases.due_now, due));
        rows.extend(deadline);
        rows.extend((later > 0).then(|| self.amount(phrases.due_on_arrival, later)));
        rows
    }

    /// What is owed beside the price: for changes, and for guests who did not arrive.
    fn fee_rows(&self, booking: &Booking) -> Vec<Row> {
        let (phrases, absent) = (self.language.phrases(), booking.absence_fee());
        let fees = [(phrases.change_fee, booking.change_fee() - absent), (phrases.absent, absent)];
        fees.into_iter().filter_map(|(label, amount)| self.positive(label, amount)).collect()
    }

    /// What was paid and refunded, and what is left.
    fn balance_rows(&self, movement: Option<Movement>) -> Vec<Row> {
        let phrases = self.language.phrases();
        let moved = movement.map(|movement| ((movement.label)(phrases), self.increase(movement.part)));
        let due = self.booking.payment.refunds_due();
        let parts = [
            (phrases.paid, self.ledger.captured),
            (phrases.refunded, self.ledger.refunded),
            (phrases.charged_back, self.ledger.charged_back),
            (phrases.refund_pending, due.automatic),
        ];
        let moved = moved.and_then(|(label, amount)| self.positive(label, amount));
        let shown = parts.into_iter().filter_map(|(label, amount)| self.positive(label, amount));
        let shown = moved.into_iter().chain(self.fee_of_end()).chain(self.fee_rows(self.booking)).chain(shown);
        let mut rows: Vec<Row> = shown.chain(self.delayed_refund_rows()).chain(self.other_currency_rows()).collect();
        if self.booking.status.holds_beds() {
            rows.push(self.amount(phrases.balance, self.booking.balance()));
        }
        rows.extend(self.positive(phrases.fee_open, self.open_fee()));
        rows
    }

    /// What is still owed of the fee for ending the booking.
    fn open_fee(&self) -> i64 {
        let is_over = matches!(self.booking.status, Status::Cancelled | Status::NoShow);
        if is_over { self.booking.outstanding() } else { 0 }
    }

    /// How much this part of the ledger rose with the reported revision.
    fn increase(&self, part: impl Fn(&Summary) -> i64) -> i64 {
        self.entry.map_or(0, |entry| increase(entry, part))
    }

    /// The sentence on what is still to be paid; empty while the rows ask for payment.
    pub(super) fn balance_note(&self) -> &'static str {
        let phrases = self.language.phrases();
        match self.booking.balance() {
            _ if self.booking.hold_ends().is_some() => "",
            0 if self.ledger.kept() > 0 => phrases.all_paid,
            0 => phrases.not_due,
            _ if self.booking.status == Status::CheckedIn => phrases.balance_at_front_desk,
            // With a fee, more than the total is owed.
            _ if self.ledger.kept() > 0 || self.booking.change_fee() > 0 => phrases.balance_on_arrival,
            _ => phrases.pay_on_arrival,
        }
    }

    /// The sentence on what is special: money that is not returned by itself, a payment in another currency, or a
    /// duplicate payment.
    pub(super) fn payment_note(&self) -> &'static str {
        let (phrases, due) = (self.language.phrases(), self.booking.payment.refunds_due());
        let shows_money = !matches!(self.shows.payments, PaymentRows::None | PaymentRows::Request);
        match () {
            () if !shows_money => "",
            () if due.manual > 0 => phrases.refund_manual_note,
            () if due.disputed > 0 => phrases.refund_disputed_note,
            () if self.announces_duplicate() => phrases.paid_twice,
            () if !self.ledger.other_currencies.is_empty() => phrases.other_currency_note,
            () if self.open_fee() > 0 => phrases.fee_open_note,
            () => "",
        }
    }

    /// Whether the reported revision is a refund that staff made themselves: nothing arrives on a card.
    pub(super) fn is_refunded_by_hand(&self) -> bool {
        self.entry.is_some_and(|entry| entry.actor.is_staff()) && self.increase(|ledger| ledger.refunded) > 0
    }

    /// Whether this payment was a duplicate of another one, and still is: it may have been charged back since.
    fn announces_duplicate(&self) -> bool {
        self.shows.duplicate_payment && self.ledger.surplus > 0 && self.increase(|ledger| ledger.surplus) > 0
    }

    /// The button: pay, or see the receipt.
    pub(super) fn link(&self, links: &Links) -> Option<Link> {
        let phrases = self.language.phrases();
        if matches!(self.shows.payments, PaymentRows::Request) && self.booking.payable() > 0 {
            return Some(Link { label: phrases.pay, url: links.pay(self.booking) });
        }
        self.is_paid().then(|| Link { label: phrases.receipt, url: links.receipt(self.booking) })
    }

    /// A row of this amount, unless it is zero.
    fn positive(&self, label: &str, amount: i64) -> Option<Row> {
        (amount > 0).then(|| self.amount(label, amount))
    }

    fn amount(&self, label: &str, amount: i64) -> Row {
        Row { label: label.to_owned(), value: self.language.money(Money::new(amount, self.currency)) }
    }

    /// Until when cancelling costs nothing; empty where it costs something.
    pub(super) fn free_until(&self) -> String {
        let until = self.booking.free_cancellation_until(self.property, self.now);
        until.map_or_else(String::new, |until| self.local_moment(Timestamp::new(until)))
    }

    /// What cancelling costs from now on, beyond what is free, as a sentence; empty where it is free or impossible.
    pub(super) fn cancellation_note(&self) -> String {
        let phrases = self.language.phrases();
        let terms = self.booking.cancellation_terms(self.property, self.now);
        let fees: Vec<String> = terms
            .iter()
            .skip_while(|term| term.fee == 0)
            .map(|term| {
                let fee = self.language.money(Money::new(term.fee, self.currency));
                let until = term.until.map(|until| self.local_moment(Timestamp::new(until)));
                until.map_or_else(|| fee.clone(), |until| format!("{fee} {} {until}", phrases.cancelling_until))
            })
            .collect();
        let Some((last, earlier)) = fees.split_last() else { return String::new() };
        let is_free_first = terms.first().is_some_and(|term| term.fee == 0);
        let costs = match self.booking.status {
            _ if is_free_first => phrases.cancelling_then_costs,
            // Until it is paid, cancelling costs nothing.
            Status::Held => phrases.cancelling_once_confirmed_costs,
            _ => phrases.cancelling_costs,
        };
        match earlier.is_empty() {
            true => format!("{costs} {last}."),
            false => format!("{costs} {}{} {last}.", earlier.join(", "), phrases.cancelling_later),
        }
    }

    fn local_moment(&self, at: Timestamp) -> String {
        self.language.moment(at, self.property.time_zone)
    }
}
