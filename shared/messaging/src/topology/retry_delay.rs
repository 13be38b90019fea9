//! Retry delays: exchanges with a queue each that hold a message for a while.

use std::time::Duration;

/// A delay before a retry: an exchange and a queue of the same name, whose messages return to their work queue after
/// [`RetryDelay::duration`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RetryDelay {
    /// 5 seconds.
    S5,
    /// 1 minute.
    M1,
    /// 10 minutes.
    M10,
    /// 1 hour.
    H1,
}

impl RetryDelay {
    /// All delays, shortest first.
    pub const ALL: &[Self] = &[Self::S5, Self::M1, Self::M10, Self::H1];

    /// The name of its exchange and queue, without the prefix.
    pub const fn base_name(self) -> &'static str {
        match self {
            Self::S5 => "retry.5s",
            Self::M1 => "retry.1m",
            Self::M10 => "retry.10m",
            Self::H1 => "retry.1h",
        }
    }

    /// The delay in production.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::S5 => 5,
            Self::M1 => 60,
            Self::M10 => 600,
            Self::H1 => 3_600,
        })
    }

    /// The shortest delay of at least `wanted`, else the longest.
    pub fn at_least(wanted: Duration) -> Self {
        Self::ALL.iter().copied().find(|delay| delay.duration() >= wanted).unwrap_or(Self::H1)
    }

    /// The time to live of its queue in milliseconds, when delays are shortened by `divisor`.
    pub(crate) fn ttl_ms(self, divisor: u32) -> i64 {
        let ms = self.duration().as_millis() / u128::from(divisor.max(1));
        i64::try_from(ms).unwrap_or(i64::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortest_sufficient_delay_is_chosen() {
        let chosen = |secs| RetryDelay::at_least(Duration::from_secs(secs));
        assert_eq!(chosen(0), RetryDelay::S5);
        assert_eq!(chosen(5), RetryDelay::S5);
        assert_eq!(chosen(6), RetryDelay::M1);
        assert_eq!(chosen(601), RetryDelay::H1);
        assert_eq!(chosen(999_999), RetryDelay::H1, "the last delay is the longest");
    }

    #[test]
    fn a_divisor_shortens_the_time_to_live() {
        assert_eq!(RetryDelay::S5.ttl_ms(1), 5_000);
        assert_eq!(RetryDelay::S5.ttl_ms(50), 100);
        assert_eq!(RetryDelay::S5.ttl_ms(u32::MAX), 1, "never zero: such a message would expire at once");
    }
}
