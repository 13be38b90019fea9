//! Replays of dead letters as pages show them while they go on. Pure.

use super::figures::UNKNOWN;
use super::reading::Reading;
use pvt_stores::mongo::dead_letters::{OperationState, ReplayOperation};
use std::collections::BTreeMap;
use std::time::Duration;

/// Replays that ended no longer ago are read with those that go on: their messages may die again.
pub(crate) const RECENT: Duration = Duration::from_secs(10 * 60);
/// Most that are read again and again.
pub(crate) const MAX_READ: i64 = 20;

/// How far a replay has come.
pub(crate) fn progress(operation: &ReplayOperation) -> String {
    let ReplayOperation { total, remaining, kept, died_again, .. } = operation;
    let mut words = format!("{} of {total} sent again, {remaining} to go", operation.replayed());
    let kept: u64 = kept.values().sum();
    if kept > 0 {
        words += &format!(", {kept} stay dead");
    }
    if *died_again > 0 {
        words += &format!(", {died_again} died again");
    }
    words
}

/// The state of a replay in words.
pub(crate) fn state(operation: &ReplayOperation) -> String {
    match (operation.state, &operation.waits_for) {
        (OperationState::Running, Some(why)) => format!("waits: {why}"),
        (state, _) => state.as_str().to_owned(),
    }
}

/// A text that changes with everything that pages show of a replay. Every page gets it, and only administrators may
/// read why a replay waits: of that it has how often it changed.
pub(crate) fn digest(operation: &ReplayOperation) -> String {
    format!("{} {}; {}", operation.state.as_str(), operation.waits, progress(operation))
}

/// A text that changes with any of the replays.
pub(crate) fn all_digest(replays: &Reading<Vec<ReplayOperation>>) -> String {
    let words = |one: &ReplayOperation| format!("{}={}", one.id, digest(one));
    let all = replays.value().map(|replays| replays.iter().map(words).collect::<Vec<_>>().join("|"));
    all.unwrap_or_else(|| replays.state())
}

/// A text that changes with the numbers of dead letters, or with any of the replays.
pub(crate) fn dead_letters_digest(
    counts: &Reading<BTreeMap<String, u64>>,
    replays: &Reading<Vec<ReplayOperation>>,
) -> String {
    let words = |(queue, count): (&String, &u64)| format!("{queue}={count}");
    let counted = counts.value().map(|counts| counts.iter().map(words).collect::<Vec<_>>().join("|"));
    format!("{}; {}", counted.unwrap_or_else(|| UNKNOWN.to_owned()), all_digest(replays))
}

/// Texts of the replays by the names under which pages have them.
pub(crate) fn texts(
    counts: &Reading<BTreeMap<String, u64>>,
    replays: &Reading<Vec<ReplayOperation>>,
) -> Vec<(String, String)> {
    let of_one = |one: &ReplayOperation| (format!("replay.{}.digest", one.id), digest(one));
    let state_of_one = |one: &ReplayOperation| (format!("replay.{}.state", one.id), one.state.as_str().to_owned());
    let all = || replays.value().into_iter().flatten();
    let mut texts: Vec<_> = all().map(of_one).chain(all().map(state_of_one)).collect();
    texts.push(("digest.replays".to_owned(), all_digest(replays)));
    texts.push(("digest.dead_letters".to_owned(), dead_letters_digest(counts, replays)));
    texts
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Utc;

    #[test]
    fn digest_changes_with_what_is_shown_and_does_not_say_why() {
        let now = Utc::now().into();
        let begun =
            ReplayOperation { total: 5, remaining: 5, ..ReplayOperation::new("a", "b".into(), "c".into(), 1, now) };
        let sent = ReplayOperation { remaining: 4, ..begun.clone() };
        let waits = ReplayOperation { waits_for: Some("10.0.0.1 refused".to_owned()), waits: 1, ..begun.clone() };
        let died = ReplayOperation { remaining: 0, died_again: 2, ..begun.clone() };
        assert_eq!(progress(&died), "5 of 5 sent again, 0 to go, 2 died again");
        let digests = [&begun, &sent, &waits, &died].map(digest);
        let distinct: std::collections::BTreeSet<&String> = digests.iter().collect();
        assert_eq!(distinct.len(), digests.len(), "{digests:?}");
        assert!(state(&waits).contains("10.0.0.1"));
        let state = format!("replay.{}.state", waits.id);
        let texts = texts(&Reading::Pending, &Reading::Up(vec![waits]));
        assert!(texts.contains(&(state, "running".to_owned())), "a wait does not change it: {texts:?}");
        assert!(texts.iter().all(|(_, text)| !text.contains("10.0.0.1")), "{texts:?}");
    }
}
