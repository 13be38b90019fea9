//! Fingerprints: which dead letters have one cause.

use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use uuid::Uuid;

/// Stands for a number, an id or another value in a pattern.
const VALUE: &str = "#";
/// Stands for a quoted value.
const QUOTED: &str = "…";
/// Length of a hyphenated UUID.
const UUID_CHARS: usize = 36;
/// From this length on, a word with a digit is an id.
const ID_CHARS: usize = 10;
/// From this length on, a word of hexadecimal digits is an id.
const HEX_CHARS: usize = 8;
/// Longer patterns are cut: the beginning of a message names its cause.
const PATTERN_MAX_CHARS: usize = 300;
/// What is behind the first so many characters of a message is not looked at: a header of another producer may have
/// more than our workers write.
const MESSAGE_MAX_CHARS: usize = 4_096;
/// Bytes of the hash that name a group.
const GROUP_BYTES: usize = 8;

/// The cause of a dead letter, as far as its error says. Dead letters with the same fingerprint are one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Names the group; sixteen hexadecimal digits.
    pub group: String,
    /// The error's message without the values that differ from one message to the next.
    pub pattern: String,
}

impl Fingerprint {
    /// The fingerprint of an error: `source` is the worker, or the queue where no worker is known.
    pub fn new(source: &str, class: &str, message: &str) -> Self {
        let pattern = pattern(message);
        let hash = Sha256::digest(format!("{source}\n{class}\n{pattern}"));
        let group = hash.iter().take(GROUP_BYTES).fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Self { group, pattern }
    }
}

/// The message with quoted values, UUIDs, ids and numbers replaced.
fn pattern(message: &str) -> String {
    let mut pattern = String::new();
    let mut rest = message.char_indices().nth(MESSAGE_MAX_CHARS).map_or(message, |(end, _)| &message[..end]);
    let mut before = ' ';
    while let Some(next) = rest.chars().next() {
        let replaced = || {
            let length = quoted(before, rest)?;
            Some((format!("{next}{QUOTED}{next}"), length))
        };
        let (text, used) = match replaced().or_else(|| value(before, rest)) {
            Some((text, used)) => (text, used),
            None => (next.to_string(), next.len_utf8()),
        };
        let (taken, after) = rest.split_at(used);
        pattern.push_str(&text);
        before = taken.chars().next_back().unwrap_or(before);
        rest = after;
    }
    pattern.chars().take(PATTERN_MAX_CHARS).collect()
}

/// The length of a quoted value at the beginning of the text, with its quotes. An apostrophe within a word quotes
/// nothing.
pub(super) fn quoted(before: char, text: &str) -> Option<usize> {
    let open = text.chars().next().filter(|open| ['"', '`', '\''].contains(open))?;
    if open == '\'' && before.is_alphanumeric() {
        return None;
    }
    let inner = text.get(1..)?;
    let closes = |at: usize| {
        let after = inner.get(at + 1..).and_then(|after| after.chars().next());
        open != '\'' || !after.is_some_and(char::is_alphanumeric)
    };
    inner.match_indices(open).map(|(at, _)| at + 2).find(|end| closes(end - 2))
}

