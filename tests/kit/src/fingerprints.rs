//! Fingerprints of requests as the versions before the canonical form stored them.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// The fingerprint of this body as it was sent: the first half of a SHA-256 over its values with their types.
pub fn earlier_fingerprint(body: &Value) -> String {
    let mut hasher = Sha256::new();
    add(body, &mut hasher);
    hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn add(value: &Value, hasher: &mut Sha256) {
    let mut lengths = |kind: &[u8], length: usize| {
        hasher.update(kind);
        hasher.update((length as u64).to_be_bytes());
    };
    match value {
        Value::Null => hasher.update(b"n"),
        Value::Bool(value) => hasher.update([b'b', u8::from(*value)]),
        Value::Number(number) => {
            hasher.update(b"i");
            hasher.update(i128::from(number.as_i64().unwrap_or_default()).to_be_bytes());
        }
        Value::String(text) => {
            lengths(b"s", text.len());
            hasher.update(text.as_bytes());
        }
        Value::Array(items) => {
            lengths(b"l", items.len());
            items.iter().for_each(|item| add(item, hasher));
        }
        Value::Object(members) => {
            lengths(b"o", members.len());
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            for (key, value) in sorted {
                add(&Value::String(key.clone()), hasher);
                add(value, hasher);
            }
        }
    }
}
