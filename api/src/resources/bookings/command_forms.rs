//! The bodies of commands about a stored booking, all but modifications. A missing body is an empty one.

use crate::form::fingerprint::Fingerprint;
use crate::form::reader::{Field, Fields, Pointer, Reader};
use crate::form::{free_text, parse};
use crate::http::body::read_optional_json;
use crate::http::problem::Problem;
use axum::body::Body;
use axum::http::HeaderMap;
use bytes::Bytes;
use pvt_domain::ids::BedId;
use pvt_domain::intake::{MAX_GROUP_GUESTS, MAX_GROUP_STAYS};
use pvt_domain::messages::Assignment;

/// Longest id of a bed, in bytes.
const MAX_BED_ID_BYTES: usize = 64;
/// Most beds of one stay. A private room may have more of them than guests.
const MAX_BEDS: usize = MAX_GROUP_GUESTS as usize;

/// Reads an object with these members; `exempt` is the place of a text that may look like a card number.
pub(crate) async fn read<T>(
    headers: &HeaderMap,
    body: Body,
    (known, exempt): (&[&str], &[&str]),
    form: impl for<'n, 'a, 'p> FnOnce(Fields<'n, 'a, 'p>, &mut Reader) -> T,
) -> Result<(T, Fingerprint), Problem> {
    let bytes = read_optional_json(headers, body).await?.unwrap_or_else(|| Bytes::from_static(b"{}"));
    parse(&bytes, exempt, |node, reader| reader.object(node, &Pointer::Root, known).map(|fields| form(fields, reader)))
}

/// Only `reason`, which may be missing.
pub(crate) const REASON_MEMBERS: (&[&str], &[&str]) = (&["reason"], &[]);

/// A reason in somebody's words.
pub(crate) fn reason(fields: Fields<'_, '_, '_>, reader: &mut Reader) -> Option<String> {
    free_text(fields.optional("reason")?, "invalid_reason", reader)
}

/// As [`reason`], where one must be given.
pub(crate) fn required_reason(fields: Fields<'_, '_, '_>, reader: &mut Reader) -> Option<String> {
    reader.required(fields, "reason");
    reason(fields, reader)
}

/// A choice that is `false` unless it is made.
pub(crate) fn flag(fields: Fields<'_, '_, '_>, key: &'static str, reader: &mut Reader) -> bool {
    fields.optional(key).and_then(|field| reader.boolean(field)).unwrap_or_default()
}

/// A cancellation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct CancelForm {
    pub(crate) reason: Option<String>,
    /// Only say what it would cost.
    pub(crate) dry_run: bool,
    pub(crate) waive_fee: bool,
}

/// The members of a cancellation.
pub(crate) const CANCEL_MEMBERS: (&[&str], &[&str]) = (&["reason", "dry_run", "waive_fee"], &[]);

/// A fee is waived for a reason.
pub(crate) fn cancellation(fields: Fields<'_, '_, '_>, reader: &mut Reader) -> CancelForm {
    let waive_fee = flag(fields, "waive_fee", reader);
    let reason = if waive_fee { required_reason(fields, reader) } else { reason(fields, reader) };
    CancelForm { reason, dry_run: flag(fields, "dry_run", reader), waive_fee }
}

/// A departure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CheckOutForm {
    pub(crate) reason: Option<String>,
    pub(crate) allow_open_balance: bool,
    pub(crate) reprice: bool,
}

/// The members of a departure.
pub(crate) const CHECK_OUT_MEMBERS: (&[&str], &[&str]) = (&["reason", "allow_open_balance", "reprice"], &[]);

/// Who may leave without having paid, may do so for a reason.
pub(crate) fn departure(fields: Fields<'_, '_, '_>, reader: &mut Reader) -> CheckOutForm {
    let allow_open_balance = flag(fields, "allow_open_balance", reader);
    let reason = if allow_open_balance { required_reason(fields, reader) } else { reason(fields, reader) };
    CheckOutForm { reason, allow_open_balance, reprice: flag(fields, "reprice", reader) }
}

/// The members of a choice of beds.
pub(crate) const ASSIGN_MEMBERS: (&[&str], &[&str]) = (&["reason", "assignments"], &[]);

/// What staff decide about the beds of stays, and why.
pub(crate) fn beds(fields: Fields<'_, '_, '_>, reader: &mut Reader) -> (Vec<Assignment>, Option<String>) {
    let reason = reason(fields, reader);
    let Some(field) = reader.required(fields, "assignments") else { return (Vec::new(), reason) };
    let items = reader.list(field).unwrap_or_default();
    let at = field.at();
    if items.is_empty() || items.len() > MAX_GROUP_STAYS {
        reader.violation(&at, "assignment_count", format!("send 1 to {MAX_GROUP_STAYS} assignments"));
    }
    let mut assignments = Vec::new();
    for (index, item) in items.iter().take(MAX_GROUP_STAYS).enumerate() {
        let at = Pointer::Index(&at, index);
        let Some(fields) = reader.object(item, &at, &["stay", "beds", "locked"]) else { continue };
        let stay = reader
            .required(fields, "stay")
            .and_then(|field| reader.count(field))
            .and_then(|stay| usize::try_from(stay).ok());
        let beds = fields.optional("beds").and_then(|field| bed_list(field, reader));
        let locked = fields.optional("locked").and_then(|field| reader.boolean(field));
        if beds.is_none() && locked.is_none() {
            reader.violation(&at, "nothing_to_do", "send beds, locked or both");
        }
        assignments.push(Assignment { stay: stay.unwrap_or_default(), beds, locked });
    }
    (assignments, reason)
}

