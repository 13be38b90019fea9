//! Adjustments of derived JSON schemas.

use schemars::Schema;
use serde_json::{Map, Value, json};

/// Describes a tagged enumeration as one object: its tag, and the members that some of its variants have. Clients that
/// are generated from alternatives could not read a variant that is added later.
pub(crate) fn as_one_object(schema: &mut Schema) {
    let Some(Value::Array(variants)) = schema.remove("oneOf") else { return };
    let (mut properties, mut tags): (Map<String, Value>, Vec<Value>) = (Map::new(), Vec::new());
    for (name, member) in variants.into_iter().filter_map(members_of).flatten() {
        match member.get("const") {
            Some(tag) => tags.push(tag.clone()),
            None => drop(properties.insert(name, member)),
        }
    }
    properties.insert("kind".to_owned(), json!({ "type": "string", "enum": tags }));
    schema.insert("type".to_owned(), "object".into());
    schema.insert("properties".to_owned(), properties.into());
    schema.insert("required".to_owned(), json!(["kind"]));
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
