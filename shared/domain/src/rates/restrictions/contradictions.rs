//! Restrictions that contradict each other: no stay can ever begin on a date that is open to arrival, or be booked.

use super::Restriction;
use crate::intake::MAX_NIGHTS;
use crate::rates::RateCalendar;
use chrono::{Days, NaiveDate};
use std::ops::RangeInclusive;

/// Two restrictions that cannot both be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Contradiction {
    /// Date of arrival on which no stay can begin.
    pub date: NaiveDate,
    /// The member of its restriction that cannot be met.
    pub member: &'static str,
    /// Date of the restriction that forbids it: the same, or one during or at the end of the stay.
    pub other_date: NaiveDate,
    /// The member of that restriction.
    pub other_member: &'static str,
}

/// Every contradiction of these dates of arrival, by date. A night that is not sold contradicts nothing: it is closed
/// for a reason of its own, whatever stays it makes impossible.
pub fn contradictions(calendar: &RateCalendar, arrivals: RangeInclusive<NaiveDate>) -> Vec<Contradiction> {
    if arrivals.is_empty() {
        return Vec::new();
    }
    let days = Days::new(MAX_NIGHTS.unsigned_abs());
    let last = arrivals.end().checked_add_days(days).unwrap_or(NaiveDate::MAX);
    let on = Dense::of(calendar, *arrivals.start()..=last);
    let restrictions = calendar.restrictions.range(arrivals);
    restrictions.flat_map(|(date, own)| limits(*date, own).into_iter().chain(departure(&on, *date, own))).collect()
}

/// What stays that go on must meet, by the days since a first date: each date is looked up for hundreds of arrivals.
struct Dense {
    first: NaiveDate,
    /// `min_stay_through` and `closed_to_departure`.
    days: Vec<(u16, bool)>,
}

impl Dense {
    fn of(calendar: &RateCalendar, dates: RangeInclusive<NaiveDate>) -> Self {
        let mut dense = Self { first: *dates.start(), days: Vec::new() };
        for (date, on) in calendar.restrictions.range(dates) {
            let Some(index) = dense.index(*date) else { continue };
            dense.days.resize(index + 1, (0, false));
            dense.days[index] = (on.min_stay_through.unwrap_or(0), on.closed_to_departure);
        }
        dense
    }

    fn index(&self, date: NaiveDate) -> Option<usize> {
        usize::try_from((date - self.first).num_days()).ok()
    }
}

/// Limits of one date that exclude each other.
fn limits(date: NaiveDate, own: &Restriction) -> Vec<Contradiction> {
    let pairs = [
        ("min_stay_arrival", own.min_stay_arrival, "max_stay", own.max_stay),
        ("min_stay_through", own.min_stay_through, "max_stay", own.max_stay),
        ("min_advance_days", own.min_advance_days, "max_advance_days", own.max_advance_days),
    ];
    let exclude =
        pairs.into_iter().filter(|(_, least, _, most)| least.zip(*most).is_some_and(|(least, most)| least > most));
    exclude.map(|(member, _, other_member, _)| Contradiction { date, member, other_date: date, other_member }).collect()
}

/// Limits of a date of arrival of which no length of stay is possible: each ends on a morning that is closed to
/// departure, or contains a night that requires a longer one.
fn departure(on: &Dense, date: NaiveDate, own: &Restriction) -> Option<Contradiction> {
    let least = own.min_stay_arrival.max(own.min_stay_through);
    if own.stop_sell || own.closed_to_arrival || (least.is_none() && own.max_stay.is_none()) {
        return None;
    }
    let (least, longest) = (u64::from(least.unwrap_or(1).max(1)), MAX_NIGHTS.unsigned_abs());
    let most = own.max_stay.map_or(longest, |most| u64::from(most).min(longest));
    let mut first_obstacle = None;
    let mut through = (0, 0);
    let arrival = on.index(date)?;
    for nights in 1..=most {
        // Nights since the arrival.
        let day = |days: u64| on.days.get(arrival + usize::try_from(days).ok()?).copied();
        let required = day(nights - 1).map_or(0, |(through, _)| u64::from(through));
        if required > through.0 {
            through = (required, nights - 1);
        }
        if nights < least {
            continue;
        }
        let obstacle = if day(nights).is_some_and(|(_, is_closed)| is_closed) {
            (nights, "closed_to_departure")
        } else if through.0 > nights {
            (through.1, "min_stay_through")
        } else {
            return None;
        };
        first_obstacle.get_or_insert(obstacle);
    }
    let (days, other_member) = first_obstacle?;
    let other_date = date.checked_add_days(Days::new(days))?;
    let member = match own.min_stay_arrival {
        Some(limit) if u64::from(limit) == least => "min_stay_arrival",
        _ if own.min_stay_through.is_some_and(|limit| u64::from(limit) == least) => "min_stay_through",
        _ => "max_stay",
    };
    Some(Contradiction { date, member, other_date, other_member })
}

#[cfg(test)]
mod tests {
    use super::{Contradiction, contradictions};
    use crate::fixtures::{date, stay};
    use crate::rates::restrictions::{Restriction, check};
    use crate::rates::{RateCalendar, Rates};
    use chrono::Days;
    use proptest::prelude::*;

