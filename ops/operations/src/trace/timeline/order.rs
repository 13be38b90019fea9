//! Order of what happened: by time, and by cause where a clock has only seconds.

use super::TimelineEvent;
use chrono::TimeDelta;
use pvt_domain::timestamp::Timestamp;
use std::collections::HashMap;
use uuid::Uuid;

/// Longest chain of causes that is followed.
const MAX_DEPTH: u32 = 64;

/// Something that happened, before it has its place.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Names it for what it caused.
    pub(super) key: String,
    /// What caused it; one that is not among the steps counts for nothing.
    pub(super) cause: Option<String>,
    pub(super) at: Timestamp,
    /// Whether its clock has only whole seconds.
    pub(super) in_seconds: bool,
    pub(super) place: &'static str,
    pub(super) what: String,
    pub(super) message_id: Option<Uuid>,
}

impl Step {
    pub(super) fn new(key: impl Into<String>, at: Timestamp, place: &'static str, what: impl Into<String>) -> Self {
        let (key, what) = (key.into(), what.into());
        Self { key, cause: None, at, in_seconds: false, place, what, message_id: None }
    }

    pub(super) fn after(self, cause: impl Into<String>) -> Self {
        Self { cause: Some(cause.into()), ..self }
    }

    pub(super) fn in_seconds(self) -> Self {
        Self { in_seconds: true, ..self }
    }

    pub(super) fn of_message(self, id: Uuid) -> Self {
        Self { message_id: Some(id), ..self }
    }
}

/// The steps in their order. Nothing stands before its cause, whatever their clocks say.
pub(super) fn ordered(steps: Vec<Step>) -> Vec<TimelineEvent> {
    let by_key: HashMap<&str, &Step> = steps.iter().map(|step| (step.key.as_str(), step)).collect();
    let mut places: Vec<(Timestamp, u32, usize)> = steps
        .iter()
        .enumerate()
        .map(|(index, step)| {
            let (at, depth) = moment(step, &by_key, MAX_DEPTH);
            (at, depth, index)
        })
        .collect();
    places.sort_unstable();
    let mut before: Option<Timestamp> = None;
    let mut events = Vec::with_capacity(steps.len());
    for (moment, _, index) in places {
        let Some(step) = steps.get(index) else { continue };
        let since = |earlier: Timestamp| (moment.as_datetime() - earlier.as_datetime()).num_milliseconds();
        let cause = step.cause.as_deref().and_then(|cause| by_key.get(cause));
        events.push(TimelineEvent {
            at: step.at,
            place: step.place,
            what: step.what.clone(),
            after_ms: before.map(since),
            in_seconds: step.in_seconds,
            id: step.key.clone(),
            cause: cause.map(|cause| cause.key.clone()),
            message_id: step.message_id,
        });
        before = Some(moment);
    }
    events
}

/// When a step can have happened at the earliest, and how many causes lie before it. A time in whole seconds is the
/// beginning of its second.
fn moment(step: &Step, by_key: &HashMap<&str, &Step>, depth: u32) -> (Timestamp, u32) {
    let cause = step.cause.as_deref().and_then(|cause| by_key.get(cause));
    let Some(cause) = cause.filter(|cause| depth > 0 && cause.key != step.key) else { return (step.at, 0) };
    let (caused_at, causes) = moment(cause, by_key, depth - 1);
    (step.at.max(caused_at), causes + 1)
}

/// A waiting time that ends at this instant, in words. What was sent at a time in whole seconds was sent up to a second
/// later.
pub(super) fn waited(from: Timestamp, until: Timestamp, in_seconds: bool) -> String {
    let span = until.as_datetime() - from.as_datetime();
    let shown = |span: TimeDelta| super::super::time_span(span.num_milliseconds().max(0));
    match in_seconds {
        false => format!("after {}", shown(span)),
        true if span < TimeDelta::seconds(1) => format!("after less than {}", shown(span.max(TimeDelta::zero()))),
        true if span < TimeDelta::seconds(10) => {
            format!("after {} to {}", shown(span - TimeDelta::seconds(1)), shown(span))
        }
        true => format!("after about {}", shown(span)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Step, ordered, waited};
    use pvt_domain::timestamp::Timestamp;

    fn at(text: &str) -> Timestamp {
        format!("2026-12-01T12:00:{text}Z").parse::<chrono::DateTime<chrono::Utc>>().unwrap().into()
    }

    #[test]
    fn cause_stands_before_what_happened_in_the_same_second() {
        let steps = vec![
            Step::new("paid", at("03"), "stripe", "pi_1 is succeeded").in_seconds().after("opened"),
            Step::new("received", at("03.900"), "stripe", "received").after("paid"),
            Step::new("opened", at("03.400"), "ledger", "checkout opened"),
            Step::new("other", at("03.100"), "booking", "rev 1"),
        ];
        let events = ordered(steps);
        let shown: Vec<(&str, Option<i64>)> = events.iter().map(|event| (event.id.as_str(), event.after_ms)).collect();
        assert_eq!(shown, [("other", None), ("opened", Some(300)), ("paid", Some(0)), ("received", Some(500))]);
        assert_eq!(events[2].at, at("03"), "its own time is shown");
        assert_eq!(events[2].cause.as_deref(), Some("opened"));
    }

    #[test]
    fn cause_stands_first_also_when_clocks_contradict_it() {
        let steps = vec![
            Step::new("effect", at("01"), "mail", "sent").after("cause"),
            Step::new("cause", at("05"), "booking", "rev 1"),
        ];
        let events = ordered(steps);
        assert_eq!(events.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["cause", "effect"]);
        assert_eq!(events[1].after_ms, Some(0));
    }

    #[test]
    fn circle_of_causes_ends() {
        let steps = vec![
            Step::new("one", at("01"), "mail", "").after("other"),
            Step::new("other", at("02"), "mail", "").after("one"),
            Step::new("own", at("03"), "mail", "").after("own"),
        ];
        assert_eq!(ordered(steps).len(), 3);
    }

    #[test]
    fn waiting_times_say_how_exact_they_are() {
        assert_eq!(waited(at("01.000"), at("01.012"), false), "after 12 ms");
        assert_eq!(waited(at("01"), at("01.250"), true), "after less than 250 ms");
        assert_eq!(waited(at("01"), at("04.500"), true), "after 2.5 s to 3.5 s");
        assert_eq!(waited(at("01"), at("31.500"), true), "after about 30.5 s");
        assert_eq!(waited(at("02"), at("01"), false), "after 0 ms", "clocks differ");
    }
}
