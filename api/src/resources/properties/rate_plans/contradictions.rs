//! Refusal of restrictions that contradict each other, or what is stored already.

use super::calendar::DatesChange;
use crate::http::problem::Problem;
use chrono::{Days, NaiveDate};
use pvt_domain::ids::RoomTypeId;
use pvt_domain::intake::{FieldError, MAX_NIGHTS};
use pvt_domain::rates::RateCalendar;
use pvt_domain::rates::restrictions::{Contradiction, contradictions};
use std::collections::HashSet;
use std::ops::RangeInclusive;

/// Checks a calendar after these changes. What contradicted itself before them is let be.
///
/// # Errors
/// 422 that names both restrictions of each contradiction, those that the request sets at their place in it.
pub(super) fn check<T>(
    before: Option<&RateCalendar>,
    after: &RateCalendar,
    changes: &[DatesChange<T>],
) -> Result<(), Problem> {
    let Some(arrivals) = touched(before, after) else { return Ok(()) };
    let found = contradictions(after, arrivals.clone());
    if found.is_empty() {
        return Ok(());
    }
    let known: HashSet<Contradiction> =
        before.map(|before| contradictions(before, arrivals)).into_iter().flatten().collect();
    let mut violations: Vec<FieldError> = Vec::new();
    for found in found.into_iter().filter(|found| !known.contains(found)) {
        let Contradiction { date, member, other_date, other_member } = found;
        for ((on, name), (other_on, other_name)) in
            [((date, member), (other_date, other_member)), ((other_date, other_member), (date, member))]
        {
            let Some(at) = place(changes, &after.room_type_id, on) else { continue };
            let is_sent = place(changes, &after.room_type_id, other_on).is_some();
            let stored = if is_sent { "" } else { ", which is stored" };
            let message = format!(
                "nothing can be booked for {date}: it excludes {other_name} of {other_on}{stored} (room type `{}`)",
                after.room_type_id
            );
            let pointer = format!("{at}/restriction/{name}");
            if violations.iter().all(|violation| violation.pointer != pointer) {
                violations.push(FieldError::new(pointer, "contradicts", message));
            }
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(Problem::fields(violations)) }
}

/// The dates of arrival of stays that contain a date, or end on one, whose restrictions change; `None` when none do.
fn touched(before: Option<&RateCalendar>, after: &RateCalendar) -> Option<RangeInclusive<NaiveDate>> {
    let stored = before.map(|before| &before.restrictions);
    let of = |date: &NaiveDate| (stored.and_then(|stored| stored.get(date)), after.restrictions.get(date));
    let dates = after.restrictions.keys().chain(stored.into_iter().flat_map(|stored| stored.keys()));
    let changed = || {
        dates.clone().filter(|date| {
            let (one, other) = of(date);
            one != other
        })
    };
    let (first, last) = (changed().min()?, changed().max()?);
    Some(first.checked_sub_days(Days::new(MAX_NIGHTS.unsigned_abs())).unwrap_or(*first)..=*last)
}

/// The change that sets this date, the last of several.
fn place<'a, T>(changes: &'a [DatesChange<T>], room_type: &RoomTypeId, date: NaiveDate) -> Option<&'a str> {
    let sets = |change: &&DatesChange<T>| change.room_types.contains(room_type) && change.dates.contains(date);
    changes.iter().rev().find(sets).map(|change| change.place.as_str())
}

#[cfg(test)]
mod tests {
    use super::{check, touched};
    use crate::resources::properties::rate_plans::calendar::DatesChange;
    use chrono::{NaiveDate, Weekday};
    use pvt_domain::nights::Nights;
    use pvt_domain::rates::restrictions::Restriction;
    use pvt_domain::rates::{DateSet, RateCalendar};

    fn change(place: usize, from: &str, until: &str, becomes: Restriction) -> DatesChange<Restriction> {
        let date = |text: &str| text.parse::<NaiveDate>().unwrap();
        DatesChange {
            place: format!("/changes/{place}"),
            room_types: vec!["dorm".into()],
            dates: DateSet { range: Nights::new(date(from), date(until)), weekdays: Vec::new() },
            becomes,
        }
    }

