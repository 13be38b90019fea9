//! Local time of a property: its business day, and the instants at which stays begin.
//!
//! Nights are dates, never instants. Where an instant is needed it is derived here from a local time, so that changes
//! of clocks are handled in one place.

use crate::timestamp::Timestamp;
use crate::values::property::Property;
use chrono::{DateTime, Days, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// Longest gap that a change of clocks ever caused (a whole day, in the Pacific), in minutes.
const LONGEST_GAP_MINUTES: i64 = 24 * 60;
const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

/// The business day of `now`: the local date, or the one before until the cut-off.
pub fn business_date(property: &Property, now: Timestamp) -> NaiveDate {
    let local = now.as_datetime().with_timezone(&property.time_zone).naive_local();
    if local.time() < property.business_day_cutoff {
        local.date().checked_sub_days(Days::new(1)).unwrap_or(local.date())
    } else {
        local.date()
    }
}

/// The first night that can be booked at `now`. Staff may book the night of the business day until it ends, guests
/// until [`Property::same_day_until`].
pub fn first_bookable_night(property: &Property, now: Timestamp, by_staff: bool) -> NaiveDate {
    let day = business_date(property, now);
    let local = now.as_datetime().with_timezone(&property.time_zone).naive_local().time();
    let into_the_day = |time: NaiveTime| {
        let seconds = time.signed_duration_since(property.business_day_cutoff).num_seconds();
        seconds.rem_euclid(SECONDS_PER_DAY)
    };
    let closes = match into_the_day(property.same_day_until) {
        // The business day begins and ends at this time of day.
        0 => SECONDS_PER_DAY,
        seconds => seconds,
    };
    if by_staff || into_the_day(local) < closes { day } else { day.checked_add_days(Days::new(1)).unwrap_or(day) }
}

/// Start of check-in on `date`.
pub fn check_in_instant(property: &Property, date: NaiveDate) -> Timestamp {
    instant_of(property.time_zone, date.and_time(property.check_in_from)).into()
}

/// The first instant at which local time is `local` or, where clocks skip it, the first after it.
pub fn instant_of(zone: Tz, local: NaiveDateTime) -> DateTime<Utc> {
    for minutes in 0..=LONGEST_GAP_MINUTES {
        let shown = local.checked_add_signed(TimeDelta::minutes(minutes)).unwrap_or(local);
        match zone.from_local_datetime(&shown) {
            LocalResult::Single(instant) | LocalResult::Ambiguous(instant, _) => return instant.to_utc(),
            LocalResult::None => {}
        }
    }
    // No zone has a longer gap; reading local time as UTC keeps the function total.
    local.and_utc()
}

#[cfg(test)]
mod tests {
    use super::{business_date, check_in_instant, first_bookable_night};
    use crate::fixtures::{at, date, sample_inventory};
    use crate::inventory::Property;
    use crate::timestamp::Timestamp;
    use chrono::{Days, NaiveTime, TimeDelta};
    use proptest::prelude::*;

    fn property(zone: &str, cutoff_hour: u32, check_in_hour: u32) -> Property {
        let time = |hour| NaiveTime::from_hms_opt(hour, 30, 0).unwrap();
        Property {
            time_zone: zone.parse().unwrap(),
            business_day_cutoff: time(cutoff_hour),
            check_in_from: time(check_in_hour),
            ..sample_inventory().property
        }
    }

    #[test]
    fn business_day_ends_at_the_cutoff() {
        let montreal = property("America/Toronto", 3, 15);
        assert_eq!(business_date(&montreal, at("2027-01-11T08:29:59Z")), date("2027-01-10"));
        assert_eq!(business_date(&montreal, at("2027-01-11T08:30:00Z")), date("2027-01-11"));
        assert_eq!(business_date(&property("Asia/Tokyo", 3, 15), at("2027-01-10T18:29:00Z")), date("2027-01-10"));
        assert_eq!(business_date(&property("Asia/Tokyo", 3, 15), at("2027-01-10T18:31:00Z")), date("2027-01-11"));
    }

    #[test]
    fn cutoff_is_a_local_time_across_dst() {
        // Clocks in Montréal jump from 2:00 to 3:00 on 2027-03-14 and fall back from 2:00 to 1:00 on 2027-11-07.
        let montreal = property("America/Toronto", 2, 15);
        assert_eq!(business_date(&montreal, at("2027-03-14T06:59:00Z")), date("2027-03-13"), "1:59");
        assert_eq!(
            business_date(&montreal, at("2027-03-14T07:00:00Z")),
            date("2027-03-14"),
            "3:00, half past two never is"
        );
        assert_eq!(business_date(&montreal, at("2027-11-07T06:45:00Z")), date("2027-11-06"), "1:45, the second time");
        assert_eq!(business_date(&montreal, at("2027-11-07T07:30:00Z")), date("2027-11-07"), "2:30");
    }

    fn selling(cutoff: &str, same_day_until: &str) -> Property {
        Property {
            time_zone: "Asia/Tokyo".parse().unwrap(),
            business_day_cutoff: cutoff.parse().unwrap(),
            same_day_until: same_day_until.parse().unwrap(),
            ..sample_inventory().property
        }
    }

    #[test]
    fn night_of_the_business_day_is_sold_until_the_cutoff() {
        // Tokyo is nine hours ahead and never changes its clocks: 17:00 UTC is 2:00 of the 11th.
        let table = [
            ("04:00:00", "00:00:00", "2027-01-10T14:59:59Z", "2027-01-10", "before midnight"),
            ("04:00:00", "00:00:00", "2027-01-10T17:00:00Z", "2027-01-11", "by default, guests arrive on the date"),
            ("04:00:00", "02:30:00", "2027-01-10T17:00:00Z", "2027-01-10", "half past two is after midnight"),
            ("04:00:00", "02:30:00", "2027-01-10T17:30:00Z", "2027-01-11", "over"),
            ("04:00:00", "20:00:00", "2027-01-10T11:00:00Z", "2027-01-11", "in the evening"),
            ("04:00:00", "04:00:00", "2027-01-10T18:59:59Z", "2027-01-10", "as long as the business day lasts"),
            ("04:00:00", "04:00:00", "2027-01-10T19:00:00Z", "2027-01-11", "the next one"),
            ("00:00:00", "00:00:00", "2027-01-10T14:59:59Z", "2027-01-10", "the business day is the date"),
        ];
        for (cutoff, until, now, expected, why) in table {
            let property = selling(cutoff, until);
            assert_eq!(first_bookable_night(&property, at(now), false), date(expected), "{why}: {now}");
            assert_eq!(
                first_bookable_night(&property, at(now), true),
                business_date(&property, at(now)),
                "staff: {now}"
            );
        }
    }

    proptest! {
        /// Guests are sold the night of the business day or the next one; once it is over it does not come back.
        #[test]
        fn first_night_never_goes_back(
            zone in prop::sample::select(vec!["America/Toronto", "Europe/Paris", "Asia/Tokyo", "Australia/Lord_Howe"]),
            (cutoff, until) in (0..12 * 60_u32, 0..24 * 60_u32),
            (start, step) in (0..400 * 24 * 60_i64, 1..180_i64),
        ) {
            let minutes = |minutes: u32| NaiveTime::from_hms_opt(minutes / 60, minutes % 60, 0).unwrap();
            let property = Property {
                time_zone: zone.parse().unwrap(),
                business_day_cutoff: minutes(cutoff),
                same_day_until: minutes(until),
                ..sample_inventory().property
            };
            let origin = at("2027-01-01T00:00:00Z").as_datetime();
            let instant = |minute| Timestamp::from(origin + TimeDelta::minutes(minute));
            let (now, later) = (instant(start), instant(start + step));
            let day = business_date(&property, now);
            let first = first_bookable_night(&property, now, false);
            prop_assert!(first == day || first == day + Days::new(1));
            // Where clocks go back an hour is lived twice.
            prop_assume!(business_date(&property, later) >= day && local(&property, later) >= local(&property, now));
            prop_assert!(first_bookable_night(&property, later, false) >= first);
        }
    }

    fn local(property: &Property, at: Timestamp) -> chrono::NaiveDateTime {
        at.as_datetime().with_timezone(&property.time_zone).naive_local()
    }

    #[test]
    fn leap_day_is_a_business_day() {
        assert_eq!(business_date(&property("Europe/Paris", 4, 15), at("2028-03-01T01:00:00Z")), date("2028-02-29"));
        assert_eq!(check_in_instant(&property("Europe/Paris", 4, 15), date("2028-02-29")), at("2028-02-29T14:30:00Z"));
    }

    #[test]
    fn check_in_instant_is_a_local_time() {
        assert_eq!(
            check_in_instant(&property("America/Toronto", 4, 15), date("2027-03-13")),
            at("2027-03-13T20:30:00Z")
        );
        assert_eq!(
            check_in_instant(&property("America/Toronto", 4, 15), date("2027-03-14")),
            at("2027-03-14T19:30:00Z")
        );
        assert_eq!(
            check_in_instant(&property("America/Toronto", 4, 2), date("2027-03-14")),
            at("2027-03-14T07:00:00Z"),
            "2:30 does not exist: 3:00"
        );
        assert_eq!(
            check_in_instant(&property("America/Toronto", 4, 1), date("2027-11-07")),
            at("2027-11-07T05:30:00Z"),
            "1:30 is twice: the first"
        );
    }
}
