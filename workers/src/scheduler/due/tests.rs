//! Fires on ordinary days, after outages, and on the two days a year on which clocks change.

use super::{due, next_fire};
use crate::scheduler::{CatchUp, Schedule};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;

const HOURLY: &str = "0 0 * * * *";
/// In Montréal clocks go from 2:00 to 3:00 on 2027-03-14 (07:00 UTC), and from 2:00 back to 1:00 on 2027-11-07 (06:00
/// UTC).
const MONTREAL: Tz = Tz::America__Toronto;

fn schedule(cron: &str, time_zone: Tz, catch_up: CatchUp) -> Schedule {
    Schedule { catch_up, ..Schedule::new("test", cron, time_zone).unwrap() }
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn fires(schedule: &Schedule, settled: &str, now: &str) -> Vec<String> {
    due(schedule, at(settled), at(now)).iter().map(|fire| fire.format("%dT%H:%M").to_string()).collect()
}

#[test]
fn a_fire_is_due_at_its_second_and_only_once() {
    let schedule = schedule(HOURLY, Tz::UTC, CatchUp::Latest);
    assert_eq!(fires(&schedule, "2027-01-10T11:00:00Z", "2027-01-10T11:59:59.999Z"), [""; 0]);
    assert_eq!(fires(&schedule, "2027-01-10T11:00:00Z", "2027-01-10T12:00:00Z"), ["10T12:00"]);
    assert_eq!(fires(&schedule, "2027-01-10T12:00:00Z", "2027-01-10T12:00:00.500Z"), [""; 0]);
}

#[test]
fn catch_up_policy_applies_after_outage() {
    let (settled, now) = ("2027-01-10T08:00:00Z", "2027-01-10T12:30:00Z");
    assert_eq!(fires(&schedule(HOURLY, Tz::UTC, CatchUp::Latest), settled, now), ["10T12:00"]);
    assert_eq!(fires(&schedule(HOURLY, Tz::UTC, CatchUp::Skip), settled, now), [""; 0]);
    assert_eq!(
        fires(&schedule(HOURLY, Tz::UTC, CatchUp::All), settled, now),
        ["10T09:00", "10T10:00", "10T11:00", "10T12:00"]
    );
}

#[test]
fn leader_change_is_not_an_outage() {
    assert_eq!(
        fires(&schedule(HOURLY, Tz::UTC, CatchUp::Skip), "2027-01-10T11:00:00Z", "2027-01-10T12:00:20Z"),
        ["10T12:00"]
    );
}

#[test]
fn catching_up_is_bounded() {
    let all = fires(&schedule("* * * * * *", Tz::UTC, CatchUp::All), "2020-01-01T00:00:00Z", "2027-01-10T12:00:00Z");
    assert_eq!((all.len(), all.last().map(String::as_str)), (24, Some("10T12:00")));
}

#[test]
fn clock_set_back_fires_nothing_again() {
    assert_eq!(
        fires(&schedule(HOURLY, Tz::UTC, CatchUp::All), "2027-01-10T12:00:00Z", "2027-01-10T10:30:00Z"),
        [""; 0]
    );
}

#[test]
fn local_time_in_dst_gap_fires_at_the_jump() {
    let nightly = schedule("0 30 2 * * *", MONTREAL, CatchUp::All);
    assert_eq!(fires(&nightly, "2027-03-12T12:00:00Z", "2027-03-15T12:00:00Z"), ["13T07:30", "14T07:00", "15T06:30"]);
    assert_eq!(next_fire(&nightly, at("2027-03-14T06:00:00Z")), Some(at("2027-03-14T07:00:00Z")));
}

#[test]
fn ambiguous_local_time_fires_once() {
    let nightly = schedule("0 30 1 * * *", MONTREAL, CatchUp::All);
    assert_eq!(fires(&nightly, "2027-11-06T12:00:00Z", "2027-11-08T12:00:00Z"), ["07T05:30", "08T06:30"]);
    assert_eq!(fires(&nightly, "2027-11-07T05:30:00Z", "2027-11-07T06:45:00Z"), [""; 0]);
    assert_eq!(next_fire(&nightly, at("2027-11-07T05:30:00Z")), Some(at("2027-11-08T06:30:00Z")));
}

#[test]
fn hourly_schedule_counts_hours_across_dst() {
    let hourly = schedule(HOURLY, MONTREAL, CatchUp::All);
    assert_eq!(
        fires(&hourly, "2027-03-14T05:30:00Z", "2027-03-14T09:00:00Z"),
        ["14T06:00", "14T07:00", "14T08:00", "14T09:00"]
    );
    assert_eq!(
        fires(&hourly, "2027-11-07T03:30:00Z", "2027-11-07T08:00:00Z"),
        ["07T04:00", "07T05:00", "07T06:00", "07T07:00", "07T08:00"]
    );
}

#[test]
fn finished_schedule_has_no_next_fire() {
    assert_eq!(next_fire(&schedule("0 0 0 1 1 * 2026", Tz::UTC, CatchUp::Latest), at("2027-01-01T00:00:00Z")), None);
}

proptest! {
    /// At any polling rate an hourly schedule fires once an hour, also across clock changes.
    #[test]
    fn every_fire_happens_once_at_any_polling_rate(steps in proptest::collection::vec(1_i64..7_000, 1..60),
        start in 0_i64..31_000_000) {
        let hourly = schedule(HOURLY, MONTREAL, CatchUp::All);
        let begin = at("2027-01-01T00:00:00Z") + TimeDelta::seconds(start);
        let (mut now, mut settled, mut seen) = (begin, begin, Vec::new());
        for step in steps {
            now += TimeDelta::seconds(step);
            for fire in due(&hourly, settled, now) {
                seen.push(fire);
                settled = fire;
            }
        }
        let hours = now.timestamp().div_euclid(3_600) - begin.timestamp().div_euclid(3_600);
        prop_assert_eq!(i64::try_from(seen.len()).unwrap(), hours);
        prop_assert!(seen.windows(2).all(|pair| pair[1] - pair[0] == TimeDelta::hours(1)));
    }

    #[test]
    fn next_fire_is_the_next_to_become_due(start in 0_i64..31_000_000) {
        let nightly = schedule("0 30 2 * * *", MONTREAL, CatchUp::Latest);
        let now = at("2027-01-01T00:00:00Z") + TimeDelta::seconds(start);
        let next = next_fire(&nightly, now).unwrap();
        prop_assert_eq!(due(&nightly, now, next), vec![next]);
        prop_assert!(due(&nightly, now, next - TimeDelta::seconds(1)).is_empty());
    }
}
