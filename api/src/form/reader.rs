//! Reader of parsed JSON: collects every violation, so that a client can correct all of them at once.
//!
//! Messages never repeat a value: it may be a guest's data.

use crate::form::fingerprint::{Fingerprints, Respelling};
use crate::form::json::{Members, Node};
use crate::http::problem::MAX_ERRORS;
use pvt_domain::intake::FieldError;
use std::borrow::Cow;
use std::ops::RangeInclusive;

/// Longest key that is repeated in a pointer, in characters.
const MAX_KEY_CHARS: usize = 64;

/// A location in the document. Becomes text only when there is something to report.
#[derive(Clone, Copy)]
pub(crate) enum Pointer<'p> {
    Root,
    Key(&'p Pointer<'p>, &'p str),
    Index(&'p Pointer<'p>, usize),
}

impl Pointer<'_> {
    /// The JSON pointer (RFC 6901).
    pub(crate) fn pointer(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Key(parent, key) => {
                let key: String = key.chars().take(MAX_KEY_CHARS).collect();
                format!("{}/{}", parent.pointer(), key.replace('~', "~0").replace('/', "~1"))
            }
            Self::Index(parent, index) => format!("{}/{index}", parent.pointer()),
        }
    }
}

/// The known members of one object.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'n, 'a, 'p> {
    members: &'n [(Cow<'a, str>, Node<'a>)],
    at: &'p Pointer<'p>,
}

/// A value and its location.
#[derive(Clone, Copy)]
pub(crate) struct Field<'n, 'a, 'p> {
    node: &'n Node<'a>,
    at: Pointer<'p>,
}

/// The violations found so far, and where the body is not in its canonical form.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    violations: Vec<FieldError>,
    respellings: Vec<Respelling>,
}

impl Reader {
    /// The violations found.
    pub(crate) fn into_violations(self) -> Vec<FieldError> {
        self.violations
    }

    /// The fingerprints of the body, whose root is `node`.
    pub(crate) fn fingerprints(&self, node: &Node<'_>) -> Fingerprints {
        Fingerprints::of(node, &self.respellings)
    }

    /// Notes that a text means the same as `canonical`.
    pub(crate) fn respell(&mut self, field: Field<'_, '_, '_>, canonical: String) {
        if !matches!(field.node, Node::Text(text) if *text == canonical) {
            self.respellings.push(Respelling::text(&field.at, canonical));
        }
    }

    /// Notes that the member `key` means the same as a missing one.
    pub(crate) fn leave_out(&mut self, fields: Fields<'_, '_, '_>, key: &str) {
        if fields.has(key) {
            self.respellings.push(Respelling::left_out(&Pointer::Key(fields.at, key)));
        }
    }

    /// Notes that a missing member `key` means the same as this text.
    pub(crate) fn fill_in(&mut self, fields: Fields<'_, '_, '_>, key: &str, canonical: &str) {
        self.respellings.push(Respelling::text(&Pointer::Key(fields.at, key), canonical.to_owned()));
    }

