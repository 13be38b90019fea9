//! Decisions that maintenance puts off: while guests and the front desk are refused, nothing is decided against them,
//! nor for as long afterwards as it took.

use crate::timestamp::Timestamp;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

/// The longest time after a maintenance: others wait for the beds.
const LONGEST: TimeDelta = TimeDelta::hours(1);

/// A time in which no hold ends and no guest becomes a no-show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deferral {
    /// When the maintenance began.
    pub since: Timestamp,
    /// When it ends; absent while the maintenance is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Deferral {
    /// While a maintenance is on.
    pub fn during(since: Timestamp) -> Self {
        Self { since, until: None }
    }

    /// After a maintenance: for as long as it took, at most an hour. What an earlier one still puts off stays put off.
    pub fn after(since: Timestamp, ended: Timestamp, earlier: Option<Self>) -> Self {
        let took = (ended.as_datetime() - since.as_datetime()).clamp(TimeDelta::zero(), LONGEST);
        let own = Self { since, until: Some((ended.as_datetime() + took).into()) };
        match earlier {
            Some(earlier) if earlier.is_in_force(since) => {
                Self { since: earlier.since.min(since), until: own.until.max(earlier.until) }
            }
            _ => own,
        }
    }

    /// Whether it puts anything off at `now`.
    pub fn is_in_force(self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// Whether a hold that was to end at `end` goes on at `now`. One that was over before the maintenance does not.
    pub fn prolongs(self, end: Timestamp, now: Timestamp) -> bool {
        end > self.since && self.is_in_force(now)
    }
}

#[cfg(test)]
mod tests {
    use super::Deferral;
    use crate::timestamp::Timestamp;

    fn at(time: &str) -> Timestamp {
        format!("2027-01-15T{time}:00Z").parse::<chrono::DateTime<chrono::Utc>>().unwrap().into()
    }

    #[test]
    fn deferral_lasts_as_long_again_as_the_maintenance_up_to_an_hour() {
        let on = Deferral::during(at("03:00"));
        assert!(on.is_in_force(at("23:59")) && on.prolongs(at("03:01"), at("23:59")));
        assert!(!on.prolongs(at("03:00"), at("03:30")), "it was over before");
        let short = Deferral::after(at("03:00"), at("03:10"), None);
        assert_eq!(short.until, Some(at("03:20")));
        assert!(short.is_in_force(at("03:19")) && !short.is_in_force(at("03:20")));
        assert!(short.prolongs(at("03:05"), at("03:19")) && !short.prolongs(at("03:05"), at("03:20")));
        assert_eq!(Deferral::after(at("03:00"), at("07:00"), None).until, Some(at("08:00")));
        assert_eq!(Deferral::after(at("03:10"), at("03:00"), None).until, Some(at("03:00")), "clocks differ");
    }

    #[test]
    fn second_maintenance_shortens_no_deferral_of_the_first() {
        let first = Deferral::after(at("03:00"), at("04:00"), None);
        let second = Deferral::after(at("04:30"), at("04:35"), Some(first));
        assert_eq!((second.since, second.until), (at("03:00"), Some(at("05:00"))));
        let longer = Deferral::after(at("04:30"), at("05:30"), Some(first));
        assert_eq!((longer.since, longer.until), (at("03:00"), Some(at("06:30"))));
        let later = Deferral::after(at("05:00"), at("05:05"), Some(first));
        assert_eq!((later.since, later.until), (at("05:00"), Some(at("05:10"))), "the first is over");
    }
}
