//! The fingerprint of a request's body: the same for every spelling of the same JSON value.

use crate::form::json::Node;
use sha2::{Digest, Sha256};
use std::fmt;

/// The first half of a SHA-256: a client would have to search 2⁶⁴ bodies for a collision with itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// Of a parsed body. Whitespace, escapes and the order of keys do not matter.
    pub(crate) fn of(node: &Node<'_>) -> Self {
        let mut hasher = Sha256::new();
        hash_node(node, &mut hasher);
        let digest = hasher.finalize();
        let mut half = [0; 16];
        half.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self(half)
    }

    /// Of the same body with another target, named `what`.
    pub(crate) fn for_target(self, what: &str) -> Self {
        let Self(mut half) = self;
        let digest = Sha256::new().chain_update(half).chain_update(what.as_bytes()).finalize();
        half.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self(half)
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Every value is written with its type and length, so that no two different values give the same bytes.
fn hash_node(node: &Node<'_>, hasher: &mut Sha256) {
    match node {
        Node::Null => hasher.update(b"n"),
        Node::Bool(value) => hasher.update([b'b', u8::from(*value)]),
        Node::Int(value) => {
            hasher.update(b"i");
            hasher.update(value.to_be_bytes());
        }
        Node::Float(value) => {
            hasher.update(b"f");
            hasher.update(value.to_bits().to_be_bytes());
        }
        Node::Text(text) => hash_text(text, hasher),
        Node::List(items) => {
            hash_length(b"l", items.len(), hasher);
            items.iter().for_each(|item| hash_node(item, hasher));
        }
        Node::Object(members) => {
            hash_length(b"o", members.len(), hasher);
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
            for (key, value) in sorted {
                hash_text(key, hasher);
                hash_node(value, hasher);
            }
        }
    }
}

fn hash_text(text: &str, hasher: &mut Sha256) {
    hash_length(b"s", text.len(), hasher);
    hasher.update(text.as_bytes());
}

fn hash_length(kind: &[u8; 1], length: usize, hasher: &mut Sha256) {
    hasher.update(kind);
    hasher.update((length as u64).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::Fingerprint;
    use crate::form::json::parse;

    fn of(text: &str) -> String {
        Fingerprint::of(&parse(text.as_bytes()).unwrap()).to_string()
    }

    #[test]
    fn equal_values_have_equal_fingerprints() {
        let plain = of(r#"{"a":1,"b":{"x":"é","y":[1,2]}}"#);
        assert_eq!(plain.len(), 32);
        assert_eq!(plain, of("{ \"b\": {\"y\":[1, 2], \"x\":\"\\u00e9\"},\n \"a\" : 1 }"));
    }

    #[test]
    fn target_changes_the_fingerprint() {
        let body = Fingerprint::of(&parse(b"{}").unwrap());
        assert_ne!(body.for_target("a"), body.for_target("b"));
        assert_eq!(body.for_target("a"), body.for_target("a"));
    }

    #[test]
    fn different_values_have_different_fingerprints() {
        let bodies = [
            r#"{"a":1}"#,
            r#"{"a":"1"}"#,
            r#"{"a":1.5}"#,
            r#"{"a":null}"#,
            r#"{"a":[1]}"#,
            r#"{"b":1}"#,
            r#"{"a":1,"b":1}"#,
            r#"["a",1]"#,
            r#"["a1"]"#,
            r#"["a","1"]"#,
        ];
        let mut seen: Vec<String> = bodies.iter().map(|body| of(body)).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), bodies.len());
    }
}
