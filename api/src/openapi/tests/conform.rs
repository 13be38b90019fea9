//! Validation of a value against a schema of our document. It knows what the document uses, and is stricter than a
//! client should be: a field of an answer that its schema does not have is an error.

use serde_json::Value;

/// Everything about `value` that the schema does not say.
pub(crate) fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(document, schema, value, "", &mut found);
    found
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        return check(document, document.pointer(&reference[1..]).expect(reference), value, at, found);
    }
    for alternatives in ["oneOf", "anyOf"] {
        if let Some(schemas) = schema[alternatives].as_array() {
            let tries: Vec<Vec<String>> =
                schemas.iter().map(|alternative| faults(document, &with_base(schema, alternative), value)).collect();
            if tries.iter().all(|faults| !faults.is_empty()) {
                found.push(format!("{at}: none of the alternatives: {tries:?}"));
            }
            if schema.get("properties").is_some() {
                return;
            }
        }
    }
    if let Some(schemas) = schema["allOf"].as_array() {
        // The first says which fields there are; the others narrow some of them.
        for (index, schema) in schemas.iter().enumerate() {
            let mut of_this = faults(document, schema, value);
            of_this.retain(|fault| index == 0 || !fault.ends_with("is not described"));
            found.extend(of_this);
        }
    }
    if let Some(choices) = schema["enum"].as_array()
        && !choices.contains(value)
    {
        found.push(format!("{at}: {value} is none of {choices:?}"));
    }
    if schema.get("const").is_some_and(|only| only != value) {
        found.push(format!("{at}: {value} is not {}", schema["const"]));
    }
    match schema["type"].as_str() {
        Some("object") => object(document, schema, value, at, found),
        Some("array") => match value.as_array() {
            Some(items) => items
                .iter()
                .enumerate()
                .for_each(|(index, item)| check(document, &schema["items"], item, &format!("{at}/{index}"), found)),
            None => found.push(format!("{at}: is not a list")),
        },
        Some("string") => text(schema, value, at, found),
        Some("integer") if !value.is_i64() && !value.is_u64() => found.push(format!("{at}: is not a whole number")),
        Some("number") if !value.is_number() => found.push(format!("{at}: is not a number")),
        Some("boolean") if !value.is_boolean() => found.push(format!("{at}: is not yes or no")),
        Some("null") if !value.is_null() => found.push(format!("{at}: is not null")),
        _ => {}
    }
    if let (Some(least), Some(number)) = (schema["minimum"].as_i64(), value.as_i64())
        && number < least
    {
        found.push(format!("{at}: {number} is less than {least}"));
    }
}

/// An alternative with the members that all of them have.
fn with_base(base: &Value, alternative: &Value) -> Value {
    let mut whole = alternative.clone();
    for (name, member) in base["properties"].as_object().into_iter().flatten() {
        whole["properties"][name] = member.clone();
    }
    if let (Some(all), Some(own)) = (base["required"].as_array(), whole["required"].as_array_mut()) {
        own.extend(all.iter().cloned());
    }
    whole
}

fn object(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let Some(members) = value.as_object() else {
        found.push(format!("{at}: is not an object"));
        return;
    };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !members.contains_key(name) {
            found.push(format!("{at}/{name}: is missing"));
        }
    }
    for (name, value) in members {
        let at = format!("{at}/{name}");
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(schema), _) | (None, schema @ Value::Object(_)) => check(document, schema, value, &at, found),
            _ => found.push(format!("{at}: is not described")),
        }
    }
}

fn text(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let Some(text) = value.as_str() else {
        found.push(format!("{at}: is not a text"));
        return;
    };
    let fits = match schema["format"].as_str() {
        Some("uuid") => uuid::Uuid::try_parse(text).is_ok(),
        Some("date") => text.parse::<chrono::NaiveDate>().is_ok(),
        Some("date-time") => chrono::DateTime::parse_from_rfc3339(text).is_ok(),
        _ => true,
    };
    if !fits {
        found.push(format!("{at}: {text} is no {}", schema["format"]));
    }
}
