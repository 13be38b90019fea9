//! Masking of bodies: operators see what a message does, not whom it is about.
//!
//! What is shown is listed, so that a member of a later version is masked until it is found to be harmless.

use super::fingerprint::quoted;
use serde_json::Value;

/// Stands for a value that is not shown.
pub const MASKED: &str = "masked";

/// Longer texts are no ids, codes or times.
const PLAIN_MAX_CHARS: usize = 64;
/// Longer headers are none of ours.
const HEADER_MAX_CHARS: usize = 128;
/// From so many digits on, a number behind a plus sign is that of a telephone.
const TELEPHONE_DIGITS: usize = 7;

/// Headers that workers and replays set, which hold ids, codes and times.
const SHOWN_HEADERS: [&str; 12] = [
    "actor",
    "attempt",
    "dead-letter",
    "deferrals",
    "error-class",
    "first-failed-at",
    "replay",
    "returned-by",
    "traceparent",
    "unavailable-operation",
    "unavailable-since",
    "worker",
];
/// The header with the error of the last attempt.
const ERROR_HEADER: &str = "error-message";

/// Members that are shown where their value is a number, a truth value, an id, a code or a time.
const SHOWN: [&str; 78] = [
    "action",
    "actor",
    "allow_open_balance",
    "amount",
    "arrival",
    "as_admin",
    "assigned_beds",
    "at",
    "bed_ids",
    "beds",
    "block_id",
    "booking_id",
    "captured",
    "channel",
    "charged_back",
    "cleared",
    "continues",
    "created_at",
    "currency",
    "day",
    "delivered",
    "departure",
    "dry_run",
    "event_id",
    "event_type",
    "expected_rev",
    "expires_at",
    "fee",
    "from",
    "guests",
    "id",
    "intent",
    "kind",
    "last_day",
    "ledger_rev",
    "livemode",
    "locale",
    "locked",
    "mail_id",
    "method",
    "nights",
    "notification_id",
    "object",
    "occurred_at",
    "outcome",
    "override_restrictions",
    "payment",
    "payment_id",
    "position",
    "processing",
    "property_id",
    "rate_plan_id",
    "rate_ppm",
    "received_at",
    "reference",
    "refund_id",
    "refunded",
    "refusal",
    "rejection",
    "release",
    "reprice",
    "requested_at",
    "required",
    "rev",
    "room_type_id",
    "run_id",
    "source",
    "status",
    "stay",
    "stay_id",
    "surplus",
    "to_return",
    "total",
    "type",
    "until",
    "user_id",
    "version",
    "what",
];

/// The body of a message as operators see it: its structure, and the members that say nothing about a person. A body
/// that is no JSON is masked as a whole.
pub fn masked_body(body: &[u8]) -> Value {
    serde_json::from_slice(body).map_or_else(|_| MASKED.into(), |body| masked(body, false))
}

/// An error as operators see it: its own words, without what it may quote of a message. All from the first double quote
/// to the last one is masked, because what is quoted may have quotes of its own; so are texts in single quotes,
/// addresses of mail and numbers of telephones. Where only one quote is, the rest is masked.
pub fn masked_error(error: &str) -> String {
    let Some((before, rest)) = error.split_once('"') else { return without_values(error) };
    let before = without_values(before);
    match rest.rsplit_once('"') {
        Some((_, after)) => format!("{before}\"{MASKED}\"{}", without_values(after)),
        None => format!("{before}\"{MASKED}"),
    }
}

/// A text without double quotes, and without the values that it may have.
fn without_values(text: &str) -> String {
    let words: String = without_quoted(text).split_inclusive(char::is_whitespace).map(without_address).collect();
    without_telephones(&words)
}

