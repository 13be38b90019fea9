//! Costs of cancelling a booking from now on, by time.

use chrono::{DateTime, FixedOffset, Utc};
use pvt_domain::booking::{Booking, CancellationTerm};
use pvt_domain::inventory::Property;
use pvt_domain::money::Money;
use pvt_domain::timestamp::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// What a cancellation costs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct CancellationView<'a> {
    /// The policy as it was when the booking was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
    /// Until when it costs nothing, at the property's offset from UTC; missing once that
    /// time has passed, and where it costs something as soon as the booking is confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    free_until: Option<DateTime<FixedOffset>>,
    /// What it costs from now on, the earliest first; of a held booking once it is confirmed, as until then it costs
    /// nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    terms: Vec<TermView>,
}

/// What a cancellation costs until an instant.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
struct TermView {
    /// The last instant at which it costs this, at the property's offset from UTC; missing where it costs this from
    /// then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<DateTime<FixedOffset>>,
    fee: Money,
}

impl<'a> CancellationView<'a> {
    /// As of `now`.
    pub(super) fn new(booking: &'a Booking, property: &Property, now: Timestamp) -> Self {
        let policy = booking.cancellation_policy.as_ref();
        let local = |until: DateTime<Utc>| until.with_timezone(&property.time_zone).fixed_offset();
        let term = |term: CancellationTerm| {
            let currency = booking.price.as_ref()?.currency;
            Some(TermView { until: term.until.map(local), fee: Money::new(term.fee, currency) })
        };
        Self {
            policy: policy.map(|policy| policy.name.as_str()),
            free_until: free_until(booking, property, now),
            terms: booking.cancellation_terms(property, now).into_iter().filter_map(term).collect(),
        }
    }
}

/// Whether a term of the cancellation has ended since the present revision, so that what was answered about it then is
/// no longer right.
pub(super) fn is_outdated(booking: &Booking, property: &Property, now: Timestamp) -> bool {
    let since = booking.updated_at;
    booking.cancellation_terms(property, since) != booking.cancellation_terms(property, now)
        || booking.free_cancellation_until(property, since) != booking.free_cancellation_until(property, now)
}

/// Until when cancelling costs nothing from `now` on, in the property's time zone.
pub(super) fn free_until(booking: &Booking, property: &Property, now: Timestamp) -> Option<DateTime<FixedOffset>> {
    let until = booking.free_cancellation_until(property, now);
    until.map(|until| until.with_timezone(&property.time_zone).fixed_offset())
}

#[cfg(test)]
mod tests {
    use super::{CancellationView, is_outdated};
    use crate::resources::bookings::view::tests::stored;
    use crate::resources::payments::fixtures::at;
    use pvt_domain::booking::Booking;
    use serde_json::json;

    #[test]
    fn deadline_of_free_cancellation_has_the_offset_of_the_property() {
        let mut booking = stored();
        let property = pvt_domain::demo::inventory().property;
        let shown_at = |now: &str, booking: &Booking| {
            serde_json::to_value(CancellationView::new(booking, &property, at(now))).unwrap()
        };
        let shown = |booking: &Booking| shown_at("2026-12-01T12:00:00Z", booking);
        let fee = |amount: i64| json!({ "amount": amount, "currency": "CAD" });
        let standard = json!({ "terms": [
            { "until": "2027-01-03T15:00:00-05:00", "fee": fee(441) },
            { "until": "2027-01-08T15:00:00-05:00", "fee": fee(1_103) },
            { "until": "2027-01-09T15:00:00-05:00", "fee": fee(2_205) },
            { "fee": fee(4_410) },
        ] });
        assert_eq!(shown(&booking), standard, "the standard policy always costs something");
        let tiers = json!([{ "hours_before": 48, "fee": { "kind": "percent", "ppm": 0 } },
            { "hours_before": 0, "fee": { "kind": "percent", "ppm": 1_000_000 } }]);
        booking.cancellation_policy =
            serde_json::from_value(json!({ "id": "p", "name": "Flexible", "tiers": tiers })).unwrap();
        let flexible = json!({ "policy": "Flexible", "free_until": "2027-01-08T15:00:00-05:00", "terms": [
            { "until": "2027-01-08T15:00:00-05:00", "fee": fee(0) }, { "fee": fee(4_410) },
        ] });
        assert_eq!(shown(&booking), flexible);
        let over = json!({ "policy": "Flexible", "terms": [{ "fee": fee(4_410) }] });
        assert_eq!(shown_at("2027-01-08T20:00:00.001Z", &booking), over, "nothing is promised that is over");
        assert!(!is_outdated(&booking, &property, at("2027-01-08T20:00:00Z")));
        assert!(is_outdated(&booking, &property, at("2027-01-08T20:00:00.001Z")));
        booking.stays[0].arrival = "2027-07-10".parse().unwrap();
        assert_eq!(shown(&booking)["free_until"], "2027-07-08T15:00:00-04:00", "in summer");
    }
}
