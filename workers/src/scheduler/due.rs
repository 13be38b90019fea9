//! Due fires of a schedule: a pure function of the schedule, its progress, and the time.
//!
//! Schedules run in local time. A time that is skipped in spring fires at the jump; a time that occurs twice in autumn
//! fires the first time only. An hourly schedule counts elapsed hours instead: none fires twice, none is missed.

use super::schedule::{CatchUp, Schedule};
use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, SubsecRound, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use cron::TimeUnitSpec;
use std::collections::BTreeSet;

/// A younger fire is not missed: a leader was replaced.
const ON_TIME: TimeDelta = TimeDelta::seconds(60);
/// Most missed fires that `all` makes up for, the newest ones.
const CATCH_UP_MAX: usize = 24;
/// No clock change is larger.
const MAX_CLOCK_CHANGE: TimeDelta = TimeDelta::hours(3);
/// No gap in local time is longer (a day, where the date line was moved).
const LONGEST_GAP_MINUTES: i64 = 25 * 60;

/// The fires after `settled_until`, up to and including `now`, that are to happen now, oldest first.
pub fn due(schedule: &Schedule, settled_until: DateTime<Utc>, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let (wanted, after) = match schedule.catch_up {
        CatchUp::Latest => (1, settled_until),
        CatchUp::Skip => (1, settled_until.max(now - ON_TIME)),
        CatchUp::All => (CATCH_UP_MAX, settled_until),
    };
    let zone = schedule.time_zone;
    let mut fires = BTreeSet::new();
    // Local times treated as UTC, where none is missing and none occurs twice.
    let newest =
        local(zone, now) + if is_far_from_clock_change(zone, now) { TimeDelta::zero() } else { MAX_CLOCK_CHANGE };
    let oldest =
        local(zone, after) - if is_far_from_clock_change(zone, after) { TimeDelta::zero() } else { MAX_CLOCK_CHANGE };
    let from = newest.trunc_subsecs(0) + TimeDelta::seconds(1);
    for candidate in schedule.cron.after(&from.and_utc()).rev().map(|candidate| candidate.naive_utc()) {
        let instants = instants(schedule, candidate);
        // Around a clock change the local order is not the order in time, so all candidates are examined.
        let calm = instants.first().is_none_or(|instant| is_far_from_clock_change(zone, *instant));
        if candidate < oldest || (calm && fires.len() >= wanted) {
            break;
        }
        fires.extend(instants.into_iter().filter(|fire| *fire > after && *fire <= now));
    }
    let surplus = fires.len().saturating_sub(wanted);
    fires.into_iter().skip(surplus).collect()
}

/// The first fire after `now`; `None` when there are no more.
pub fn next_fire(schedule: &Schedule, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let zone = schedule.time_zone;
    let from =
        local(zone, now) - if is_far_from_clock_change(zone, now) { TimeDelta::zero() } else { MAX_CLOCK_CHANGE };
    let mut next: Option<DateTime<Utc>> = None;
    for candidate in schedule.cron.after(&from.trunc_subsecs(0).and_utc()).map(|candidate| candidate.naive_utc()) {
        let instants = instants(schedule, candidate);
        let later = instants.iter().copied().filter(|fire| *fire > now);
        let calm = instants.first().is_none_or(|instant| is_far_from_clock_change(zone, *instant));
        next = later.chain(next).min();
        if next.is_some() && calm {
            break;
        }
    }
    next
}

/// The instants of a local time: one, two or, in a gap, none.
fn instants(schedule: &Schedule, shown: NaiveDateTime) -> Vec<DateTime<Utc>> {
    let every_hour = schedule.cron.hours().is_all();
    match schedule.time_zone.from_local_datetime(&shown) {
        MappedLocalTime::Single(instant) => vec![instant.to_utc()],
        MappedLocalTime::Ambiguous(first, second) if every_hour => vec![first.to_utc(), second.to_utc()],
        MappedLocalTime::Ambiguous(first, _) => vec![first.to_utc()],
        MappedLocalTime::None if every_hour => Vec::new(),
        MappedLocalTime::None => end_of_gap(schedule.time_zone, shown).into_iter().collect(),
    }
}

/// The end of the gap that skips this local time.
fn end_of_gap(zone: Tz, skipped: NaiveDateTime) -> Option<DateTime<Utc>> {
    let minute = skipped.with_second(0)?.with_nanosecond(0)?;
    let later = (1..=LONGEST_GAP_MINUTES).map(|minutes| minute + TimeDelta::minutes(minutes));
    later.filter_map(|shown| zone.from_local_datetime(&shown).earliest()).next().map(|instant| instant.to_utc())
}

fn local(zone: Tz, instant: DateTime<Utc>) -> NaiveDateTime {
    instant.with_timezone(&zone).naive_local()
}

/// Whether no clock change is within hours.
fn is_far_from_clock_change(zone: Tz, instant: DateTime<Utc>) -> bool {
    let offset_at = |instant: DateTime<Utc>| zone.offset_from_utc_datetime(&instant.naive_utc()).fix();
    offset_at(instant - MAX_CLOCK_CHANGE) == offset_at(instant + MAX_CLOCK_CHANGE)
}

#[cfg(test)]
mod tests;