/// The text with what is in single quotes masked, and what is in backticks and no name of a member, a type or a code.
fn without_quoted(text: &str) -> String {
    let (mut shown, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(['\'', '`']) {
        let (before, quote) = rest.split_at(at);
        shown.push_str(before);
        // What was masked ends with a quote.
        let last = shown.chars().next_back().unwrap_or(' ');
        let is_name = quote.starts_with('`');
        rest = match quoted(last, quote) {
            Some(length) => {
                let (value, after) = quote.split_at(length);
                let mark = &value[..1];
                let is_shown = is_name && !value.contains(char::is_whitespace);
                shown.push_str(if is_shown { value } else { mark });
                if !is_shown {
                    shown.push_str(&format!("{MASKED}{mark}"));
                }
                after
            }
            None if is_name || last.is_alphanumeric() => {
                let (mark, after) = quote.split_at(1);
                shown.push_str(mark);
                after
            }
            None => return format!("{shown}'{MASKED}"),
        };
    }
    shown + rest
}

/// A word with the blank behind it, or a mask for one that may be an address.
fn without_address(word: &str) -> String {
    let text = word.trim_end();
    if text.contains('@') { format!("{MASKED}{}", &word[text.len()..]) } else { word.to_owned() }
}

fn without_telephones(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('+') {
        let end = after.find(|c: char| !(c.is_ascii_digit() || " -.()".contains(c))).unwrap_or(after.len());
        let (number, later) = after.split_at(end);
        let is_telephone = number.chars().filter(char::is_ascii_digit).count() >= TELEPHONE_DIGITS;
        shown.push_str(before);
        match is_telephone {
            true => shown.push_str(&format!("{MASKED}{}", &number[number.trim_end().len()..])),
            false => shown.push_str(&format!("+{number}")),
        }
        rest = later;
    }
    shown + rest
}

/// The value of a header as operators see it. Headers of other producers are masked, whatever they hold.
pub fn masked_header(name: &str, value: &str) -> String {
    match name {
        ERROR_HEADER => masked_error(value),
        _ if SHOWN_HEADERS.contains(&name) => masked_code(value),
        _ => MASKED.to_owned(),
    }
}

/// An id, a code or a time as operators see it, such as a worker or the type of a message: what is none is masked. Any
/// producer may have written it.
pub fn masked_code(value: &str) -> String {
    let is_of_ours = |c: char| is_of_ids(c) || c == '/';
    let is_shown = value.chars().count() <= HEADER_MAX_CHARS && value.chars().all(is_of_ours);
    if is_shown { value.to_owned() } else { MASKED.to_owned() }
}

fn masked(value: Value, is_shown: bool) -> Value {
    match value {
        Value::Object(members) => {
            let member = |(name, value): (String, Value)| {
                let is_shown = SHOWN.binary_search(&name.as_str()).is_ok();
                // A name may be a value, too, where a map is keyed by one.
                let name = if is_plain(&name) { name } else { MASKED.to_owned() };
                (name, masked(value, is_shown))
            };
            Value::Object(members.into_iter().map(member).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(|item| masked(item, is_shown)).collect()),
        Value::Null => Value::Null,
        Value::String(text) if is_shown && is_plain(&text) => Value::String(text),
        value @ (Value::Bool(_) | Value::Number(_)) if is_shown => value,
        _ => MASKED.into(),
    }
}

/// Whether a text can be an id, a code or a time: it has neither blanks nor the signs of an address.
fn is_plain(text: &str) -> bool {
    text.chars().count() <= PLAIN_MAX_CHARS && text.chars().all(is_of_ids)
}

fn is_of_ids(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.:|".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::catalog;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn shown_members_are_sorted() {
        assert!(SHOWN.is_sorted());
    }

    #[test]
    fn examples_show_ids_and_nothing_about_a_person() {
        const PERSONAL: [&str; 12] = [
            "Ada",
            "Lovelace",
            "ada@example.com",
            "+15145550100",
            "1995-12-10",
            "\"GB\"",
            "female",
            "cold shower",
            "as the guest asked",
            "pi_3Qexample_secret_example",
            "https://",
            "nobody paid",
        ];
        let mut shown_bookings = 0;
        for entry in catalog::entries() {
            let shown = masked_body(entry.example.as_bytes()).to_string();
            for personal in PERSONAL {
                assert!(!shown.contains(personal), "{}: {personal} in {shown}", entry.kind);
            }
            shown_bookings += usize::from(shown.contains("8d3c8f52-6d0d-5d0a-9c1f-1f5a4a2b7c01"));
        }
        assert!(shown_bookings > 10, "only {shown_bookings} examples show their booking");
    }

    #[test]
    fn errors_and_headers_say_nothing_about_a_person() {
        for (error, shown) in [
            ("missing field `property_id`", "missing field `property_id`"),
            ("550 <ada@example.com>: no such user", "550 masked no such user"),
            ("no room for \"Ada Lovelace\" in d6a-1", "no room for \"masked\" in d6a-1"),
            ("cut off at \"Ada Love", "cut off at \"masked"),
            (
                "invalid type: string \"Ada \\\"Countess\\\" L\", expected u32",
                "invalid type: string \"masked\", expected u32",
            ),
            ("bed 5\" for \"Ada Lovelace\"", "bed 5\"masked\""),
            ("guest 'Ada O'Neil' isn't 'new'", "guest 'masked' isn't 'masked'"),
            ("no 'Ada Love", "no 'masked"),
            ("the guests' beds", "the guests' beds"),
            ("unknown variant `Ada Lovelace`, expected `,` or `b`", "unknown variant `masked`, expected `,` or `b`"),
            ("a ` alone", "a ` alone"),
            ("called +1 514 555-0100 twice", "called masked twice"),
            ("1 + 2 is 3, and +3 more", "1 + 2 is 3, and +3 more"),
            ("é@ü +", "masked +"),
            ("", ""),
        ] {
            assert_eq!(masked_error(error), shown, "{error}");
        }
        for (name, value, shown) in [
            ("error-class", "invalid_body", "invalid_body"),
            (
                "dead-letter",
                "emails/00000000-0000-0000-0000-000000000001/x",
                "emails/00000000-0000-0000-0000-000000000001/x",
            ),
            ("error-message", "no \"Ada\"", "no \"masked\""),
            ("worker", "ada@example.com", MASKED),
            ("actor", "Ada Lovelace", MASKED),
            ("guest", "Ada", MASKED),
        ] {
            assert_eq!(masked_header(name, value), shown, "{name}");
        }
    }

    #[test]
    fn free_text_in_a_shown_member_is_masked() {
        let body = json!({ "status": "Ada Lovelace", "id": "a@b.c", "rev": 3, "note": 5, "stays": [{ "rev": true }] });
        let shown = masked_body(body.to_string().as_bytes());
        let expected = json!({ "status": MASKED, "id": MASKED, "rev": 3, "note": MASKED, "stays": [{ "rev": true }] });
        assert_eq!(shown, expected);
        assert_eq!(masked_body(b"Ada"), MASKED);
        assert_eq!(masked_body(b"\"Ada\""), MASKED);
        assert_eq!(masked_body(br#"{"ada@example.com": 1}"#), json!({ MASKED: MASKED }));
    }

    proptest! {
        #[test]
        fn quoted_texts_and_addresses_are_never_shown(
            before in ".{0,20}", text in "[A-Z]{8}", quote in "[\"'\\\\ a-z]{0,5}", after in ".{0,20}",
        ) {
            let errors = [
                format!("{before}\"{text}{quote}{text}\"{after}"),
                format!("{before} '{text}'s {text}' {after}"),
                format!("{before} {text}@example.com {after}"),
            ];
            for shown in errors.map(|error| masked_error(&error)) {
                prop_assert!(!shown.contains(&text), "{}", shown);
            }
        }

        #[test]
        fn members_that_are_not_listed_are_never_shown(name in "[a-z_]{1,12}", text in "[a-z]{12,30}", list: bool) {
            prop_assume!(SHOWN.binary_search(&name.as_str()).is_err());
            let value = if list { json!([text, { "x": text }]) } else { json!(text) };
            let shown = masked_body(json!({ name: { "inner": value.clone() }, "more": value }).to_string().as_bytes());
            prop_assert!(!shown.to_string().contains(&text), "{shown}");
        }

        #[test]
        fn masking_again_changes_nothing(keys in proptest::collection::vec("[a-z_]{1,9}", 0..5), number: i64) {
            let body: serde_json::Map<String, Value> =
                keys.into_iter().map(|key| (key, json!([number, "text", null]))).collect();
            let first = masked_body(&serde_json::to_vec(&body).unwrap());
            prop_assert_eq!(masked_body(&serde_json::to_vec(&first).unwrap()), first);
        }
    }
}
