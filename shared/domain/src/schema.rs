//! Adjustments of derived JSON schemas.

use schemars::Schema;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Describes a tagged enumeration as one object: its tag, and the members that some of its variants have. Clients that
/// are generated from alternatives could not read a variant that is added later.
pub(crate) fn as_one_object(schema: &mut Schema) {
    describe_as_one_object(schema);
    schema.insert("required".to_owned(), json!(["kind"]));
}

/// As [`as_one_object`], of an enumeration of which one variant has no tag: which members are there tells it.
pub(crate) fn as_one_of_members(schema: &mut Schema) {
    let variants = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array);
    let required = variants.into_iter().flatten().map(|variant| json!({ "required": variant["required"] }));
    let required: Vec<Value> = required.collect();
    describe_as_one_object(schema);
    schema.insert("anyOf".to_owned(), required.into());
}

fn describe_as_one_object(schema: &mut Schema) {
    let Some(Value::Array(variants)) = schema.remove("oneOf").or_else(|| schema.remove("anyOf")) else { return };
    let (mut properties, mut tags): (Map<String, Value>, BTreeMap<String, Vec<Value>>) = Default::default();
    for (name, member) in variants.into_iter().filter_map(members_of).flatten() {
        match member.get("const") {
            Some(tag) => tags.entry(name).or_default().push(tag.clone()),
            None => drop(properties.insert(name, member)),
        }
    }
    let tags = tags.into_iter().map(|(name, tags)| (name, json!({ "type": "string", "enum": tags })));
    properties.extend(tags);
    schema.insert("type".to_owned(), "object".into());
    schema.insert("properties".to_owned(), properties.into());
}

fn members_of(variant: Value) -> Option<Map<String, Value>> {
    let Value::Object(mut variant) = variant else { return None };
    match variant.remove("properties") {
        Some(Value::Object(members)) => Some(members),
        _ => None,
    }
}

/// Keeps those names of an enumeration that `fits` accepts; `None` is `null`. A member that can no longer be `null` is
/// required.
pub(crate) fn retain_names(schema: &mut Schema, member: &str, fits: impl Fn(Option<&str>) -> bool) {
    let property = schema.get_mut("properties").and_then(|properties| properties.get_mut(member));
    let Some(Value::Object(property)) = property else { return };
    let Some(Value::Array(names)) = property.get_mut("enum") else { return };
    names.retain(|name| fits(name.as_str()));
    if names.iter().any(Value::is_null) {
        return;
    }
    property.insert("type".to_owned(), "string".into());
    if let Some(Value::Array(required)) = schema.get_mut("required")
        && !required.iter().any(|name| name == member)
    {
        required.push(member.into());
    }
}