    /// A member that may be missing; `null` means the same.
    pub(crate) fn optional<'n, 'a, 'p>(
        &mut self,
        fields: Fields<'n, 'a, 'p>,
        key: &'p str,
    ) -> Option<Field<'n, 'a, 'p>> {
        let found = fields.optional(key);
        if found.is_none() {
            self.leave_out(fields, key);
        }
        found
    }

    /// Reports a violation. Beyond what a problem lists, more would only cost memory.
    pub(crate) fn violation(&mut self, at: &Pointer<'_>, code: &'static str, message: impl Into<String>) {
        if self.violations.len() < MAX_ERRORS {
            self.violations.push(FieldError::new(at.pointer(), code, message));
        }
    }

    /// Whether a violation of this value was reported.
    pub(crate) fn is_reported(&self, at: &Pointer<'_>) -> bool {
        let pointer = at.pointer();
        self.violations.iter().any(|known| known.pointer == pointer)
    }

    /// Reports that the member `key` is `null`, unless it is reported as missing.
    pub(crate) fn refuse_null(&mut self, fields: Fields<'_, '_, '_>, key: &str) {
        let at = Pointer::Key(fields.at, key);
        if !self.is_reported(&at) {
            self.violation(&at, "null_not_allowed", "must not be null; leave it out to keep it as it is");
        }
    }

    fn wrong_type(&mut self, field: Field<'_, '_, '_>, expected: &str) {
        self.violation(&field.at, "wrong_type", format!("must be {expected}, not {}", field.node.kind()));
    }

    /// The members of an object; unknown ones are violations.
    pub(crate) fn object<'n, 'a, 'p>(
        &mut self,
        node: &'n Node<'a>,
        at: &'p Pointer<'p>,
        known: &[&str],
    ) -> Option<Fields<'n, 'a, 'p>> {
        self.object_beside(node, at, (known, &[]))
    }

    /// As [`Self::object`]; a member of `elsewhere` is refused with what to do instead.
    pub(crate) fn object_beside<'n, 'a, 'p>(
        &mut self,
        node: &'n Node<'a>,
        at: &'p Pointer<'p>,
        (known, elsewhere): (&[&str], &[(&str, &str)]),
    ) -> Option<Fields<'n, 'a, 'p>> {
        let Node::Object(members) = node else {
            self.wrong_type(Field { node, at: *at }, "an object");
            return None;
        };
        for (key, _) in members.iter().filter(|(key, _)| !known.contains(&&**key)) {
            let advice = match elsewhere.iter().find(|(name, _)| *name == &**key) {
                Some((_, instead)) => format!("not a field here; {instead}"),
                None => format!("not a field here; known are: {}", known.join(", ")),
            };
            self.violation(&Pointer::Key(at, key), "unknown_field", advice);
        }
        Some(Fields { members, at })
    }

    /// A member that must be there; `null` is not.
    pub(crate) fn required<'n, 'a, 'p>(
        &mut self,
        fields: Fields<'n, 'a, 'p>,
        key: &'p str,
    ) -> Option<Field<'n, 'a, 'p>> {
        let found = fields.optional(key);
        if found.is_none() {
            self.violation(&Pointer::Key(fields.at, key), "required", "is missing");
        }
        found
    }

    /// A text.
    pub(crate) fn text<'n>(&mut self, field: Field<'n, '_, '_>) -> Option<&'n str> {
        let Node::Text(text) = field.node else {
            self.wrong_type(field, "a text");
            return None;
        };
        Some(text)
    }

    /// A whole number that fits.
    pub(crate) fn count(&mut self, field: Field<'_, '_, '_>) -> Option<u32> {
        let Node::Int(number) = field.node else {
            self.wrong_type(field, "a whole number");
            return None;
        };
        let count = u32::try_from(*number).ok();
        if count.is_none() {
            self.violation(&field.at, "out_of_range", "must not be negative or that large");
        }
        count
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, field: Field<'_, '_, '_>) -> Option<bool> {
        let Node::Bool(value) = field.node else {
            self.wrong_type(field, "true or false");
            return None;
        };
        Some(*value)
    }

    /// A whole number within bounds.
    pub(crate) fn integer(&mut self, field: Field<'_, '_, '_>, bounds: RangeInclusive<i64>) -> Option<i64> {
        let Node::Int(number) = field.node else {
            self.wrong_type(field, "a whole number");
            return None;
        };
        let number = i64::try_from(*number).ok().filter(|number| bounds.contains(number));
        if number.is_none() {
            self.violation(&field.at, "out_of_range", format!("must be from {} to {}", bounds.start(), bounds.end()));
        }
        number
    }

    /// The members of an object whose names are the caller's own.
    pub(crate) fn entries<'n, 'a>(&mut self, field: Field<'n, 'a, '_>) -> Option<&'n Members<'a>> {
        let Node::Object(members) = field.node else {
            self.wrong_type(field, "an object");
            return None;
        };
        Some(members)
    }

    /// One of these names.
    pub(crate) fn one_of<T: Copy>(&mut self, field: Field<'_, '_, '_>, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(field)?;
        let chosen = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if chosen.is_none() {
            self.unknown_value(&field.at, choices);
        }
        chosen
    }

    /// Reports a value that is none of these names.
    pub(crate) fn unknown_value<T>(&mut self, at: &Pointer<'_>, choices: &[(&str, T)]) {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        self.violation(at, "unknown_value", format!("must be one of: {}", names.join(", ")));
    }

    /// The items of a list.
    pub(crate) fn list<'n, 'a>(&mut self, field: Field<'n, 'a, '_>) -> Option<&'n [Node<'a>]> {
        let Node::List(items) = field.node else {
            self.wrong_type(field, "a list");
            return None;
        };
        Some(items)
    }
}

/// RFC 3339's full-date; chrono alone would also take `+2027-1-10`.
pub(crate) fn is_rfc3339_date(text: &str) -> bool {
    text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(place, byte)| if matches!(place, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() })
}