/// An address, a UUID or a word at the beginning of the text, without what differs from message to message, and its
/// length.
fn value(before: char, text: &str) -> Option<(String, usize)> {
    if let Some(length) = Some(text).filter(|_| ends_address(before)).and_then(address) {
        return Some((VALUE.to_owned(), length));
    }
    let is_uuid = |text: &&str| Uuid::try_parse(text).is_ok();
    if text.get(..UUID_CHARS).is_some_and(|start| is_uuid(&start)) {
        return Some((VALUE.to_owned(), UUID_CHARS));
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let word = text.get(..end).filter(|word| !word.is_empty())?;
    let has_digit = word.contains(char::is_numeric);
    let is_hex = word.len() >= HEX_CHARS && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    if has_digit && (is_hex || word.len() >= ID_CHARS) {
        return Some((VALUE.to_owned(), end));
    }
    let mut shown = String::new();
    for c in word.chars() {
        if !c.is_numeric() {
            shown.push(c);
        } else if !shown.ends_with(VALUE) {
            shown.push_str(VALUE);
        }
    }
    Some((shown, end))
}

/// Whether an address of mail ends before this sign, and one may begin behind it.
fn ends_address(c: char) -> bool {
    c.is_whitespace() || "<>()[]\"'`,;:".contains(c)
}

/// The length of an address of mail at the beginning of the text.
fn address(text: &str) -> Option<usize> {
    let end = text.find(ends_address).unwrap_or(text.len());
    let (local, domain) = text.get(..end)?.trim_end_matches('.').split_once('@')?;
    (!local.is_empty() && !domain.is_empty()).then_some(local.len() + 1 + domain.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::{Duration, Instant};

    #[test]
    fn values_of_a_message_are_replaced_and_words_stay() {
        for (message, expected) in [
            ("booking 01890000-0000-7000-8000-00000000dead is gone", "booking # is gone"),
            ("`carrier.pigeon.v1` is not a message of this queue", "`…` is not a message of this queue"),
            ("the body has 1048576 bytes, more than 65536", "the body has # bytes, more than #"),
            ("guest 'O''Neil' doesn't exist, and isn't 'new'", "guest '…''…' doesn't exist, and isn't '…'"),
            ("charge ch_3NabCdEfG failed (code 4f9a02bc)", "charge # failed (code #)"),
            ("it cost 12.50 EUR at utf8 \"x 7", "it cost #.# EUR at utf# \"x #"),
            ("550 <ada.b@example.com>: no such user", "# <#>: no such user"),
            ("no mail for ada@example.com.", "no mail for #."),
            ("@ 5 or a@", "@ # or a@"),
            ("mailto:ada@example.com,eve@example.com", "mailto:#,#"),
            ("facade", "facade"),
            ("", ""),
        ] {
            assert_eq!(pattern(message), expected, "{message}");
        }
    }

    #[test]
    fn long_messages_of_other_producers_take_no_time() {
        let begun = Instant::now();
        for part in ["/", "/a@", "@", "'b'c ", "\"", "0123456789abcdef-"] {
            let pattern = pattern(&part.repeat(100_000));
            assert!(pattern.chars().count() <= PATTERN_MAX_CHARS, "{part}");
        }
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }

    #[test]
    fn source_class_and_pattern_make_a_group() {
        let one = Fingerprint::new("emails", "panic", "item 1");
        assert_eq!(one, Fingerprint::new("emails", "panic", "item 27"));
        assert_eq!(one.group.len(), 16);
        for other in [("stripe", "panic", "item 1"), ("emails", "timeout", "item 1"), ("emails", "panic", "items 1")] {
            assert_ne!(one.group, Fingerprint::new(other.0, other.1, other.2).group, "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn patterns_have_no_digits_and_are_bounded(message in ".{0,400}") {
            let pattern = pattern(&message);
            prop_assert!(!pattern.contains(char::is_numeric), "{pattern}");
            prop_assert!(pattern.chars().count() <= PATTERN_MAX_CHARS);
        }

        #[test]
        fn numbers_and_ids_make_no_difference(
            words in proptest::collection::vec("[a-z]{1,7}", 1..6), one: u64, other: u64, id: u128, other_id: u128,
        ) {
            let text = |number: u64, id: u128| {
                format!("{} {number} of {} ({number}): \"{id}\"", words.join(" "), Uuid::from_u128(id))
            };
            prop_assert_eq!(pattern(&text(one, id)), pattern(&text(other, other_id)));
        }

        #[test]
        fn other_words_make_another_group(one in "[a-z]{1,20}", other in "[a-z]{1,20}") {
            let group = |word: &str| Fingerprint::new("emails", "c", &format!("the {word} 5")).group;
            prop_assert_eq!(group(&one) == group(&other), one == other);
        }
    }
}
