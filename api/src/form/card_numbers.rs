//! Search for card numbers in a request, so that none ever enters a queue, a store or a log.
//!
//! Cards are entered on Stripe's pages only. Exempt, in their own fields, are phone numbers, whose format is checked,
//! and our own ids and tokens: random digits sometimes look like a card number.

use crate::form::json::Node;

/// Digits of a card number (ISO/IEC 7812-1 allows up to 19; the shortest in use has 13).
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// The least number of so many digits.
const SMALLEST_CARD_NUMBER: i128 = 1_000_000_000_000;
/// Most groups of digits that are joined: cards are written in at most this many.
const MAX_GROUPS: usize = 7;

/// The JSON pointer of the first value that holds a card-like number. Values at `exempt` are skipped.
pub(crate) fn find(node: &Node<'_>, exempt: &[&str]) -> Option<String> {
    // Nearly every request holds none, and then no path is built.
    if !may_hold_card_number(node) {
        return None;
    }
    let mut path = String::new();
    search(node, &mut path, exempt).then_some(path)
}

fn may_hold_card_number(node: &Node<'_>) -> bool {
    match node {
        Node::Text(text) => has_enough_digits(text),
        Node::Int(number) => *number >= SMALLEST_CARD_NUMBER,
        Node::List(items) => items.iter().any(may_hold_card_number),
        Node::Object(members) => {
            members.iter().any(|(key, value)| has_enough_digits(key) || may_hold_card_number(value))
        }
        Node::Null | Node::Bool(_) | Node::Float(_) => false,
    }
}

fn has_enough_digits(text: &str) -> bool {
    text.len() >= *CARD_DIGITS.start() && text.bytes().filter(u8::is_ascii_digit).count() >= *CARD_DIGITS.start()
}

fn search(node: &Node<'_>, path: &mut String, exempt: &[&str]) -> bool {
    match node {
        Node::Text(text) => !exempt.contains(&path.as_str()) && contains_card_number(text),
        Node::Int(number) => contains_card_number(&number.to_string()),
        Node::List(items) => items.iter().enumerate().any(|(index, item)| step(item, &index.to_string(), path, exempt)),
        Node::Object(members) => {
            members.iter().any(|(key, value)| contains_card_number(key) || step(value, key, path, exempt))
        }
        Node::Null | Node::Bool(_) | Node::Float(_) => false,
    }
}

/// Leaves the path as it is where something was found.
fn step(node: &Node<'_>, name: &str, path: &mut String, exempt: &[&str]) -> bool {
    let length = path.len();
    path.push('/');
    path.push_str(&name.replace('~', "~0").replace('/', "~1"));
    let found = search(node, path, exempt);
    if !found {
        path.truncate(length);
    }
    found
}

/// Whether some digits, possibly grouped by single spaces, dots or dashes, have the length, the first digit and the
/// check digit of a card number.
pub(crate) fn contains_card_number(text: &str) -> bool {
    let tried = |groups: &Vec<&str>| {
        (0..groups.len()).any(|first| {
            let mut digits = String::new();
            groups.iter().skip(first).take(MAX_GROUPS).any(|group| {
                digits.push_str(group);
                CARD_DIGITS.contains(&digits.len()) && is_card_number(&digits)
            })
        })
    };
    has_enough_digits(text) && runs(text).iter().any(tried)
}

/// Groups of digits that are parted by one separator each.
fn runs(text: &str) -> Vec<Vec<&str>> {
    let is_separator = |c: char| matches!(c, ' ' | '-' | '.' | '\u{a0}' | '\u{202f}');
    let mut runs: Vec<Vec<&str>> = vec![Vec::new()];
    let mut rest = text;
    while let Some(begin) = rest.find(|c: char| c.is_ascii_digit()) {
        let (between, tail) = rest.split_at(begin);
        let mut parting = between.chars();
        let one_separator = matches!((parting.next(), parting.next()), (Some(c), None) if is_separator(c));
        if !one_separator {
            runs.push(Vec::new());
        }
        let end = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        let (group, tail) = tail.split_at(end);
        if let Some(run) = runs.last_mut() {
            run.push(group);
        }
        rest = tail;
    }
    runs
}

/// The first digits of the card networks are 2 to 6; the last is Luhn's (ISO/IEC 7812-1 annex B).
fn is_card_number(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let digit = u32::from(byte - b'0');
            match place % 2 {
                0 => digit,
                _ if digit > 4 => 2 * digit - 9,
                _ => 2 * digit,
            }
        })
        .sum();
    digits.starts_with(['2', '3', '4', '5', '6']) && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::{contains_card_number, find};
    use crate::form::json::parse;

    #[test]
    fn test_card_numbers_are_found() {
        for text in [
            "4242424242424242",
            "my card 4242 4242 4242 4242, thanks",
            "5555-5555-5555-4444",
            "3782 822463 10005",
            "x6011111111111117y",
            "4242 4242 4242 4242 4242 4242 4242 4242",
            "2027 4242.4242.4242.4242",
        ] {
            assert!(contains_card_number(text), "{text}");
        }
    }

    #[test]
    fn other_numbers_are_ignored() {
        for text in [
            "4242424242424241",
            "+15145550100",
            "2027-01-10",
            "0123456789012345678901234567890",
            "4242",
            "4242 4242 4242 / 4242",
            "",
        ] {
            assert!(!contains_card_number(text), "{text}");
        }
    }

    #[test]
    fn card_number_is_located() {
        let place = |text: &str| find(&parse(text.as_bytes()).unwrap(), &["/guest/phone"]);
        assert_eq!(place(r#"{"a":[{"b/c":"4242424242424242"}]}"#).as_deref(), Some("/a/0/b~1c"));
        assert_eq!(place(r#"{"n":4242424242424242}"#).as_deref(), Some("/n"));
        assert_eq!(place(r#"{"guest":{"phone":"+378282246310005","first_name":"Ada"}}"#), None);
    }
}
