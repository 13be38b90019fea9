//! Stripe's form encoding: `a[b][0][c]=d` parsed into a tree of objects, lists and strings. Numbers stay strings;
//! [`crate::params`] parses them.

use crate::error::ApiError;
use serde_json::{Map, Value};
use url::form_urlencoded;

/// Most pairs of one form.
const MAX_PAIRS: usize = 1_000;
/// Deepest nesting.
const MAX_DEPTH: usize = 8;

/// Parses a query or a body.
///
/// Pairs are processed in the order of their keys, so that the same parameters give the same tree in whatever order a
/// client sends them.
pub(crate) fn parse(text: &str) -> Result<Map<String, Value>, ApiError> {
    let mut pairs: Vec<(String, String)> =
        form_urlencoded::parse(text.as_bytes()).map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
    if pairs.len() > MAX_PAIRS {
        return Err(ApiError::invalid("Too many parameters"));
    }
    pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut root = Map::new();
    for (key, value) in pairs {
        let steps = steps(&key).ok_or_else(|| {
            ApiError::invalid(
                "Invalid request (check that your POST content type is application/x-www-form-urlencoded)",
            )
        })?;
        put(&mut root, &steps, value)
            .ok_or_else(|| ApiError::invalid(format!("Invalid parameter: {key}")).param(&key))?;
    }
    Ok(root.into_iter().map(|(key, value)| (key.clone(), lists(value, &key))).collect())
}

/// `a[b][]` is `["a", "b", ""]`.
fn steps(key: &str) -> Option<Vec<&str>> {
    let (head, rest) = key.find('[').map_or((key, ""), |at| key.split_at(at));
    let mut steps = vec![head];
    let mut rest = rest;
    while !rest.is_empty() {
        let (step, after) = rest.strip_prefix('[')?.split_once(']')?;
        steps.push(step);
        rest = after;
    }
    (!head.is_empty() && steps.len() <= MAX_DEPTH).then_some(steps)
}

fn put(into: &mut Map<String, Value>, steps: &[&str], value: String) -> Option<()> {
    let (first, rest) = steps.split_first()?;
    let name = if first.is_empty() { next_index(into) } else { (*first).to_owned() };
    if rest.is_empty() {
        into.insert(name, Value::String(value));
        return Some(());
    }
    put(into.entry(name).or_insert_with(|| Value::Object(Map::new())).as_object_mut()?, rest, value)
}

/// `[]` takes the next number; sorting by text put `[10]` before `[2]`, so a length is enough only because names are
/// looked up.
fn next_index(map: &Map<String, Value>) -> String {
    (map.len()..).map(|index| index.to_string()).find(|index| !map.contains_key(index)).unwrap_or_default()
}

/// Objects whose keys are all numbers are lists, except metadata, where a key may be anything.
fn lists(value: Value, name: &str) -> Value {
    let Value::Object(map) = value else { return value };
    let numbers: Option<Vec<usize>> = map.keys().map(|key| key.parse().ok()).collect();
    let is_list = name != "metadata" && numbers.is_some() && !map.is_empty();
    let mut entries: Vec<(String, Value)> =
        map.into_iter().map(|(key, value)| (key.clone(), lists(value, &key))).collect();
    if !is_list {
        return Value::Object(entries.into_iter().collect());
    }
    entries.sort_by_key(|(key, _)| key.parse::<usize>().unwrap_or(usize::MAX));
    Value::Array(entries.into_iter().map(|(_, value)| value).collect())
}

#[cfg(test)]
mod tests {
    use super::parse;
    use serde_json::{Value, json};

    #[test]
    fn bracketed_keys_become_a_tree() {
        let text = "line_items[0][price_data][unit_amount]=1200&line_items[0][quantity]=2\
            &metadata[booking_id]=b%201&metadata[0]=x&expand[]=a&expand[]=b&mode=payment";
        let tree = Value::Object(parse(text).unwrap());
        let expected = json!({
            "line_items": [{ "price_data": { "unit_amount": "1200" }, "quantity": "2" }],
            "metadata": { "booking_id": "b 1", "0": "x" }, "expand": ["a", "b"], "mode": "payment"
        });
        assert_eq!(tree, expected);
    }

    #[test]
    fn more_than_nine_list_items_stay_in_order() {
        let text: Vec<String> = (0..12).map(|index| format!("types[{index}]=t{index}")).collect();
        let tree = parse(&text.join("&")).unwrap();
        assert_eq!(tree["types"][11], "t11");
        assert_eq!(tree["types"][2], "t2");
    }

    #[test]
    fn malformed_forms_are_refused() {
        let deep = format!("a{}=1", "[b]".repeat(40));
        for bad in ["a[b=1", "[b]=1", "a=1&a[b]=2", deep.as_str()] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
