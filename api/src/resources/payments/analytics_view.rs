//! Totals by day, from the entries of ledgers. Days are the property's.

use super::view::example_money;
use chrono::NaiveDate;
use pvt_domain::ids::PropertyId;
use pvt_domain::inventory::Property;
use pvt_domain::ledger::{Entry, EntryKind, Ledger, PaymentChannel};
use pvt_domain::money::{Currency, Money};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
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

/// Totals of a day, or of all days.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PaymentSums")]
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

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct DayView {
    date: NaiveDate,
    #[serde(flatten)]
    totals: TotalsView,
}

/// The totals.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PaymentAnalytics", example = example())]
pub(crate) struct AnalyticsView {
    property_id: PropertyId,
    from: NaiveDate,
    until: NaiveDate,
    total: TotalsView,
    /// Days with entries.
    days: Vec<DayView>,
}

fn example() -> Value {
    let totals = json!({
        "captured": example_money(28_560), "refunded": example_money(2_000), "charged_back": example_money(0),
        "fees": example_money(858), "net": example_money(25_702), "count": 1,
        "by_method": { "checkout": example_money(26_560) },
    });
    let mut day = totals.clone();
    day["date"] = json!("2027-01-10");
    json!({ "property_id": "pvt-montreal", "from": "2027-01-01", "until": "2027-02-01", "total": totals,
        "days": [day] })
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

    /// The totals of all days, and of each, in the property's currency.
    pub(crate) fn view(&self, property: &Property, dates: Range<NaiveDate>) -> AnalyticsView {
        let mut all = Totals::default();
        self.0.values().for_each(|day| all.merge(day));
        let currency = property.currency;
        let day = |(date, totals): (&NaiveDate, &Totals)| DayView { date: *date, totals: totals.view(currency) };
        AnalyticsView {
            property_id: property.id.clone(),
            from: dates.start,
            until: dates.end,
            total: all.view(currency),
            days: self.0.iter().map(day).collect(),
        }
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
    use serde_json::json;

    #[test]
    fn days_follow_the_property_time_zone() {
        let mut ledger = paid();
        // 23:30 on the day before in Montréal.
        recorded(&mut ledger, 7, 2_000, at("2027-01-15T04:30:00Z"));
        recorded(&mut ledger, 8, -500, at("2027-01-15T15:00:00Z"));
        ledger.fees.insert("pi_1".to_owned(), 320);
        let mut days = Days::default();
        let dates = "2027-01-01".parse().unwrap().."2027-02-01".parse().unwrap();
        let property = demo::inventory().property;
        days.add(&ledger, &property, &dates);
        let view = serde_json::to_value(days.view(&property, dates)).unwrap();
        let (all, each) = (&view["total"], &view["days"]);
        let money = |amount: i64| json!({ "amount": amount, "currency": "CAD" });
        assert_eq!((&each[0]["date"], &each[0]["captured"]), (&json!("2027-01-14"), &money(2_000)));
        assert_eq!(
            (&all["captured"], &all["refunded"], &all["fees"], &all["count"]),
            (&money(BALANCE + 2_000), &money(500), &money(320), &json!(2))
        );
        assert_eq!(all["net"], money(BALANCE + 2_000 - 500 - 320));
        assert_eq!(all["by_method"], json!({ "cash": money(1_500), "checkout": money(BALANCE) }));
    }
}