impl<'n, 'a, 'p> Fields<'n, 'a, 'p> {
    /// Whether a member is there, `null` or not: in a change, `null` clears a value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.members.iter().any(|(name, _)| name == key)
    }

    /// A member that may be missing or `null`.
    pub(crate) fn optional(&self, key: &'p str) -> Option<Field<'n, 'a, 'p>> {
        let found = self.members.iter().find(|(name, value)| name == key && *value != Node::Null);
        found.map(|(_, node)| Field { node, at: Pointer::Key(self.at, key) })
    }
}

impl<'n, 'a, 'p> Field<'n, 'a, 'p> {
    /// An item of a list or a member of [`Reader::entries`].
    pub(crate) fn located(node: &'n Node<'a>, at: Pointer<'p>) -> Self {
        Self { node, at }
    }

    /// The value itself.
    pub(crate) fn node(&self) -> &'n Node<'a> {
        self.node
    }

    /// Its location.
    pub(crate) fn at(&self) -> Pointer<'p> {
        self.at
    }
}

/// Adds violations of rules to those of the form. A location that is reported already is not reported again, nor is
/// anything inside it.
pub(crate) fn merge(violations: &mut Vec<FieldError>, more: Vec<FieldError>) {
    let of_form = violations.len();
    for violation in more {
        let covered = violations.iter().take(of_form).any(|known| {
            violation.pointer.strip_prefix(&known.pointer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        if !covered {
            violations.push(violation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Pointer, Reader, merge};
    use crate::form::json::parse;
    use crate::form::types::{FieldType as _, date};
    use pvt_domain::intake::FieldError;

    #[test]
    fn all_violations_are_collected() {
        let node =
            parse(br#"{"name":1,"day":"2027-02-30","many":-1,"half":1.5,"kind":"x","list":{},"gone":null,"a/b~c":0}"#)
                .unwrap();
        let mut reader = Reader::default();
        let fields =
            reader.object(&node, &Pointer::Root, &["name", "day", "many", "half", "kind", "list", "gone"]).unwrap();
        fields.optional("name").and_then(|field| reader.text(field));
        fields.optional("day").and_then(|field| date().read(field, &mut reader));
        fields.optional("many").and_then(|field| reader.count(field));
        fields.optional("half").and_then(|field| reader.count(field));
        fields.optional("kind").and_then(|field| reader.one_of(field, &[("y", 1), ("z", 2)]));
        fields.optional("list").and_then(|field| reader.list(field));
        assert!(reader.required(fields, "gone").is_none());
        let violations = reader.into_violations();
        let found: Vec<_> = violations.iter().map(|violation| (violation.pointer.as_str(), violation.code)).collect();
        let expected = [
            ("/a~1b~0c", "unknown_field"),
            ("/name", "wrong_type"),
            ("/day", "invalid_date"),
            ("/many", "out_of_range"),
            ("/half", "wrong_type"),
            ("/kind", "unknown_value"),
            ("/list", "wrong_type"),
            ("/gone", "required"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn only_rfc3339_dates_are_accepted() {
        for (text, good) in [
            ("2027-01-10", true),
            ("2028-02-29", true),
            ("2027-1-10", false),
            ("+2027-01-1", false),
            ("2027-01-10T00:00:00Z", false),
            ("10/01/2027", false),
        ] {
            let body = format!("{{\"d\":\"{text}\"}}");
            let node = parse(body.as_bytes()).unwrap();
            let mut reader = Reader::default();
            let fields = reader.object(&node, &Pointer::Root, &["d"]).unwrap();
            let date = fields.optional("d").and_then(|field| date().read(field, &mut reader));
            assert_eq!(date.is_some(), good, "{text}");
        }
    }

    #[test]
    fn nested_violations_are_not_repeated() {
        let violation = |pointer: &str| FieldError::new(pointer, "x", "");
        let mut violations = vec![violation("/guest"), violation("/stays/1")];
        merge(
            &mut violations,
            vec![
                violation("/guest/email"),
                violation("/guest"),
                violation("/guests"),
                violation("/stays/10/guests"),
                violation("/stays/1/arrival"),
                violation("/stays"),
            ],
        );
        let pointers: Vec<_> = violations.iter().map(|violation| violation.pointer.as_str()).collect();
        assert_eq!(pointers, ["/guest", "/stays/1", "/guests", "/stays/10/guests", "/stays"]);
    }
}
