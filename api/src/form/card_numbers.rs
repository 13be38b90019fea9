//! Search for card numbers in a request, so that none ever enters a queue, a store or a log.
//!
//! Cards are entered on Stripe's pages only. Exempt, in their own fields, are phone numbers, whose format is checked,
//! and our own ids and tokens: random digits sometimes look like a card number.

use crate::form::json::Node;
use pvt_domain::card_numbers::{MIN_CARD_DIGITS, contains_card_number, has_enough_digits};

/// The least number of as many digits as a card number has.
const SMALLEST_CARD_NUMBER: i128 = 10_i128.pow(MIN_CARD_DIGITS as u32 - 1);

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

#[cfg(test)]
mod tests {
    use super::find;
    use crate::form::json::parse;

    #[test]
    fn card_number_is_located() {
        let place = |text: &str| find(&parse(text.as_bytes()).unwrap(), &["/guest/phone"]);
        assert_eq!(place(r#"{"a":[{"b/c":"4242424242424242"}]}"#).as_deref(), Some("/a/0/b~1c"));
        assert_eq!(place(r#"{"n":4242424242424242}"#).as_deref(), Some("/n"));
        assert_eq!(place(r#"{"guest":{"phone":"4242 4242 4242 4242","first_name":"Ada"}}"#), None);
    }
}
