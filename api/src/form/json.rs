//! Strict JSON parser for requests: bounded depth, no duplicate keys, strings borrowed from the body.
//!
//! Two readers of one body must never see different values in it, so duplicate keys, which JSON leaves open, are
//! refused.

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Deepest nesting of objects and lists. Our deepest request has four levels.
const MAX_DEPTH: u8 = 16;

/// The members of an object, in the order of the body.
pub(crate) type Members<'a> = Vec<(Cow<'a, str>, Node<'a>)>;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node<'a> {
    Null,
    Bool(bool),
    /// A whole number, in any spelling: `2`, `2.0`, `2e0`. JSON and its schemas do not distinguish them.
    Int(i128),
    /// Any other number, and one that is too large to be read exactly.
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Object(Members<'a>),
}

impl Node<'_> {
    /// Its type, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

/// The reason why a body is not usable JSON. Names the position, never the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JsonError {
    pub(crate) reason: String,
}

/// Parses a whole body.
pub(crate) fn parse(body: &[u8]) -> Result<Node<'_>, JsonError> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let parsed = DepthLimit(0).deserialize(&mut reader).and_then(|node| reader.end().map(|()| node));
    parsed.map_err(|error| JsonError { reason: error.to_string() })
}

/// Deserialises a value at this depth.
#[derive(Clone, Copy)]
struct DepthLimit(u8);

impl DepthLimit {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.0 >= MAX_DEPTH {
            Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels")))
        } else {
            Ok(Self(self.0 + 1))
        }
    }
}

impl<'de> DeserializeSeed<'de> for DepthLimit {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for DepthLimit {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node<'de>, E> {
        Ok(Node::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node<'de>, E> {
        Ok(Node::Int(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node<'de>, E> {
        /// 2^52: below it, a number that was rounded when it was parsed never becomes another whole one.
        const EXACT: f64 = 4_503_599_627_370_496.0;
        Ok(if value.fract() == 0.0 && value.abs() < EXACT { Node::Int(value as i128) } else { Node::Float(value) })
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node<'de>, A::Error> {
        let level = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(level)? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node<'de>, A::Error> {
        /// Members up to which duplicate keys are found by comparing each pair.
        const FEW: usize = 16;
        let level = self.deeper()?;
        let mut members: Members<'de> = Vec::with_capacity(8);
        while let Some(key) = entries.next_key_seed(Key)? {
            let member = (key, entries.next_value_seed(level)?);
            if members.len() < FEW && members.iter().any(|(known, _)| *known == member.0) {
                return Err(A::Error::custom("an object has the same key twice"));
            }
            members.push(member);
        }
        if members.len() > FEW {
            let mut keys: Vec<&str> = members.iter().map(|(key, _)| &**key).collect();
            keys.sort_unstable();
            if keys.windows(2).any(|pair| pair.first() == pair.last()) {
                return Err(A::Error::custom("an object has the same key twice"));
            }
        }
        Ok(Node::Object(members))
    }
}

/// Deserialises a key without copying it where it needs no unescaping.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Node, parse};
    use std::borrow::Cow;

    #[test]
    fn strings_are_borrowed_from_the_body() {
        let Node::Object(members) = parse(br#"{"a":[1,-2,3.5,null,true],"b":"x","c":"\u00e9"}"#).unwrap() else {
            panic!("an object")
        };
        assert_eq!(
            members[0].1,
            Node::List(vec![Node::Int(1), Node::Int(-2), Node::Float(3.5), Node::Null, Node::Bool(true)])
        );
        assert!(matches!(&members[1].1, Node::Text(Cow::Borrowed("x"))));
        assert!(matches!(&members[2].1, Node::Text(Cow::Owned(text)) if text == "é"));
    }

    #[test]
    fn whole_numbers_are_read_in_any_spelling() {
        let number = |text: &'static str| parse(text.as_bytes()).unwrap();
        for spelling in ["200", "200.0", "2e2", "2.00E+2", "20000e-2"] {
            assert_eq!(number(spelling), Node::Int(200), "{spelling}");
        }
        assert_eq!(number("-0.0"), Node::Int(0));
        assert_eq!(number("1234567890.0"), Node::Int(1_234_567_890));
        assert_eq!(number("2.5"), Node::Float(2.5));
        assert!(matches!(number("9007199254740993.0"), Node::Float(_)), "it may have been rounded");
        assert!(matches!(number("1e300"), Node::Float(_)));
    }

    #[test]
    fn syntax_error_names_line_and_column() {
        let reason = |text: &str| parse(text.as_bytes()).unwrap_err().reason;
        assert!(reason("{\n \"a\": }").contains("line 2 column 7"), "{}", reason("{\n \"a\": }"));
        assert!(reason("").contains("line 1 column 0"));
        assert!(reason("{} x").contains("trailing characters"));
    }

    #[test]
    fn duplicate_keys_are_refused() {
        assert!(parse(br#"{"guests":1,"guests":9}"#).unwrap_err().reason.contains("same key twice"));
        let many: String = (0..40).map(|n| format!("\"k{n}\":1,")).collect();
        assert!(parse(format!("{{{many}\"k7\":2}}").as_bytes()).unwrap_err().reason.contains("same key twice"));
        assert!(parse(format!("{{{many}\"k\":2}}").as_bytes()).is_ok());
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(nested(16).as_bytes()).is_ok());
        assert!(parse(nested(17).as_bytes()).unwrap_err().reason.contains("nested deeper"));
        assert!(parse(nested(60_000).as_bytes()).is_err(), "and the stack survives");
    }
}