    fn calendar(days: impl IntoIterator<Item = (&'static str, Restriction)>) -> RateCalendar {
        let mut calendar = RateCalendar::new("p".into(), "standard".into(), "dorm".into());
        calendar.restrictions.extend(days.into_iter().map(|(day, on)| (date(day), on)));
        calendar
    }

    fn named_by(
        days: impl IntoIterator<Item = (&'static str, Restriction)>,
    ) -> Vec<(String, &'static str, String, &'static str)> {
        let all = contradictions(&calendar(days), date("2026-01-01")..=date("2028-01-01")).into_iter();
        all.map(|Contradiction { date, member, other_date, other_member }| {
            (date.to_string(), member, other_date.to_string(), other_member)
        })
        .collect()
    }

    fn none() -> Restriction {
        Restriction::default()
    }

    #[test]
    fn limits_of_one_date_exclude_each_other() {
        let both = Restriction {
            min_stay_arrival: Some(4),
            min_stay_through: Some(3),
            max_stay: Some(2),
            min_advance_days: Some(9),
            max_advance_days: Some(8),
            ..none()
        };
        let day = || "2027-01-10".to_owned();
        assert_eq!(
            named_by([("2027-01-10", both)]),
            [
                (day(), "min_stay_arrival", day(), "max_stay"),
                (day(), "min_stay_through", day(), "max_stay"),
                (day(), "min_advance_days", day(), "max_advance_days"),
            ]
        );
        let equal = Restriction { min_stay_arrival: Some(2), max_stay: Some(2), ..none() };
        assert_eq!(named_by([("2027-01-10", equal)]), []);
    }

    #[test]
    fn every_possible_departure_is_closed() {
        let weeks = || Restriction { min_stay_arrival: Some(7), max_stay: Some(8), ..none() };
        let closed = || Restriction { closed_to_departure: true, ..none() };
        let all = [("2027-01-09", weeks()), ("2027-01-16", closed()), ("2027-01-17", closed())];
        let expected = ("2027-01-09".to_owned(), "min_stay_arrival", "2027-01-16".to_owned(), "closed_to_departure");
        assert_eq!(named_by(all.clone()), [expected]);
        assert_eq!(named_by(all[..2].to_vec()), [], "the eighth night is left");
        let unlimited = Restriction { max_stay: None, ..weeks() };
        assert_eq!(named_by([("2027-01-09", unlimited), all[1].clone(), all[2].clone()]), []);
        for closed in [Restriction { closed_to_arrival: true, ..weeks() }, Restriction { stop_sell: true, ..weeks() }] {
            assert_eq!(named_by([("2027-01-09", closed), all[1].clone(), all[2].clone()]), [], "no stay begins there");
        }
        let short = Restriction { max_stay: Some(2), min_stay_arrival: Some(2), ..none() };
        let through = Restriction { min_stay_through: Some(5), ..none() };
        let expected = ("2027-01-09".to_owned(), "min_stay_arrival", "2027-01-10".to_owned(), "min_stay_through");
        assert_eq!(named_by([("2027-01-09", short), ("2027-01-10", through)]), [expected]);
    }

    proptest! {
        #[test]
        fn no_stay_is_sold_from_a_date_with_a_contradiction(
            days in proptest::collection::vec((
                proptest::option::weighted(0.3, 1_u16..5), proptest::option::weighted(0.3, 1_u16..5),
                proptest::option::weighted(0.4, 1_u16..5), any::<bool>(),
            ), 10),
        ) {
            let first = date("2027-01-10");
            let mut calendar = RateCalendar::new("p".into(), "standard".into(), "dorm".into());
            for (offset, (min_stay_arrival, min_stay_through, max_stay, closed_to_departure)) in (0..).zip(days) {
                let on = Restriction { min_stay_arrival, min_stay_through, max_stay, closed_to_departure, ..none() };
                calendar.restrictions.insert(first + Days::new(offset), on);
            }
            let found = contradictions(&calendar, first..=first + Days::new(9));
            let later = contradictions(&calendar, first + Days::new(4)..=first + Days::new(6));
            let is_later = |one: &&Contradiction| (4..=6).contains(&(one.date - first).num_days());
            prop_assert_eq!(later, found.iter().filter(is_later).copied().collect::<Vec<_>>());
            let rates = Rates::new([calendar.clone()]);
            for (date, on) in &calendar.restrictions {
                let is_sold = (1..20).any(|nights| {
                    let mut asked = stay("dorm", "2027-01-10", "2027-01-11", 1);
                    (asked.arrival, asked.departure) = (*date, *date + Days::new(nights));
                    check(&rates, &"standard".into(), &[asked], first).is_empty()
                });
                let is_limited = on.min_stay_arrival.or(on.min_stay_through).or(on.max_stay).is_some();
                let is_named = found.iter().any(|one| one.date == *date);
                prop_assert_eq!(is_named, !is_sold && is_limited, "{} {:?}", date, on);
            }
        }
    }
}