    /// What is refused when these are set on a calendar that has `stored` already.
    fn refused(stored: &[DatesChange<Restriction>], changes: &[DatesChange<Restriction>]) -> Vec<(String, String)> {
        let mut before = RateCalendar::new("p".into(), "standard".into(), "dorm".into());
        stored.iter().for_each(|one| before.set_restrictions(&one.dates, &one.becomes));
        let mut after = before.clone();
        changes.iter().for_each(|one| after.set_restrictions(&one.dates, &one.becomes));
        let Err(problem) = check(Some(&before), &after, changes) else { return Vec::new() };
        let document: serde_json::Value = serde_json::from_slice(&problem.document("r")).unwrap();
        let errors = document["errors"].as_array().unwrap().iter();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        errors
            .inspect(|error| assert_eq!(error["code"], "contradicts"))
            .map(|error| (text(&error["pointer"]), text(&error["message"])))
            .collect()
    }

    fn none() -> Restriction {
        Restriction::default()
    }

    #[test]
    fn both_restrictions_of_a_contradiction_are_named() {
        let weeks = || Restriction { min_stay_arrival: Some(7), max_stay: Some(7), ..none() };
        let closed = || Restriction { closed_to_departure: true, ..none() };
        let pointers = |found: Vec<(String, String)>| found.into_iter().map(|(pointer, _)| pointer).collect::<Vec<_>>();
        let wrong = Restriction { max_stay: Some(6), ..weeks() };
        assert_eq!(
            pointers(refused(&[], &[change(0, "2027-06-05", "2027-06-20", wrong.clone())])),
            ["/changes/0/restriction/min_stay_arrival", "/changes/0/restriction/max_stay"]
        );
        let arrivals = || change(0, "2027-06-05", "2027-06-06", weeks());
        let departures = |place| change(place, "2027-06-12", "2027-06-13", closed());
        assert_eq!(
            pointers(refused(&[], &[arrivals(), departures(1)])),
            ["/changes/0/restriction/min_stay_arrival", "/changes/1/restriction/closed_to_departure"]
        );
        let against_stored = refused(&[arrivals()], &[departures(0)]);
        assert_eq!(against_stored.len(), 1);
        assert_eq!(against_stored[0].0, "/changes/0/restriction/closed_to_departure");
        assert!(against_stored[0].1.contains("min_stay_arrival of 2027-06-05, which is stored"), "{against_stored:?}");
        assert_eq!(refused(&[change(0, "2027-06-05", "2027-06-20", wrong)], &[departures(0)]), [], "it was so before");
        assert_eq!(refused(&[], &[arrivals(), departures(1), change(2, "2027-06-12", "2027-06-13", none())]), []);
    }

    #[test]
    fn arrivals_of_changed_dates_are_checked() {
        let week = Restriction { min_stay_arrival: Some(7), max_stay: Some(7), ..none() };
        let date = |text: &str| text.parse::<NaiveDate>().unwrap();
        let set = |one: &DatesChange<Restriction>, on: &mut RateCalendar| on.set_restrictions(&one.dates, &one.becomes);
        let mut before = RateCalendar::new("p".into(), "standard".into(), "dorm".into());
        assert_eq!(touched(None, &before), None);
        set(&change(0, "2027-06-05", "2027-06-20", week.clone()), &mut before);
        let mut after = before.clone();
        after.prices.insert(date("2027-06-05"), 1);
        assert_eq!(touched(Some(&before), &after), None, "prices restrict nothing");
        set(&change(0, "2027-06-18", "2027-06-22", week), &mut after);
        assert_eq!(touched(Some(&before), &after), Some(date("2026-06-20")..=date("2027-06-21")));
        set(&change(0, "2027-06-19", "2027-06-22", none()), &mut after);
        assert_eq!(touched(Some(&before), &after), Some(date("2026-06-19")..=date("2027-06-19")));
    }

    #[test]
    fn weekdays_of_a_change_are_its_dates() {
        let mut saturdays = change(0, "2027-06-05", "2027-06-26", Restriction::default());
        saturdays.dates.weekdays = vec![Weekday::Sat];
        saturdays.becomes = Restriction { min_stay_arrival: Some(7), max_stay: Some(7), ..none() };
        let mut closed = change(1, "2027-06-05", "2027-07-04", Restriction::default());
        closed.dates.weekdays = vec![Weekday::Sun];
        closed.becomes = Restriction { closed_to_departure: true, ..none() };
        assert_eq!(refused(&[], &[saturdays, closed]), [], "no Saturday is a Sunday");
    }
}
