//! Masking of bodies: operators see what a message does, not whom it is about.
//!
//! What is shown is listed, so that a member of a later version is masked until it is found to be harmless.

use serde_json::Value;

/// Stands for a value that is not shown.
pub const MASKED: &str = "masked";

/// Longer texts are no ids, codes or times.
const PLAIN_MAX_CHARS: usize = 64;

/// Members that are shown where their value is a number, a truth value, an id, a code or a time.
const SHOWN: [&str; 78] = [
    "action",
    "actor",
    "allow_open_balance",
    "amount",
    "arrival",
    "as_admin",
    "assigned_beds",
    "at",
    "bed_ids",
    "beds",
    "block_id",
    "booking_id",
    "captured",
    "channel",
    "charged_back",
    "cleared",
    "continues",
    "created_at",
    "currency",
    "day",
    "delivered",
    "departure",
    "dry_run",
    "event_id",
    "event_type",
    "expected_rev",
    "expires_at",
    "fee",
    "from",
    "guests",
    "id",
    "intent",
    "kind",
    "last_day",
    "ledger_rev",
    "livemode",
    "locale",
    "locked",
    "mail_id",
    "method",
    "nights",
    "notification_id",
    "object",
    "occurred_at",
    "outcome",
    "override_restrictions",
    "payment",
    "payment_id",
    "position",
    "processing",
    "property_id",
    "rate_plan_id",
    "rate_ppm",
    "received_at",
    "reference",
    "refund_id",
    "refunded",
    "refusal",
    "rejection",
    "release",
    "reprice",
    "requested_at",
    "required",
    "rev",
    "room_type_id",
    "run_id",
    "source",
    "status",
    "stay",
    "stay_id",
    "surplus",
    "to_return",
    "total",
    "type",
    "until",
    "user_id",
    "version",
    "what",
];

/// The body of a message as operators see it: its structure, and the members that say nothing about a person. A body
/// that is no JSON is masked as a whole.
pub fn masked_body(body: &[u8]) -> Value {
    serde_json::from_slice(body).map_or_else(|_| MASKED.into(), |body| masked(body, false))
}

fn masked(value: Value, is_shown: bool) -> Value {
    match value {
        Value::Object(members) => {
            let member = |(name, value): (String, Value)| {
                let is_shown = SHOWN.binary_search(&name.as_str()).is_ok();
                // A name may be a value, too, where a map is keyed by one.
                let name = if is_plain(&name) { name } else { MASKED.to_owned() };
                (name, masked(value, is_shown))
            };
            Value::Object(members.into_iter().map(member).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(|item| masked(item, is_shown)).collect()),
        Value::Null => Value::Null,
        Value::String(text) if is_shown && is_plain(&text) => Value::String(text),
        value @ (Value::Bool(_) | Value::Number(_)) if is_shown => value,
        _ => MASKED.into(),
    }
}

/// Whether a text can be an id, a code or a time: it has neither blanks nor the signs of an address.
fn is_plain(text: &str) -> bool {
    let is_of_ids = |c: char| c.is_ascii_alphanumeric() || "-_.:|".contains(c);
    text.chars().count() <= PLAIN_MAX_CHARS && text.chars().all(is_of_ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::catalog;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn shown_members_are_sorted() {
        assert!(SHOWN.is_sorted());
    }

    #[test]
    fn examples_show_ids_and_nothing_about_a_person() {
        const PERSONAL: [&str; 12] = [
            "Ada",
            "Lovelace",
            "ada@example.com",
            "+15145550100",
            "1995-12-10",
            "\"GB\"",
            "female",
            "cold shower",
            "as the guest asked",
            "pi_3Qexample_secret_example",
            "https://",
            "nobody paid",
        ];
        let mut shown_bookings = 0;
        for entry in catalog::entries() {
            let shown = masked_body(entry.example.as_bytes()).to_string();
            for personal in PERSONAL {
                assert!(!shown.contains(personal), "{}: {personal} in {shown}", entry.kind);
            }
            shown_bookings += usize::from(shown.contains("8d3c8f52-6d0d-5d0a-9c1f-1f5a4a2b7c01"));
        }
        assert!(shown_bookings > 10, "only {shown_bookings} examples show their booking");
    }

    #[test]
    fn free_text_in_a_shown_member_is_masked() {
        let body = json!({ "status": "Ada Lovelace", "id": "a@b.c", "rev": 3, "note": 5, "stays": [{ "rev": true }] });
        let shown = masked_body(body.to_string().as_bytes());
        let expected = json!({ "status": MASKED, "id": MASKED, "rev": 3, "note": MASKED, "stays": [{ "rev": true }] });
        assert_eq!(shown, expected);
        assert_eq!(masked_body(b"Ada"), MASKED);
        assert_eq!(masked_body(b"\"Ada\""), MASKED);
        assert_eq!(masked_body(br#"{"ada@example.com": 1}"#), json!({ MASKED: MASKED }));
    }

    proptest! {
        #[test]
        fn members_that_are_not_listed_are_never_shown(name in "[a-z_]{1,12}", text in "[a-z]{12,30}", list: bool) {
            prop_assume!(SHOWN.binary_search(&name.as_str()).is_err());
            let value = if list { json!([text, { "x": text }]) } else { json!(text) };
            let shown = masked_body(json!({ name: { "inner": value.clone() }, "more": value }).to_string().as_bytes());
            prop_assert!(!shown.to_string().contains(&text), "{shown}");
        }

        #[test]
        fn masking_again_changes_nothing(keys in proptest::collection::vec("[a-z_]{1,9}", 0..5), number: i64) {
            let body: serde_json::Map<String, Value> =
                keys.into_iter().map(|key| (key, json!([number, "text", null]))).collect();
            let first = masked_body(&serde_json::to_vec(&body).unwrap());
            prop_assert_eq!(masked_body(&serde_json::to_vec(&first).unwrap()), first);
        }
    }
}
