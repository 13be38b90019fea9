//! Totals by day, from the entries of ledgers. Days are the property's.

use chrono::NaiveDate;
use pvt_domain::inventory::Property;
use pvt_domain::ledger::{Entry, EntryKind, Ledger, PaymentChannel};
use pvt_domain::money::{Currency, Money};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;

/// Totals in minor units.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Totals {
    captured: i64,
    refunded: i64,
    charged_back: i64,
    fees: i64,
    count: u64,
    by_method: BTreeMap<&'static str, i64>,
}

/// The totals of a day, or of all days.
#[derive(Debug, Serialize)]
pub(crate) struct TotalsView {
    captured: Money,
    refunded: Money,
    /// Chargebacks, less those reversed.
    charged_back: Money,
    /// Stripe's fees, as far as they are known.
    fees: Money,
    /// After refunds, chargebacks and fees.
    net: Money,
    /// Number of payments.
    count: u64,
    /// Captured less refunded and charged back, by the payment's channel, before fees.
    by_method: BTreeMap<&'static str, Money>,
}

#[derive(Debug, Serialize)]
pub(crate) struct DayView {
    date: NaiveDate,
    #[serde(flatten)]
    sums: TotalsView,
}

/// All days with entries.
#[derive(Debug, Default)]
pub(crate) struct Days(BTreeMap<NaiveDate, Totals>);

impl Days {
    /// Adds the entries of a ledger on these dates.
    pub(crate) fn add(&mut self, ledger: &Ledger, property: &Property, dates: &Range<NaiveDate>) {
        for entry in ledger.entries() {
            let date = entry.at.local_date(property.time_zone);
            if dates.contains(&date) {
                self.0.entry(date).or_default().add(&entry, channel_of(ledger, &entry.payment));
            }
        }
    }

    /// The totals of all days, and of each.
    pub(crate) fn views(&self, currency: Currency) -> (TotalsView, Vec<DayView>) {
        let mut all = Totals::default();
        self.0.values().for_each(|day| all.merge(day));
        (
            all.view(currency),
            self.0.iter().map(|(date, sums)| DayView { date: *date, sums: sums.view(currency) }).collect(),
        )
    }
}

impl Totals {
    fn add(&mut self, entry: &Entry, channel: &'static str) {
        match entry.kind {
            EntryKind::Payment => {
                self.captured += entry.amount;
                self.count += 1;
            }
            EntryKind::Refund => self.refunded -= entry.amount,
            EntryKind::Chargeback | EntryKind::ChargebackReversal => self.charged_back -= entry.amount,
        }
        self.fees += entry.fee;
        *self.by_method.entry(channel).or_default() += entry.amount;
    }

    fn merge(&mut self, other: &Self) {
        self.captured += other.captured;
        self.refunded += other.refunded;
        self.charged_back += other.charged_back;
        self.fees += other.fees;
        self.count += other.count;
        for (channel, amount) in &other.by_method {
            *self.by_method.entry(channel).or_default() += amount;
        }
    }

    fn view(&self, currency: Currency) -> TotalsView {
        let money = |amount| Money::new(amount, currency);
        TotalsView {
            captured: money(self.captured),
            refunded: money(self.refunded),
            charged_back: money(self.charged_back),
            fees: money(self.fees),
            net: money(self.captured - self.refunded - self.charged_back - self.fees),
            count: self.count,
            by_method: self.by_method.iter().map(|(channel, amount)| (*channel, money(*amount))).collect(),
        }
    }
}

/// The channel of a payment: `pi_…`, or the id of a record.
pub(crate) fn channel_of(ledger: &Ledger, payment: &str) -> &'static str {
    if let Some(record) = ledger.records.iter().find(|record| record.id.to_string() == payment) {
        return record.method.as_str();
    }
    let in_app = ledger
        .attempts
        .iter()
        .any(|attempt| attempt.channel == PaymentChannel::App && attempt.object.as_deref() == Some(payment));
    if in_app { "app" } else { "checkout" }
}

#[cfg(test)]
mod tests {
    use super::Days;
    use crate::resources::payments::fixtures::{BALANCE, at, paid, recorded};
    use pvt_domain::demo;
    use pvt_domain::money::Currency;
    use serde_json::{Value, json};

    #[test]
    fn days_follow_the_property_time_zone() {
        let mut ledger = paid();
        // 23:30 on the day before in Montréal.
        recorded(&mut ledger, 7, 2_000, at("2027-01-15T04:30:00Z"));
        recorded(&mut ledger, 8, -500, at("2027-01-15T15:00:00Z"));
        ledger.fees.insert("pi_1".to_owned(), 320);
        let mut days = Days::default();
        let dates = "2027-01-01".parse().unwrap().."2027-02-01".parse().unwrap();
        days.add(&ledger, &demo::inventory().property, &dates);
        let (all, each) = days.views(Currency::CAD);
        let each: Value = serde_json::to_value(each).unwrap();
        let money = |amount: i64| json!({ "amount": amount, "currency": "CAD" });
        assert_eq!((&each[0]["date"], &each[0]["captured"]), (&json!("2027-01-14"), &money(2_000)));
        let all = serde_json::to_value(all).unwrap();
        assert_eq!(
            (&all["captured"], &all["refunded"], &all["fees"], &all["count"]),
            (&money(BALANCE + 2_000), &money(500), &money(320), &json!(2))
        );
        assert_eq!(all["net"], money(BALANCE + 2_000 - 500 - 320));
        assert_eq!(all["by_method"], json!({ "cash": money(1_500), "checkout": money(BALANCE) }));
    }
}
