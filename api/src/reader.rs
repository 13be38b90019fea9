//! Reads fields out of parsed JSON and collects every fault, so that a caller can mend all of them at once.
//!
//! Messages never repeat a value: it may be a guest's data.

use crate::json::{Members, Node};
use crate::problem::MAX_ERRORS;
use chrono::NaiveDate;
use pvt_domain::intake::FieldError;
use std::borrow::Cow;
use std::ops::RangeInclusive;

/// Longest key that is repeated in a pointer, in characters.
const MAX_KEY_CHARS: usize = 64;

/// A place in the document. Becomes text only when there is something to report.
#[derive(Clone, Copy)]
pub(crate) enum At<'p> {
    Root,
    Key(&'p At<'p>, &'p str),
    Index(&'p At<'p>, usize),
}

impl At<'_> {
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
    at: &'p At<'p>,
}

/// A value and where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Field<'n, 'a, 'p> {
    node: &'n Node<'a>,
    at: At<'p>,
}

/// What was found wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    faults: Vec<FieldError>,
}

impl Reader {
    /// The faults found.
    pub(crate) fn into_faults(self) -> Vec<FieldError> {
        self.faults
    }

    /// Reports a fault. Beyond what a problem lists, more would only cost memory.
    pub(crate) fn fault(&mut self, at: &At<'_>, code: &'static str, message: impl Into<String>) {
        if self.faults.len() < MAX_ERRORS {
            self.faults.push(FieldError::new(at.pointer(), code, message));
        }
    }

    fn wrong_type(&mut self, field: Field<'_, '_, '_>, expected: &str) {
        self.fault(&field.at, "wrong_type", format!("must be {expected}, not {}", field.node.kind()));
    }

    /// The members of an object; members that are not known are faults.
    pub(crate) fn object<'n, 'a, 'p>(
        &mut self,
        node: &'n Node<'a>,
        at: &'p At<'p>,
        known: &[&str],
    ) -> Option<Fields<'n, 'a, 'p>> {
        let Node::Object(members) = node else {
            self.wrong_type(Field { node, at: *at }, "an object");
            return None;
        };
        for (key, _) in members.iter().filter(|(key, _)| !known.contains(&&**key)) {
            self.fault(
                &At::Key(at, key),
                "unknown_field",
                format!("not a field here; known are: {}", known.join(", ")),
            );
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
            self.fault(&At::Key(fields.at, key), "required", "is missing");
        }
        found
    }

    /// An item of a list that must be a text.
    pub(crate) fn item_text<'n>(&mut self, node: &'n Node<'_>, at: &At<'_>) -> Option<&'n str> {
        self.text(Field { node, at: *at })
    }

    /// A text.
    pub(crate) fn text<'n>(&mut self, field: Field<'n, '_, '_>) -> Option<&'n str> {
        let Node::Text(text) = field.node else {
            self.wrong_type(field, "a text");
            return None;
        };
        Some(text)
    }

    /// A date as `2027-01-10`.
    pub(crate) fn date(&mut self, field: Field<'_, '_, '_>) -> Option<NaiveDate> {
        let text = self.text(field)?;
        let date = is_full_date(text).then(|| text.parse().ok()).flatten();
        if date.is_none() {
            self.fault(&field.at, "invalid_date", "must be a date of the calendar such as 2027-01-10");
        }
        date
    }

    /// A whole number that fits.
    pub(crate) fn count(&mut self, field: Field<'_, '_, '_>) -> Option<u32> {
        let Node::Int(number) = field.node else {
            self.wrong_type(field, "a whole number");
            return None;
        };
        let count = u32::try_from(*number).ok();
        if count.is_none() {
            self.fault(&field.at, "out_of_range", "must not be negative or that large");
        }
        count
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, field: Field<'_, '_, '_>) -> Option<bool> {
        let Node::Bool(value) = field.node else {
            self.wrong_type(field, "true or false");
            return None;
        };
        Some(*value)
    }

    /// A whole number within bounds.
    pub(crate) fn whole(&mut self, field: Field<'_, '_, '_>, bounds: RangeInclusive<i64>) -> Option<i64> {
        let Node::Int(number) = field.node else {
            self.wrong_type(field, "a whole number");
            return None;
        };
        let number = i64::try_from(*number).ok().filter(|number| bounds.contains(number));
        if number.is_none() {
            self.fault(&field.at, "out_of_range", format!("must be from {} to {}", bounds.start(), bounds.end()));
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
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.fault(&field.at, "unknown_value", format!("must be one of: {}", names.join(", ")));
        }
        chosen
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
pub(crate) fn is_full_date(text: &str) -> bool {
    text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(place, byte)| if matches!(place, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() })
}

