//! Agreement of the published schemas with the decoders: both accept the same variations of every committed example.
//!
//! A schema is derived from a type, and so is its decoder, but attributes that only one of them knows (another form of
//! a member, a check after decoding) make them differ without a compiler's word.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use chrono::{DateTime, NaiveDate};
use pvt_domain::events::{
    BOOKING_CONFIRMED, BOOKING_HELD, BOOKING_MODIFIED, BOOKING_PAYMENT_CHANGED, BOOKING_REINSTATED,
};
use pvt_domain::messages::catalog::{entries, entry};
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};
use uuid::Uuid;

/// The schema of each message, without references.
fn schema(kind: &str) -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    entry(kind).unwrap().schema(&mut settings.into_generator()).to_value()
}

/// Whether `value` is valid. Knows the keywords that derived schemas use and refuses any other, so that none is
/// skipped.
fn is_valid(schema: &Value, value: &Value) -> bool {
    let Value::Object(keywords) = schema else { return schema == true };
    keywords.iter().all(|(keyword, expected)| match keyword.as_str() {
        "description" | "default" | "title" => true,
        "type" => match expected {
            Value::Array(types) => types.iter().any(|name| has_type(name, value)),
            name => has_type(name, value),
        },
        "enum" => expected.as_array().unwrap().contains(value),
        "const" => expected == value,
        "format" => value.as_str().is_none_or(|text| has_format(expected.as_str().unwrap(), text)),
        "pattern" => {
            assert_eq!(expected, "^[A-Z]{3}$");
            value.as_str().is_none_or(|text| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()))
        }
        "minimum" => value.as_f64().is_none_or(|number| number >= expected.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|number| number <= expected.as_f64().unwrap()),
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| is_valid(expected, item))),
        "properties" => value.as_object().is_none_or(|members| {
            members.iter().all(|(name, member)| expected.get(name).is_none_or(|schema| is_valid(schema, member)))
        }),
        "required" => value.as_object().is_none_or(|members| {
            expected.as_array().unwrap().iter().all(|name| members.contains_key(name.as_str().unwrap()))
        }),
        "anyOf" => expected.as_array().unwrap().iter().any(|one| is_valid(one, value)),
        "oneOf" => expected.as_array().unwrap().iter().filter(|one| is_valid(one, value)).count() == 1,
        other => panic!("`{other}` in {schema}"),
    })
}

fn has_type(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("type `{other}`"),
    }
}

fn has_format(name: &str, text: &str) -> bool {
    match name {
        "uuid" => Uuid::try_parse(text).is_ok(),
        "date" => text.parse::<NaiveDate>().is_ok(),
        "date-time" => DateTime::parse_from_rfc3339(text).is_ok(),
        // Intake checks addresses; consumers read any text.
        "email" => true,
        width if width.trim_start_matches('u').starts_with("int") => true,
        other => panic!("format `{other}`"),
    }
}

/// JSON pointers of everything in a value, itself excepted.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, member)| (format!("{at}/{name}"), member)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (format!("{at}/{index}"), item)).collect(),
        _ => Vec::new(),
    };
    for (pointer, member) in members {
        pointers(member, &pointer, found);
        found.push(pointer);
    }
}

fn without(example: &Value, pointer: &str) -> Option<Value> {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let mut changed = example.clone();
    changed.pointer_mut(parent).unwrap().as_object_mut()?.remove(name).unwrap();
    Some(changed)
}

fn with(example: &Value, pointer: &str, value: Value) -> Value {
    let mut changed = example.clone();
    *changed.pointer_mut(pointer).unwrap() = value;
    changed
}

/// The example without each of its members, and with another value in place of each.
fn variations(example: &Value) -> Vec<(String, Value)> {
    let mut places = Vec::new();
    pointers(example, "", &mut places);
    let others = [Value::Null, json!("any text"), json!(-1), json!(1), json!(1.5), json!(true), json!([]), json!({})];
    let mut variations = Vec::new();
    for place in &places {
        variations.extend(without(example, place).map(|changed| (format!("without {place}"), changed)));
        for other in &others {
            variations.push((format!("{other} at {place}"), with(example, place, other.clone())));
        }
    }
    variations
}

/// Forms that serde reads beside the documented one and no producer writes: a struct as the list of its members (an
/// empty one where all have defaults), and the variant of a flattened enumeration by its number.
const UNDOCUMENTED: [&str; 3] = ["[] at /payment", "[] at /assignments/0", "1 at /what"];

#[test]
fn schemas_and_decoders_accept_the_same() {
    let mut differences = Vec::new();
    for entry in entries() {
        let schema = schema(entry.kind);
        let example: Value = serde_json::from_str(entry.example).unwrap();
        assert!(is_valid(&schema, &example), "{}: the example is refused by {schema}", entry.kind);
        for (variation, body) in variations(&example) {
            let decodes = entry.accepts(body.to_string().as_bytes());
            if is_valid(&schema, &body) != decodes && !(decodes && UNDOCUMENTED.contains(&variation.as_str())) {
                differences.push(format!("{}: {variation}: decoded: {decodes}", entry.kind));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn unknown_members_are_allowed() {
    for entry in entries() {
        let mut newer: Value = serde_json::from_str(entry.example).unwrap();
        newer["added_later"] = "x".into();
        assert!(is_valid(&schema(entry.kind), &newer), "{}", entry.kind);
    }
}

#[test]
fn schema_of_an_event_fits_its_wire_name_only() {
    let kinds = [BOOKING_HELD, BOOKING_CONFIRMED, BOOKING_MODIFIED, BOOKING_REINSTATED, BOOKING_PAYMENT_CHANGED];
    for (one, other) in kinds.iter().flat_map(|one| kinds.iter().map(move |other| (*one, *other))) {
        let example = serde_json::from_str(entry(other).unwrap().example).unwrap();
        assert_eq!(is_valid(&schema(one), &example), one == other, "{other} as {one}");
    }
}
