//! The instant of a local time at a property.

use super::MailError;
use chrono::{DateTime, Duration, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;

/// The longest gap there ever was is a whole day (Samoa skipped 30 December 2011).
const LONGEST_GAP_HOURS: i64 = 26;

/// The instant at which a clock in `zone` shows this date and time.
///
/// Shown twice (the clock was set back): the first time. Never shown (it was set forward): read with the offset from
/// before the gap, as RFC 5545 §3.3.5 has it, so that 02:30 in a gap from 02:00 to 03:00 is 03:30.
///
/// # Errors
/// [`MailError::LocalTime`] for a date at the end of the calendar.
pub(super) fn instant(date: NaiveDate, time: NaiveTime, zone: Tz) -> Result<DateTime<Utc>, MailError> {
    let local = date.and_time(time);
    match zone.from_local_datetime(&local) {
        LocalResult::Single(instant) | LocalResult::Ambiguous(instant, _) => Ok(instant.to_utc()),
        LocalResult::None => after_gap(local, zone).ok_or(MailError::LocalTime(local, zone)),
    }
}

fn after_gap(local: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    let before = (1..=LONGEST_GAP_HOURS)
        .find_map(|hours| zone.from_local_datetime(&local.checked_sub_signed(Duration::hours(hours))?).latest())?;
    local.checked_sub_offset(before.offset().fix()).map(|utc| utc.and_utc())
}

#[cfg(test)]
mod tests {
    use super::instant;
    use chrono_tz::Tz;

    fn utc(date: &str, time: &str, zone: Tz) -> String {
        instant(date.parse().unwrap(), time.parse().unwrap(), zone).unwrap().format("%Y-%m-%dT%H:%MZ").to_string()
    }

    #[test]
    fn ordinary_time_uses_offset_of_its_day() {
        assert_eq!(utc("2027-01-10", "15:00:00", chrono_tz::America::Toronto), "2027-01-10T20:00Z");
        assert_eq!(utc("2027-07-10", "15:00:00", chrono_tz::America::Toronto), "2027-07-10T19:00Z");
    }

    #[test]
    fn time_in_dst_gap_uses_offset_before_it() {
        // Clocks in Toronto go from 02:00 EST to 03:00 EDT on 14 March 2027.
        assert_eq!(utc("2027-03-14", "02:30:00", chrono_tz::America::Toronto), "2027-03-14T07:30Z");
        assert_eq!(utc("2027-03-14", "03:30:00", chrono_tz::America::Toronto), "2027-03-14T07:30Z");
    }

    #[test]
    fn ambiguous_time_is_the_first() {
        assert_eq!(utc("2027-11-07", "01:30:00", chrono_tz::America::Toronto), "2027-11-07T05:30Z");
    }

    #[test]
    fn skipped_day_has_an_instant() {
        assert_eq!(utc("2011-12-30", "15:00:00", chrono_tz::Pacific::Apia), "2011-12-31T01:00Z");
    }
}
