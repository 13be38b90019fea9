//! JSON Schema in few words: what a value in a request or an answer looks like.
//!
//! Forms of requests are closed, as the readers refuse what they do not know; answers are open, so that a field can be
//! added.

use serde_json::{Map, Value, json};

/// A text.
pub(crate) fn text() -> Value {
    json!({ "type": "string" })
}

/// A text of so many characters.
pub(crate) fn text_of(least: usize, most: usize) -> Value {
    json!({ "type": "string", "minLength": least, "maxLength": most })
}

/// A UUID.
pub(crate) fn uuid() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

/// A whole number from `least`.
pub(crate) fn whole(least: i64) -> Value {
    json!({ "type": "integer", "minimum": least })
}

/// A whole number within bounds.
pub(crate) fn whole_of(least: i64, most: i64) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most })
}

/// One of these texts.
pub(crate) fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> Value {
    json!({ "type": "string", "enum": names.into_iter().collect::<Vec<_>>() })
}

/// A list.
pub(crate) fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// An object whose keys are names of something.
pub(crate) fn map(values: Value) -> Value {
    json!({ "type": "object", "additionalProperties": values })
}

/// A form of the document, by its name.
pub(crate) fn named(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The same, with words about it.
pub(crate) fn about(mut schema: Value, words: &str) -> Value {
    if let Value::Object(members) = &mut schema {
        members.insert("description".to_owned(), words.into());
    }
    schema
}

/// An object of an answer. A field whose name ends in `?` may be missing.
pub(crate) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for (name, schema) in fields {
        match name.strip_suffix('?') {
            Some(name) => drop(properties.insert(name.to_owned(), schema)),
            None => {
                required.push(name.to_owned());
                properties.insert(name.to_owned(), schema);
            }
        }
    }
    json!({ "type": "object", "properties": properties, "required": required })
}
