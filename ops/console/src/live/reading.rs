//! Readings of sources that may be down: the last value, or since when there is none. Never an old value.

use pvt_domain::timestamp::Timestamp;
use std::fmt;

/// A source that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outage {
    /// When it was first noticed.
    pub(crate) since: Timestamp,
    /// What the last attempt said.
    pub(crate) reason: String,
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "down since {}: {}", clock(self.since), self.reason)
    }
}

/// A time of day, with the date where it matters: outages may last.
pub(crate) fn clock(at: Timestamp) -> String {
    at.as_datetime().format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// What is known of a source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Reading<T> {
    /// It was not read yet.
    #[default]
    Pending,
    /// The value of the last reading.
    Up(T),
    /// The last reading failed.
    Down(Outage),
}

impl<T> Reading<T> {
    /// The next reading after this one.
    pub(crate) fn next(&self, read: Result<T, String>, now: Timestamp) -> Self {
        match (read, self) {
            (Ok(value), _) => Self::Up(value),
            (Err(reason), Self::Down(outage)) => Self::Down(Outage { since: outage.since, reason }),
            (Err(reason), _) => Self::Down(Outage { since: now, reason }),
        }
    }

    /// The value, unless the source is down or was not read yet.
    pub(crate) fn value(&self) -> Option<&T> {
        match self {
            Self::Up(value) => Some(value),
            Self::Pending | Self::Down(_) => None,
        }
    }

    /// The outage, while there is one.
    pub(crate) fn outage(&self) -> Option<&Outage> {
        match self {
            Self::Down(outage) => Some(outage),
            Self::Pending | Self::Up(_) => None,
        }
    }

    /// Its state in words.
    pub(crate) fn state(&self) -> String {
        match self {
            Self::Pending => "not read yet".to_owned(),
            Self::Up(_) => "up".to_owned(),
            Self::Down(outage) => outage.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reading;
    use chrono::{TimeDelta, Utc};
    use pvt_domain::timestamp::Timestamp;

    #[test]
    fn outage_begins_with_its_first_failure_and_hides_the_value() {
        let begin: Timestamp = Utc::now().into();
        let after = |seconds| Timestamp::from(begin.as_datetime() + TimeDelta::seconds(seconds));
        let up = Reading::Pending.next(Ok(7), begin);
        assert_eq!(up.value(), Some(&7));
        let down = up.next(Err("refused".to_owned()), after(1)).next(Err("timeout".to_owned()), after(2));
        let outage = down.outage().unwrap();
        assert_eq!((down.value(), outage.since, outage.reason.as_str()), (None, after(1), "timeout"));
        assert!(down.state().contains("timeout"));
        assert_eq!(down.next(Ok(8), after(3)), Reading::Up(8));
    }
}
