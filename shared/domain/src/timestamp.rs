//! Timestamps as the whole system writes them: RFC 3339, UTC, always three decimals.
//!
//! The fixed width makes the text sort like the instant, in JSON, in MongoDB and in a log.

use chrono::{DateTime, Datelike, NaiveDate, SubsecRound, Timelike, Utc};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A UTC instant in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(inline, with = "DateTime<Utc>")]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// The instant, truncated to milliseconds so that the stored value equals the decided one.
    pub fn new(instant: DateTime<Utc>) -> Self {
        Self(instant.trunc_subsecs(3))
    }

    /// The instant as chrono's type.
    pub fn as_datetime(&self) -> DateTime<Utc> {
        self.0
    }

    /// The local calendar date in `zone`.
    pub fn local_date(&self, zone: Tz) -> NaiveDate {
        self.0.with_timezone(&zone).date_naive()
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(instant: DateTime<Utc>) -> Self {
        Self::new(instant)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, time) = (self.0.date_naive(), self.0.time());
        // chrono stores a leap second as a second of more than a thousand milliseconds.
        let milliseconds = time.nanosecond() / 1_000_000;
        // Interpreting a format string would take three times as long, for every time in every document and message.
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            date.year(),
            date.month(),
            date.day(),
            time.hour(),
            time.minute(),
            time.second() + milliseconds / 1_000,
            milliseconds % 1_000
        )
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        DateTime::parse_from_rfc3339(&text).map(|instant| Self::new(instant.to_utc())).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;
    use chrono::{DateTime, TimeDelta};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_is_rfc_3339_with_three_decimals(
            seconds in -62_135_596_800..253_402_300_800_i64,
            millisecond in 0..1_000_u32,
        ) {
            let instant = DateTime::from_timestamp(seconds, millisecond * 1_000_000).unwrap();
            let text = Timestamp::new(instant + TimeDelta::nanoseconds(999_999)).to_string();
            prop_assert_eq!(&text, &instant.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
            prop_assert_eq!(text.len(), "2027-01-10T15:00:00.000Z".len());
        }
    }

    #[test]
    fn leap_second_is_second_sixty() {
        let read: Timestamp = serde_json::from_str("\"2016-12-31T23:59:60.250Z\"").unwrap();
        assert_eq!(read.to_string(), "2016-12-31T23:59:60.250Z");
    }
}