/// Beds by their ids.
pub(crate) fn bed_list(field: Field<'_, '_, '_>, reader: &mut Reader) -> Option<Vec<BedId>> {
    let items = reader.list(field)?;
    let at = field.at();
    if items.is_empty() || items.len() > MAX_BEDS {
        reader.violation(&at, "bed_count", format!("send 1 to {MAX_BEDS} beds"));
    }
    let mut beds = Vec::new();
    for (index, item) in items.iter().take(MAX_BEDS).enumerate() {
        let text = reader.item_text(item, &Pointer::Index(&at, index)).unwrap_or_default();
        if text.len() > MAX_BED_ID_BYTES {
            reader.violation(&Pointer::Index(&at, index), "invalid_id", "must be the id of a bed");
        }
        beds.push(text.into());
    }
    Some(beds)
}

#[cfg(test)]
mod tests {
    use super::{ASSIGN_MEMBERS, CANCEL_MEMBERS, CHECK_OUT_MEMBERS, CancelForm, beds, cancellation, departure, read};
    use crate::http::problem::Problem;
    use axum::body::Body;
    use axum::http::{HeaderMap, HeaderValue, header};

    fn json() -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))])
    }

    fn violations(problem: &Problem) -> Vec<(&str, &str)> {
        problem.errors().iter().map(|error| (error.pointer.as_str(), error.code)).collect()
    }

    #[tokio::test]
    async fn waived_fee_requires_reason() {
        let (none, _) = read(&HeaderMap::new(), Body::empty(), CANCEL_MEMBERS, cancellation).await.unwrap();
        assert_eq!(none, CancelForm::default());
        let (some, _) =
            read(&json(), Body::from(r#"{"reason":"plans changed","dry_run":true}"#), CANCEL_MEMBERS, cancellation)
                .await
                .unwrap();
        assert_eq!(some, CancelForm { reason: Some("plans changed".to_owned()), dry_run: true, waive_fee: false });
        let table = [
            (r#"{"reason":""}"#, ("/reason", "invalid_reason")),
            (r#"{"reason":1}"#, ("/reason", "wrong_type")),
            (r#"{"waive_fee":true}"#, ("/reason", "required")),
            (r#"{"status":"cancelled"}"#, ("/status", "unknown_field")),
            (r#"{"rev":1}"#, ("/rev", "unknown_field")),
        ];
        for (body, violation) in table {
            assert_eq!(
                violations(&read(&json(), Body::from(body), CANCEL_MEMBERS, cancellation).await.unwrap_err()),
                [violation],
                "{body}"
            );
        }
        let card =
            read(&json(), Body::from(r#"{"reason":"refund 4242 4242 4242 4242"}"#), CANCEL_MEMBERS, cancellation)
                .await
                .unwrap_err();
        assert_eq!(card.code(), "card_number_refused");
    }

    #[tokio::test]
    async fn check_out_with_open_balance_requires_reason() {
        let refused =
            read(&json(), Body::from(r#"{"allow_open_balance":true,"price":0}"#), CHECK_OUT_MEMBERS, departure)
                .await
                .unwrap_err();
        assert_eq!(violations(&refused), [("/price", "unknown_field"), ("/reason", "required")]);
    }

    #[tokio::test]
    async fn beds_are_assigned_per_stay() {
        let body = r#"{"assignments":[{"stay":1,"beds":["a","b"]},{"stay":0,"locked":true}]}"#;
        let ((chosen, _), _) = read(&json(), Body::from(body), ASSIGN_MEMBERS, beds).await.unwrap();
        assert_eq!(
            (chosen.len(), chosen[0].stay, chosen[0].beds.as_ref().map(Vec::len), chosen[1].locked),
            (2, 1, Some(2), Some(true))
        );
        let body = r#"{"assignments":[{"stay":-1,"beds":[7]},{"beds":[]},{"stay":0}]}"#;
        let refused = read(&json(), Body::from(body), ASSIGN_MEMBERS, beds).await.unwrap_err();
        let expected = [
            ("/assignments/0/stay", "out_of_range"),
            ("/assignments/0/beds/0", "wrong_type"),
            ("/assignments/1/stay", "required"),
            ("/assignments/1/beds", "bed_count"),
            ("/assignments/2", "nothing_to_do"),
        ];
        assert_eq!(violations(&refused), expected);
    }
}
