//! Sparklines: the course of one count over the last hours, as a line and in words. Pure.
//!
//! A line is made of coordinates only, because the policy of the pages allows no style in them. Where nothing was
//! counted the line is interrupted.

use chrono::{DateTime, TimeDelta, Utc};
use pvt_domain::timestamp::Timestamp;
use pvt_stores::mongo::queue_samples::SAMPLES_KEPT_FOR;
use std::fmt::Write as _;

/// The width, in units of two minutes.
pub(crate) const WIDTH: i64 = 180;
/// The height; a line keeps one unit from both edges, so that its stroke is not cut.
pub(crate) const HEIGHT: u16 = 24;
/// Longer without a count, and the line is interrupted.
const LONGEST_GAP: TimeDelta = TimeDelta::seconds(150);

/// A course of counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sparkline {
    /// Points of each part, as SVG writes them.
    pub(crate) lines: Vec<String>,
    /// The same in words.
    pub(crate) words: String,
    /// The peak, which the top of the line stands for.
    pub(crate) peak: String,
    /// The coordinates of its box, as SVG writes them.
    pub(crate) view_box: String,
}

impl Sparkline {
    /// The course of `counts`, oldest first, up to `now`; `shown` writes a count with its unit.
    pub(crate) fn of(counts: &[(Timestamp, u64)], now: DateTime<Utc>, shown: impl Fn(u64) -> String) -> Self {
        let hours = SAMPLES_KEPT_FOR.as_secs() / 3_600;
        let view_box = format!("0 0 {WIDTH} {HEIGHT}");
        let Some((highest_at, highest)) = counts.iter().copied().rev().max_by_key(|(_, count)| *count) else {
            let words = format!("no sample of the last {hours} hours");
            return Self { lines: Vec::new(), words, peak: String::new(), view_box };
        };
        let lines = parts(counts).map(|part| line(part, now, highest.max(1))).collect();
        let lowest = counts.iter().map(|(_, count)| *count).min().unwrap_or_default();
        let last = counts.last().map_or(0, |(_, count)| *count);
        let at = highest_at.as_datetime().format("%H:%M UTC");
        let words = format!(
            "last {hours} hours: now {}, highest {} (at {at}), lowest {}",
            shown(last),
            shown(highest),
            shown(lowest)
        );
        let peak = format!("peak {} at {at}", shown(highest));
        Self { lines, words, peak, view_box }
    }
}

/// The parts without a gap.
fn parts(counts: &[(Timestamp, u64)]) -> impl Iterator<Item = &[(Timestamp, u64)]> {
    counts.chunk_by(|(one, _), (next, _)| next.as_datetime() - one.as_datetime() <= LONGEST_GAP)
}

fn line(part: &[(Timestamp, u64)], now: DateTime<Utc>, highest: u64) -> String {
    let mut points = String::new();
    for (at, count) in part {
        let (x, y) = (x_of(*at, now), y_of(*count, highest));
        // Writing into a text does not fail.
        let _ = write!(points, "{}{x:.1},{y:.1}", if points.is_empty() { "" } else { " " });
    }
    if let [(at, count)] = part {
        // A line of one point is not drawn.
        let _ = write!(points, " {:.1},{:.1}", x_of(*at, now) + 0.5, y_of(*count, highest));
    }
    points
}

fn x_of(at: Timestamp, now: DateTime<Utc>) -> f64 {
    let ago = (now - at.as_datetime()).as_seconds_f64() / SAMPLES_KEPT_FOR.as_secs_f64();
    WIDTH as f64 * (1.0 - ago).clamp(0.0, 1.0)
}

fn y_of(count: u64, highest: u64) -> f64 {
    let inner = f64::from(HEIGHT) - 2.0;
    1.0 + inner * (1.0 - count as f64 / highest as f64)
}

#[cfg(test)]
mod tests {
    use super::{HEIGHT, Sparkline, WIDTH};
    use chrono::{DateTime, Utc};
    use pvt_domain::timestamp::Timestamp;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + minutes * 60, 0).unwrap()
    }

    fn of(counts: &[(i64, u64)]) -> Sparkline {
        let counts: Vec<(Timestamp, u64)> = counts.iter().map(|(minute, count)| (at(*minute).into(), *count)).collect();
        Sparkline::of(&counts, at(360), |count| count.to_string())
    }

    #[test]
    fn line_runs_from_the_first_count_to_now_between_the_edges() {
        let line = of(&[(358, 0), (359, 5), (360, 10)]);
        let bottom = f64::from(HEIGHT) - 1.0;
        assert_eq!(line.lines, [format!("179.0,{bottom:.1} 179.5,12.0 {WIDTH}.0,1.0")]);
        assert_eq!((line.peak.as_str(), line.view_box.as_str()), ("peak 10 at 14:00 UTC", "0 0 180 24"));
        assert_eq!(line.words, "last 6 hours: now 10, highest 10 (at 14:00 UTC), lowest 0");
        assert_eq!(of(&[(360, 0)]).lines, [format!("180.0,{bottom:.1} 180.5,{bottom:.1}")], "one point is drawn");
    }

    #[test]
    fn time_without_counts_interrupts_the_line() {
        let line = of(&[(100, 1), (101, 1), (200, 1), (201, 1)]);
        assert_eq!(line.lines.len(), 2);
        let empty = of(&[]);
        assert!(empty.lines.is_empty() && empty.peak.is_empty() && empty.words == "no sample of the last 6 hours");
    }
}
