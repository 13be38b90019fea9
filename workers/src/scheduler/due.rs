//! Which fires of a schedule are due: a pure function of the schedule, of how far it has come, and of the time.
//!
//! Times are those of a wall. A time that the wall skips in spring fires when it jumps; a time that it shows twice in
//! autumn fires the first time only. A schedule of every hour counts hours instead: none is fired twice, none is
//! missed.

use super::schedule::Schedule;
use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, SubsecRound, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use cron::TimeUnitSpec;
use serde::Deserialize;
use std::collections::BTreeSet;

/// A fire that is not older than this was not missed: nobody was slow, a leader was replaced.
const ON_TIME: TimeDelta = TimeDelta::seconds(60);
/// Most missed fires that `all` makes up for, the newest ones.
const CATCH_UP_MAX: usize = 24;
/// No clock is ever turned by more.
const MAX_CLOCK_CHANGE: TimeDelta = TimeDelta::hours(3);
/// No wall ever skips more (a day, where the date line was moved).
const LONGEST_GAP_MINUTES: i64 = 25 * 60;

/// What becomes of fires that nobody was there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// The newest of them is made up for.
    Latest,
    /// None is.
    Skip,
    /// All are, oldest first, but not more than the newest 24.
    All,
}

/// The fires after `settled_until`, up to and including `now`, that are to happen now, oldest first.
pub fn due(schedule: &Schedule, settled_until: DateTime<Utc>, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let (wanted, after) = match schedule.catch_up {
        CatchUp::Latest => (1, settled_until),
        CatchUp::Skip => (1, settled_until.max(now - ON_TIME)),
        CatchUp::All => (CATCH_UP_MAX, settled_until),
    };
    let zone = schedule.time_zone;
    let mut fires = BTreeSet::new();
    // The wall's times as if they were UTC, where none is missing and none is double.
    let newest =
        local(zone, now) + if is_far_from_clock_change(zone, now) { TimeDelta::zero() } else { MAX_CLOCK_CHANGE };
    let oldest =
        local(zone, after) - if is_far_from_clock_change(zone, after) { TimeDelta::zero() } else { MAX_CLOCK_CHANGE };
    let from = newest.trunc_subsecs(0) + TimeDelta::seconds(1);
    for candidate in schedule.cron.after(&from.and_utc()).rev().map(|candidate| candidate.naive_utc()) {
        let instants = instants(schedule, candidate);
        // Around a turn of the clock the order on the wall is not the order in time, so there all candidates are looked
        // at.
        let calm = instants.first().is_none_or(|instant| is_far_from_clock_change(zone, *instant));
        if candidate < oldest || (calm && fires.len() >= wanted) {
            break;
        }
        fires.extend(instants.into_iter().filter(|fire| *fire > after && *fire <= now));
    }
    let surplus = fires.len().saturating_sub(wanted);
    fires.into_iter().skip(surplus).collect()
}

/// The first fire after `now`; `None` when there is none any more.
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

/// When the wall shows this time: once, twice or, in a gap, not at all.
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

/// The instant at which the wall jumps over this time.
fn end_of_gap(zone: Tz, skipped: NaiveDateTime) -> Option<DateTime<Utc>> {
    let minute = skipped.with_second(0)?.with_nanosecond(0)?;
    let later = (1..=LONGEST_GAP_MINUTES).map(|minutes| minute + TimeDelta::minutes(minutes));
    later.filter_map(|shown| zone.from_local_datetime(&shown).earliest()).next().map(|instant| instant.to_utc())
}

fn local(zone: Tz, instant: DateTime<Utc>) -> NaiveDateTime {
    instant.with_timezone(&zone).naive_local()
}

/// Whether no clock is turned in the hours around.
fn is_far_from_clock_change(zone: Tz, instant: DateTime<Utc>) -> bool {
    let offset_at = |instant: DateTime<Utc>| zone.offset_from_utc_datetime(&instant.naive_utc()).fix();
    offset_at(instant - MAX_CLOCK_CHANGE) == offset_at(instant + MAX_CLOCK_CHANGE)
}

#[cfg(test)]
mod tests;