impl<'n, 'a, 'p> Fields<'n, 'a, 'p> {
    /// Whether a member is there, `null` or not: `null` takes away what may be missing.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.members.iter().any(|(name, _)| name == key)
    }

    /// A member that may be missing or `null`.
    pub(crate) fn optional(&self, key: &'p str) -> Option<Field<'n, 'a, 'p>> {
        let found = self.members.iter().find(|(name, value)| name == key && *value != Node::Null);
        found.map(|(_, node)| Field { node, at: At::Key(self.at, key) })
    }
}

impl<'n, 'a, 'p> Field<'n, 'a, 'p> {
    /// An item of a list or a member of [`Reader::entries`].
    pub(crate) fn at_place(node: &'n Node<'a>, at: At<'p>) -> Self {
        Self { node, at }
    }

    /// The value itself.
    pub(crate) fn node(&self) -> &'n Node<'a> {
        self.node
    }

    /// Where it stands.
    pub(crate) fn at(&self) -> At<'p> {
        self.at
    }
}

/// Adds faults of rules to faults of form. A place whose form is wrong already is not reported again, nor is anything
/// inside it.
pub(crate) fn merge(faults: &mut Vec<FieldError>, more: Vec<FieldError>) {
    let of_form = faults.len();
    for fault in more {
        let covered = faults.iter().take(of_form).any(|known| {
            fault.pointer.strip_prefix(&known.pointer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        if !covered {
            faults.push(fault);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{At, Reader, merge};
    use crate::json::parse;
    use pvt_domain::intake::FieldError;

    #[test]
    fn every_fault_of_form_is_collected() {
        let node =
            parse(br#"{"name":1,"day":"2027-02-30","many":-1,"half":1.5,"kind":"x","list":{},"gone":null,"a/b~c":0}"#)
                .unwrap();
        let mut reader = Reader::default();
        let fields = reader.object(&node, &At::Root, &["name", "day", "many", "half", "kind", "list", "gone"]).unwrap();
        fields.optional("name").and_then(|field| reader.text(field));
        fields.optional("day").and_then(|field| reader.date(field));
        fields.optional("many").and_then(|field| reader.count(field));
        fields.optional("half").and_then(|field| reader.count(field));
        fields.optional("kind").and_then(|field| reader.one_of(field, &[("y", 1), ("z", 2)]));
        fields.optional("list").and_then(|field| reader.list(field));
        assert!(reader.required(fields, "gone").is_none());
        let faults = reader.into_faults();
        let found: Vec<_> = faults.iter().map(|fault| (fault.pointer.as_str(), fault.code)).collect();
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
    fn dates_have_one_spelling() {
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
            let fields = reader.object(&node, &At::Root, &["d"]).unwrap();
            let date = fields.optional("d").and_then(|field| reader.date(field));
            assert_eq!(date.is_some(), good, "{text}");
        }
    }

    #[test]
    fn a_place_is_reported_once() {
        let fault = |pointer: &str| FieldError::new(pointer, "x", "");
        let mut faults = vec![fault("/guest"), fault("/stays/1")];
        merge(
            &mut faults,
            vec![
                fault("/guest/email"),
                fault("/guest"),
                fault("/guests"),
                fault("/stays/10/guests"),
                fault("/stays/1/arrival"),
                fault("/stays"),
            ],
        );
        let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, ["/guest", "/stays/1", "/guests", "/stays/10/guests", "/stays"]);
    }
}
