//! Repair of dead letters: whether their worker can read them, and what an edited body changes.

use crate::messages::{DecodeError, MAX_BODY_BYTES, MessageClass, catalog, queues};
use serde::de::IgnoredAny;
use serde_json::Value;

/// Whether the worker of a queue (without prefix and partition) can decode this message now.
///
/// # Errors
/// [`DecodeError`], as its worker would give.
pub fn check_readable(queue: &str, kind: &str, body: &[u8]) -> Result<(), DecodeError> {
    let is_received = |entry: &&catalog::CatalogEntry| {
        let gets_all = entry.class == MessageClass::Event && queues::ALL_EVENTS.contains(&queue);
        gets_all || entry.queues.contains(&queue)
    };
    let received: Vec<_> = catalog::entries().filter(is_received).collect();
    let Some(entry) = received.iter().find(|entry| entry.kind == kind) else {
        let known: Vec<&str> = received.iter().map(|entry| entry.kind).collect();
        return Err(DecodeError::unknown(kind, &known));
    };
    if body.len() > MAX_BODY_BYTES {
        return Err(DecodeError::Oversize(body.len()));
    }
    entry.decode(body).map(drop)
}

/// A body without the blanks between its values, which people add to read it; one that is no JSON as it is.
pub fn compact_body(body: Vec<u8>) -> Vec<u8> {
    if serde_json::from_slice::<IgnoredAny>(&body).is_err() {
        return body;
    }
    let (mut in_text, mut is_escaped) = (false, false);
    let is_kept = |byte: &u8| {
        let is_of_text = in_text;
        in_text ^= *byte == b'"' && !is_escaped;
        is_escaped = in_text && *byte == b'\\' && !is_escaped;
        is_of_text || !byte.is_ascii_whitespace()
    };
    body.into_iter().filter(is_kept).collect()
}

/// A member that differs between two bodies. Its values may be personal.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberChange {
    /// A JSON pointer; `/` for the body as a whole.
    pub path: String,
    /// Absent where it was added.
    pub before: Option<Value>,
    /// Absent where it was removed.
    pub after: Option<Value>,
}

impl MemberChange {
    /// The change without the values: `+` for an added, `-` for a removed, `~` for a changed member.
    pub fn without_values(&self) -> String {
        let sign = match (&self.before, &self.after) {
            (None, _) => '+',
            (_, None) => '-',
            _ => '~',
        };
        format!("{sign} {}", self.path)
    }
}

/// The members that differ between two bodies. A body that is no JSON differs as a whole.
pub fn changed_members(before: &[u8], after: &[u8]) -> Vec<MemberChange> {
    let mut changed = Vec::new();
    match (serde_json::from_slice::<Value>(before), serde_json::from_slice::<Value>(after)) {
        (Ok(before), Ok(after)) => compare("", Some(&before), Some(&after), &mut changed),
        _ if before != after => {
            let text = |body: &[u8]| Some(Value::from(String::from_utf8_lossy(body)));
            changed.push(MemberChange { path: "/".to_owned(), before: text(before), after: text(after) });
        }
        _ => {}
    }
    changed
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, changed: &mut Vec<MemberChange>) {
    match (before, after) {
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            let added = other.keys().filter(|name| !one.contains_key(*name));
            for name in one.keys().chain(added) {
                let name_in_path = name.replace('~', "~0").replace('/', "~1");
                compare(&format!("{path}/{name_in_path}"), one.get(name), other.get(name), changed);
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(other))) => {
            for index in 0..one.len().max(other.len()) {
                compare(&format!("{path}/{index}"), one.get(index), other.get(index), changed);
            }
        }
        (before, after) if before != after => {
            let path = if path.is_empty() { "/" } else { path };
            changed.push(MemberChange { path: path.to_owned(), before: before.cloned(), after: after.cloned() });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn names(changed: &[MemberChange]) -> Vec<String> {
        changed.iter().map(MemberChange::without_values).collect()
    }

    #[test]
    fn every_example_is_readable_where_it_is_received_and_nowhere_else() {
        for entry in catalog::entries() {
            for queue in queues::ALL {
                let gets_all = entry.class == MessageClass::Event && queues::ALL_EVENTS.contains(&queue);
                let found = check_readable(queue, entry.kind, entry.example.as_bytes());
                assert_eq!(found.is_ok(), gets_all || entry.queues.contains(&queue), "{queue} {}", entry.kind);
            }
        }
        let class = |kind: &str, body: &[u8]| check_readable("emails", kind, body).unwrap_err().class();
        assert_eq!(class("carrier.pigeon.v1", b"{}"), "unknown_type");
        assert_eq!(class("notification.send.v99", b"{}"), "unknown_version");
        assert_eq!(class("notification.send.v1", b"{}"), "invalid_body");
        assert_eq!(class("notification.send.v1", &vec![b' '; MAX_BODY_BYTES + 1]), "oversize");
    }

    #[test]
    fn changed_members_are_named_with_and_without_their_values() {
        let before = json!({ "a": 1, "b": { "c": [1, 2], "d": null }, "e/f": 1 });
        let after = json!({ "a": 2, "b": { "c": [1, 2, 3], "d": null, "g": "new" } });
        let changed = changed_members(before.to_string().as_bytes(), after.to_string().as_bytes());
        assert_eq!(names(&changed), ["~ /a", "+ /b/c/2", "+ /b/g", "- /e~1f"]);
        assert_eq!((&changed[0].before, &changed[0].after), (&Some(json!(1)), &Some(json!(2))));
        assert_eq!((&changed[2].before, &changed[2].after), (&None, &Some(json!("new"))));
        assert_eq!((&changed[3].before, &changed[3].after), (&Some(json!(1)), &None));
        assert_eq!(names(&changed_members(b"{", b"{}")), ["~ /"]);
        assert_eq!(names(&changed_members(b"1", b"2")), ["~ /"]);
        assert!(changed_members(b"{", b"{").is_empty());
    }

    #[test]
    fn body_is_compacted_without_any_other_change() {
        let lines = br#"{ "a\" b": [1.0, 1e2 ],
            "c\\": "x  y\\", "c\\": null }"#;
        let compact = br#"{"a\" b":[1.0,1e2],"c\\":"x  y\\","c\\":null}"#;
        assert_eq!(compact_body(lines.to_vec()), compact, "numbers and repeated members included");
        assert_eq!(compact_body(b"no { JSON".to_vec()), b"no { JSON");
    }

    proptest! {
        #[test]
        fn compact_body_is_the_same_value(texts in proptest::collection::vec(".{0,9}", 0..5), number: f64) {
            let body = json!({ "texts": texts, "number": number, "inner": [{ "a": null }, []] });
            let compact = compact_body(serde_json::to_vec_pretty(&body).unwrap());
            prop_assert_eq!(compact, serde_json::to_vec(&body).unwrap());
        }

        #[test]
        fn equal_bodies_have_no_changes(keys in proptest::collection::btree_set("[a-z/~]{1,4}", 0..6), number: i64) {
            let body: serde_json::Map<String, Value> = keys.into_iter().map(|key| (key, json!([number, {}]))).collect();
            let body = serde_json::to_vec(&body).unwrap();
            prop_assert!(changed_members(&body, &body).is_empty());
        }
    }
}
