//! A property: its clock, currency, taxes and booking terms.

use super::price::TaxLine;
use super::tax::TaxRule;
use crate::ids::PropertyId;
use crate::money::Currency;
use chrono::NaiveTime;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// Default end of the business day: four in the morning, after the last guests are in.
pub const DEFAULT_CUTOFF: NaiveTime = match NaiveTime::from_hms_opt(4, 0, 0) {
    Some(time) => time,
    None => NaiveTime::MIN,
};

fn default_cutoff() -> NaiveTime {
    DEFAULT_CUTOFF
}

/// Default time for which beds are held, in minutes: the shortest expiry of a Stripe Checkout session.
pub const DEFAULT_HOLD_MINUTES: u32 = 30;
/// Accepted hold times, in minutes.
pub const HOLD_MINUTES: std::ops::RangeInclusive<u32> = 1..=7 * 24 * 60;

fn default_hold() -> u32 {
    DEFAULT_HOLD_MINUTES
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_default_hold(minutes: &u32) -> bool {
    *minutes == DEFAULT_HOLD_MINUTES
}

/// The default of [`Property::same_day_until`].
fn is_midnight(time: &NaiveTime) -> bool {
    *time == NaiveTime::MIN
}

/// A property.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Property {
    /// Its id, used in every other document.
    #[serde(rename = "_id")]
    pub id: PropertyId,
    /// Display name.
    pub name: String,
    /// Postal address in one line.
    pub address: String,
    /// Nights and deadlines are local dates and times in this zone.
    pub time_zone: Tz,
    /// Currency of every price.
    pub currency: Currency,
    /// From when guests may check in, local time.
    pub check_in_from: NaiveTime,
    /// Until when guests must check out, local time.
    pub check_out_until: NaiveTime,
    /// Local time after midnight at which the business day of the date before ends.
    #[serde(default = "default_cutoff")]
    pub business_day_cutoff: NaiveTime,
    /// Until when guests may book the night that begins, local time, after midnight if it is before the cut-off.
    #[serde(default, skip_serializing_if = "is_midnight")]
    pub same_day_until: NaiveTime,
    /// Languages that the property speaks, preferred first (`fr`, `en`): for guests who named none, or another one.
    pub locales: Vec<String>,
    /// Dated tax rules, applied in this order.
    pub taxes: Vec<TaxRule>,
    /// Time for which beds are held until a required prepayment, in minutes.
    #[serde(default = "default_hold", skip_serializing_if = "is_default_hold")]
    pub hold_minutes: u32,
}

impl Property {
    /// The name of a tax of a price in the first of these languages that has one; the line's own where the rule has
    /// another name by now.
    pub fn tax_name<'a, 'l>(&'a self, line: &'a TaxLine, languages: impl IntoIterator<Item = &'l str>) -> &'a str {
        let rule = self.taxes.iter().find(|rule| rule.code == line.code && rule.name == line.name);
        rule.map_or(line.name.as_str(), |rule| rule.names.in_language(languages, &line.name))
    }
}
