//! Restrictions: stays that a rate plan does not sell although beds are free (in SiteMinder's and apaleo's terms).

mod contradictions;

pub use super::calendar::Restriction;
pub use crate::values::restriction::{RestrictionKind, RestrictionViolation};
pub use contradictions::{Contradiction, contradictions};

use super::calendar::Rates;
use crate::ids::RatePlanId;
use crate::values::stay::StayRequest;
use chrono::NaiveDate;

/// Every restriction that these stays violate on this plan when they are booked on `booked_on`, a local date at the
/// property.
pub fn check(
    rates: &Rates,
    plan: &RatePlanId,
    stays: &[StayRequest],
    booked_on: NaiveDate,
) -> Vec<RestrictionViolation> {
    let mut violations = Vec::new();
    for (index, stay) in stays.iter().enumerate() {
        let Some(calendar) = rates.calendar(plan, &stay.room_type_id) else { continue };
        let mut violation =
            |date, kind, limit| violations.push(RestrictionViolation { stay: index, date, kind, limit });
        let nights = stay.nights().count();
        for (date, on) in calendar.restrictions.range(stay.arrival..stay.departure.max(stay.arrival)) {
            if on.stop_sell {
                violation(*date, RestrictionKind::StopSell, 0);
            }
            if let Some(limit) = on.min_stay_through.filter(|limit| nights < i64::from(*limit)) {
                violation(*date, RestrictionKind::MinStayThrough, limit);
            }
        }
        if let Some(on) = calendar.restrictions.get(&stay.arrival) {
            let advance = (stay.arrival - booked_on).num_days();
            let limits = [
                (RestrictionKind::MinStayArrival, on.min_stay_arrival.filter(|limit| nights < i64::from(*limit))),
                (RestrictionKind::MaxStay, on.max_stay.filter(|limit| nights > i64::from(*limit))),
                (RestrictionKind::AdvanceTooShort, on.min_advance_days.filter(|limit| advance < i64::from(*limit))),
                (RestrictionKind::AdvanceTooLong, on.max_advance_days.filter(|limit| advance > i64::from(*limit))),
            ];
            if on.closed_to_arrival {
                violation(stay.arrival, RestrictionKind::ClosedToArrival, 0);
            }
            for (kind, limit) in limits {
                limit.into_iter().for_each(|limit| violation(stay.arrival, kind, limit));
            }
        }
        if calendar.restrictions.get(&stay.departure).is_some_and(|on| on.closed_to_departure) {
            violation(stay.departure, RestrictionKind::ClosedToDeparture, 0);
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::RestrictionKind::{self, *};
    use super::{Restriction, check};
    use crate::fixtures::{date, stay};
    use crate::rates::{RateCalendar, Rates};

    /// Violations of a stay from the 10th to the 13th, booked on the 1st, when `restriction` is set on `day`.
    fn broken(day: &str, restriction: Restriction) -> Vec<RestrictionKind> {
        let mut calendar = RateCalendar::new("p".into(), "standard".into(), "dorm".into());
        calendar.restrictions.insert(date(day), restriction);
        let violations = check(
            &Rates::new([calendar]),
            &"standard".into(),
            &[stay("dorm", "2027-01-10", "2027-01-13", 1)],
            date("2027-01-01"),
        );
        violations.into_iter().map(|violation| violation.kind).collect()
    }

    #[test]
    fn each_restriction_applies_to_its_own_date() {
        let none = Restriction::default;
        let rules = [
            (Restriction { stop_sell: true, ..none() }, StopSell, [true, true, true, false]),
            (Restriction { closed_to_arrival: true, ..none() }, ClosedToArrival, [true, false, false, false]),
            (Restriction { closed_to_departure: true, ..none() }, ClosedToDeparture, [false, false, false, true]),
            (Restriction { min_stay_arrival: Some(4), ..none() }, MinStayArrival, [true, false, false, false]),
            (Restriction { min_stay_through: Some(4), ..none() }, MinStayThrough, [true, true, true, false]),
            (Restriction { max_stay: Some(2), ..none() }, MaxStay, [true, false, false, false]),
            (Restriction { min_advance_days: Some(10), ..none() }, AdvanceTooShort, [true, false, false, false]),
            (Restriction { max_advance_days: Some(8), ..none() }, AdvanceTooLong, [true, false, false, false]),
        ];
        for (restriction, kind, on) in rules {
            for (day, breaks) in ["2027-01-10", "2027-01-11", "2027-01-12", "2027-01-13"].into_iter().zip(on) {
                let expected = if breaks { vec![kind] } else { vec![] };
                assert_eq!(broken(day, restriction.clone()), expected, "{kind:?} on {day}");
            }
        }
    }

    #[test]
    fn restriction_limits_are_inclusive() {
        let met = Restriction {
            min_stay_arrival: Some(3),
            min_stay_through: Some(3),
            max_stay: Some(3),
            min_advance_days: Some(9),
            max_advance_days: Some(9),
            ..Restriction::default()
        };
        assert_eq!(broken("2027-01-10", met), []);
    }
}
