//! Fingerprints of a request's body: of what it means, and of how it was sent.
//!
//! A form knows which spellings mean the same, so its reader notes where the body differs from its canonical form:
//! `null` for a missing member, a default that is written out, a name with spaces around it. The canonical form is
//! hashed. A body that is sent in it has one fingerprint, that of earlier versions, which hashed bodies as they were
//! sent; see decision 66.

use crate::form::json::Node;
use crate::form::reader::Pointer;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt;

/// A place where a body differs from its canonical form.
#[derive(Debug)]
pub(crate) struct Respelling {
    pointer: String,
    /// The text that stands there; `None` when the member is left out.
    canonical: Option<String>,
}

impl Respelling {
    /// The canonical form has this text there.
    pub(crate) fn text(at: &Pointer<'_>, canonical: String) -> Self {
        Self { pointer: at.pointer(), canonical: Some(canonical) }
    }

    /// The canonical form has no such member.
    pub(crate) fn left_out(at: &Pointer<'_>) -> Self {
        Self { pointer: at.pointer(), canonical: None }
    }

    fn apply(&self, root: &mut Node<'_>) {
        let Some((parent, name)) = self.pointer.rsplit_once('/') else { return };
        let unescaped = |step: &str| step.replace("~1", "/").replace("~0", "~");
        let place = parent.split('/').skip(1).try_fold(root, |node, step| match node {
            Node::Object(members) => {
                let step = unescaped(step);
                members.iter_mut().find(|(key, _)| *key == step).map(|(_, value)| value)
            }
            Node::List(items) => items.get_mut(step.parse::<usize>().ok()?),
            _ => None,
        });
        let text = self.canonical.clone().map(|text| Node::Text(Cow::Owned(text)));
        match place {
            Some(Node::Object(members)) => {
                let name = unescaped(name);
                members.retain(|(key, _)| *key != name);
                members.extend(text.map(|text| (Cow::Owned(name), text)));
            }
            Some(Node::List(items)) => {
                let item = name.parse().ok().and_then(|index: usize| items.get_mut(index));
                if let Some((item, text)) = item.zip(text) {
                    *item = text;
                }
            }
            _ => {}
        }
    }
}

/// The fingerprints of a body that was read by a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprints {
    /// Of its canonical form: the same for every spelling of the same request.
    pub(crate) canonical: Fingerprint,
    /// Of the body as it was sent, by which earlier versions knew it.
    pub(crate) as_sent: Fingerprint,
}

impl Fingerprints {
    /// Of a parsed body that differs from its canonical form in these places.
    pub(crate) fn of(node: &Node<'_>, respellings: &[Respelling]) -> Self {
        let as_sent = Fingerprint::of(node);
        if respellings.is_empty() {
            return Self { canonical: as_sent, as_sent };
        }
        let mut canonical = node.clone();
        respellings.iter().for_each(|respelling| respelling.apply(&mut canonical));
        Self { canonical: Fingerprint::of(&canonical), as_sent }
    }

    /// The fingerprint by which earlier versions knew the request, if it differs.
    pub(crate) fn earlier(&self) -> Option<Fingerprint> {
        Some(self.as_sent).filter(|as_sent| *as_sent != self.canonical)
    }

    /// Whether a stored request is this one.
    pub(crate) fn matches(&self, stored: &str) -> bool {
        self.canonical.to_string() == stored || self.earlier().is_some_and(|earlier| earlier.to_string() == stored)
    }
}

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
    use super::{Fingerprint, Fingerprints};
    use crate::form::RequestForm as _;
    use crate::form::form;
    use crate::form::json::parse;
    use crate::form::people::name;
    use crate::form::presence::{credential, defaulted, optional, patch, required, spelled_out};
    use crate::form::reader::{Pointer, Reader};
    use crate::form::types::{boolean, list, object, one_of, text};
    use pvt_domain::booking::Source;

    fn of(text: &str) -> String {
        Fingerprint::of(&parse(text.as_bytes()).unwrap()).to_string()
    }

    #[test]
    fn equal_values_have_equal_fingerprints() {
        let plain = of(r#"{"a":1,"b":{"x":"é","y":[1,2]}}"#);
        assert_eq!(plain.len(), 32);
        assert_eq!(plain, of("{ \"b\": {\"y\":[1, 2], \"x\":\"\\u00e9\"},\n \"a\" : 1 }"));
    }

    form! {
        #[allow(dead_code, reason = "only its spelling is tested")]
        struct Inner {
            label: String = required(name()),
            pinned: bool = defaulted(boolean()),
        }
    }

    form! {
        #[allow(dead_code, reason = "only its spelling is tested")]
        struct Outer {
            items: Option<Vec<Inner>> = optional(list(object(), 9)),
            names: Option<Vec<String>> = optional(list(name(), 9)),
            source: Source = spelled_out(one_of(&Source::ALL)),
            limit: Option<Option<String>> = patch(text()),
            token: Option<String> = credential(text()),
        }
    }

    fn read(body: &str) -> Fingerprints {
        let node = parse(body.as_bytes()).unwrap();
        let mut reader = Reader::default();
        Outer::read(&node, &Pointer::Root, &mut reader).unwrap();
        let fingerprints = reader.fingerprints(&node);
        assert!(reader.into_violations().is_empty(), "{body}");
        fingerprints
    }

    #[test]
    fn spellings_of_one_form_have_one_canonical_fingerprint() {
        let plain = r#"{"items":[{"label":"a"},{"label":"b","pinned":true}],"names":["c"],"source":"direct"}"#;
        assert_eq!(read(plain).earlier(), None);
        assert_eq!(read(plain).canonical.to_string(), of(plain), "that of earlier versions");
        for same in [
            r#"{"source":"direct","names":["c"],"items":[{"label":"a"},{"pinned":true,"label":"b"}]}"#,
            r#"{"items":[{"label":" a "},{"label":"b\u00a0","pinned":true}],"names":["c "],"source":null}"#,
            r#"{"items":[{"label":"a","pinned":false},{"label":"b","pinned":true}],"names":["c"],"token":"t"}"#,
        ] {
            assert_eq!(read(same).canonical, read(plain).canonical, "{same}");
            assert!(read(same).matches(&of(plain)) && read(same).matches(&of(same)), "{same}");
        }
        for other in [
            r#"{"items":[{"label":"a"},{"label":"b"}],"names":["c"],"source":"direct"}"#,
            r#"{"items":[{"label":"a"},{"label":"b","pinned":true}],"names":["c"],"source":"direct","limit":null}"#,
            r#"{"items":[{"label":"a"},{"label":"b","pinned":true}],"names":[],"source":"direct"}"#,
            r#"{"items":[{"label":"b","pinned":true},{"label":"a"}],"names":["c"],"source":"direct"}"#,
        ] {
            assert_ne!(read(other).canonical, read(plain).canonical, "{other}");
        }
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
