//! Schema of a message, from its decoder and one document that it accepts.

use serde_json::{Map, Value, json};

/// The JSON Schema of what `takes` takes, as far as `example` shows it.
pub(super) fn schema_of(example: &Value, takes: impl Fn(&Value) -> bool) -> Value {
    Probe { example, takes: &takes }.schema("", example)
}

struct Probe<'a> {
    example: &'a Value,
    takes: &'a dyn Fn(&Value) -> bool,
}

impl Probe<'_> {
    /// Whether the reader takes the example with another value at `pointer`; `None` leaves it out.
    fn takes_with(&self, pointer: &str, value: Option<Value>) -> bool {
        let mut changed = self.example.clone();
        match (value, pointer.rsplit_once('/')) {
            (Some(value), _) => match changed.pointer_mut(pointer) {
                Some(place) => *place = value,
                None => return false,
            },
            (None, Some((parent, key))) => match changed.pointer_mut(parent) {
                Some(Value::Object(members)) => drop(members.remove(&unescaped(key))),
                _ => return false,
            },
            (None, None) => return false,
        }
        (self.takes)(&changed)
    }

    fn schema(&self, pointer: &str, value: &Value) -> Value {
        // Who takes all of these asks for nothing.
        let anything = [json!({ "a": [] }), json!([{}]), json!("a"), json!(true), json!(1.5)];
        if !pointer.is_empty() && anything.into_iter().all(|other| self.takes_with(pointer, Some(other))) {
            return json!({});
        }
        let mut schema = match value {
            Value::Null => return json!({}),
            Value::Bool(_) => json!({ "type": "boolean" }),
            Value::Number(_) if self.takes_with(pointer, Some(json!(1.5))) => json!({ "type": "number" }),
            Value::Number(_) => json!({ "type": "integer" }),
            Value::String(text) => self.text(pointer, text),
            Value::Array(items) => {
                let items =
                    items.first().map_or_else(|| json!({}), |first| self.schema(&format!("{pointer}/0"), first));
                json!({ "type": "array", "items": items })
            }
            Value::Object(members) => self.object(pointer, members),
        };
        if !pointer.is_empty() && self.takes_with(pointer, Some(Value::Null)) {
            schema["type"] = json!([schema["type"], "null"]);
        }
        schema
    }

    fn text(&self, pointer: &str, text: &str) -> Value {
        // A reader that takes any text has no format, whatever the example looks like.
        let any = self.takes_with(pointer, Some(json!("any text")));
        match format_of(text).filter(|_| !any) {
            Some(format) => json!({ "type": "string", "format": format }),
            None => json!({ "type": "string" }),
        }
    }

    fn object(&self, pointer: &str, members: &Map<String, Value>) -> Value {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for (key, value) in members {
            let at = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
            properties.insert(key.clone(), self.schema(&at, value));
            if !self.takes_with(&at, None) {
                required.push(key.clone());
            }
        }
        json!({ "type": "object", "properties": properties, "required": required })
    }
}

fn unescaped(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}

fn format_of(text: &str) -> Option<&'static str> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    match text.len() {
        36 if uuid::Uuid::try_parse(text).is_ok() => Some("uuid"),
        10 if digits(text) => Some("date"),
        20.. if text.get(..10).is_some_and(digits) && text.ends_with('Z') => Some("date-time"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::schema_of;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Deserialize)]
    #[allow(dead_code, reason = "only read into")]
    struct Form {
        id: uuid::Uuid,
        count: u8,
        note: Option<String>,
        free: serde_json::Value,
        #[serde(default)]
        names: Vec<String>,
    }

    #[test]
    fn schema_follows_the_decoder() {
        let example = json!({ "id": "11111111-2222-5333-8444-555555555555", "count": 1, "note": "2027-01-10",
            "free": "x", "names": ["a"] });
        let schema = schema_of(&example, |value| serde_json::from_value::<Form>(value.clone()).is_ok());
        let expected = json!({
            "type": "object",
            "properties": {
                "id": { "type": "string", "format": "uuid" },
                "count": { "type": "integer" },
                "note": { "type": ["string", "null"] },
                "free": {},
                "names": { "type": "array", "items": { "type": "string" } },
            },
            "required": ["count", "free", "id"],
        });
        assert_eq!(schema, expected);
    }
}
