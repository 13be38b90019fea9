//! JSON Schema in few words: what a value in a request or an answer looks like.
//!
//! Forms of requests are closed, as the readers refuse what they do not know; answers are open, so that a field can be
//! added.

use crate::form::RequestForm;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

/// A text.
pub(crate) fn text() -> Value {
    json!({ "type": "string" })
}

/// A text of so many characters.
pub(crate) fn text_of(least: usize, most: usize) -> Value {
    json!({ "type": "string", "minLength": least, "maxLength": most })
}

/// A text of this format, for example `date-time`.
fn formatted(format: &str) -> Value {
    json!({ "type": "string", "format": format })
}

/// A UUID.
pub(crate) fn uuid() -> Value {
    formatted("uuid")
}

/// A day of the calendar.
pub(crate) fn date() -> Value {
    formatted("date")
}

/// An instant.
pub(crate) fn instant() -> Value {
    formatted("date-time")
}

/// A mail address.
pub(crate) fn email() -> Value {
    formatted("email")
}

/// A whole number from `least`.
pub(crate) fn whole(least: i64) -> Value {
    json!({ "type": "integer", "minimum": least })
}

/// A whole number within bounds.
pub(crate) fn whole_of(least: i64, most: i64) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most })
}

/// Yes or no.
pub(crate) fn flag() -> Value {
    json!({ "type": "boolean" })
}

/// One of these texts.
pub(crate) fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> Value {
    json!({ "type": "string", "enum": names.into_iter().collect::<Vec<_>>() })
}

/// One of the names of a list of choices as the domain has it.
pub(crate) fn choice<T>(choices: &[(&'static str, T)]) -> Value {
    one_of(choices.iter().map(|(name, _)| *name))
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

/// The same, or `null`.
pub(crate) fn nullable(schema: Value) -> Value {
    json!({ "oneOf": [schema, { "type": "null" }] })
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
    of_fields(fields, |optional| optional)
}

/// The schema of a form, as it is declared.
pub(crate) fn form_of<T: RequestForm>() -> Value {
    let mut schema = T::json_schema(&mut SchemaGenerator::default());
    schema.remove("examples");
    schema.to_value()
}

/// The example of a form, as it is declared.
pub(crate) fn example_of<T: RequestForm>() -> Value {
    let schema = T::json_schema(&mut SchemaGenerator::default());
    schema.get("examples").map(|examples| examples[0].clone()).unwrap_or_default()
}

/// A page of a list of these.
pub(crate) fn page(items: Value) -> Value {
    object([("items", list(items)), ("next_cursor?", about(text(), "Leads to the next page; missing on the last."))])
}

fn of_fields<const N: usize>(fields: [(&str, Value); N], optional: fn(Value) -> Value) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for (name, schema) in fields {
        match name.strip_suffix('?') {
            Some(name) => drop(properties.insert(name.to_owned(), optional(schema))),
            None => {
                required.push(name.to_owned());
                properties.insert(name.to_owned(), schema);
            }
        }
    }
    json!({ "type": "object", "properties": properties, "required": required })
}
