//! Forms of commands about a stored booking, all but modifications. A missing body is an empty one.

use crate::form::form;
use crate::form::presence::{defaulted, optional, required, required_if};
use crate::form::reader::{Pointer, Reader};
use crate::form::types::{FieldType, boolean, count, date, free_text, list, object, parsed, refusal};
use chrono::NaiveDate;
use pvt_domain::ids::BedId;
use pvt_domain::intake::{MAX_GROUP_GUESTS, MAX_GROUP_STAYS};
use pvt_domain::messages::{Assignment, StaySelection};
use serde_json::json;

/// Longest id of a bed, in bytes.
const MAX_BED_ID_BYTES: usize = 64;
/// Most beds of one stay. A private room may have more of them than guests.
const MAX_BEDS: usize = MAX_GROUP_GUESTS as usize;

/// The code of a reason that is blank or too long.
const INVALID_REASON: &str = "invalid_reason";

form! {
    /// A command that may be given a reason.
    #[derive(Debug)]
    pub(crate) struct ReasonForm {
        reason: Option<String> = optional(free_text(INVALID_REASON)),
    }
    body optional;
    example json!({ "reason": "arrived early" });
}

form! {
    /// What is undone, and why.
    #[derive(Debug)]
    pub(crate) struct ReinstateForm {
        reason: String = required(free_text(INVALID_REASON)),
        /// Stays of `no_shows` whose guests came after all; without it, the latest check-in is undone, or else the
        /// latest no-show.
        stays: Vec<u32> = defaulted(absent_stays()),
    }
    body assumed;
    example json!({ "reason": "checked in the wrong guests" });
}

form! {
    /// A cancellation. A fee is waived for a reason.
    #[derive(Debug, Default, PartialEq, Eq)]
    pub(crate) struct CancelForm {
        /// For staff; needs a reason.
        waive_fee: bool = defaulted(boolean()),
        reason: Option<String> = required_if(waive_fee == Some(true), free_text(INVALID_REASON)),
        /// Only say what it would cost.
        dry_run: bool = defaulted(boolean()),
    }
    body optional;
    example json!({ "reason": "plans changed" });
}

form! {
    /// A check-out. An open balance is accepted for a reason.
    #[derive(Debug, PartialEq, Eq)]
    pub(crate) struct CheckOutForm {
        allow_open_balance: bool = defaulted(boolean()),
        reason: Option<String> = required_if(allow_open_balance == Some(true), free_text(INVALID_REASON)),
        reprice: bool = defaulted(boolean()),
        /// Only these stays; without it, all that are in house.
        stays: Vec<StaySelection> = defaulted(selections()),
    }
    body optional;
    example json!({ "reprice": true });
}

form! {
    /// A command about guests who arrive, or do not: all of this day, or those that are named.
    #[derive(Debug, Default)]
    pub(crate) struct ArrivalForm {
        reason: Option<String> = optional(free_text(INVALID_REASON)),
        /// Only these stays; without it, all that are due.
        stays: Vec<StaySelection> = defaulted(selections()),
    }
    body optional;
    example json!({ "stays": [{ "id": 0, "guests": 10 }] });
}

form! {
    /// A stay of `no_shows`.
    struct AbsentStayForm {
        /// The id of the stay.
        id: u32 = required(stay_id()),
    }
}

fn absent_stays() -> impl FieldType<Value = Vec<u32>> {
    list(object::<AbsentStayForm>().map(|form| form.id), MAX_GROUP_STAYS)
        .counted("stay_count", || format!("send 1 to {MAX_GROUP_STAYS} stays"))
}

form! {
    /// A stay, or some of its guests.
    struct SelectionForm {
        /// The id of the stay.
        id: Option<u32> = optional(stay_id()),
        /// The index of the stay, instead of its id.
        stay: Option<usize> = optional(index()),
        /// Some of its guests only: they become a stay of their own. In rooms that are let by the bed.
        guests: Option<u32> = optional(count(1, None)),
        /// Their beds; the first ones of the stay by default.
        beds: Option<Vec<BedId>> = optional(beds()),
        /// Their positions in the stay, as the rooming list has them, instead of their beds.
        places: Option<Vec<u32>> = optional(places()),
    }
    check(at, reader) {
        check_name((id, stay), at, reader);
        if matches!((&beds, &places), (Some(Some(_)), Some(Some(_)))) {
            reader.violation(&Pointer::Key(at, "places"), "named_twice", "send the beds or the places");
        }
    }
}

impl From<SelectionForm> for StaySelection {
    fn from(SelectionForm { id, stay, guests, beds, places }: SelectionForm) -> Self {
        Self { stay, id, guests, beds, places }
    }
}

/// A stay is named by its id or its index; one that could not be read has been reported.
fn check_name((id, index): (Option<Option<u32>>, Option<Option<usize>>), at: &Pointer<'_>, reader: &mut Reader) {
    match (id, index) {
        (Some(None), Some(None)) if !reader.is_reported(&Pointer::Key(at, "stay")) => {
            let place = Pointer::Key(at, "id");
            if !reader.is_reported(&place) {
                reader.violation(&place, "required", "name the stay by its id");
            }
        }
        (Some(Some(_)), Some(Some(_))) => {
            reader.violation(&Pointer::Key(at, "stay"), "named_twice", "send the id or the index of the stay");
        }
        _ => {}
    }
}

/// Positions in a stay.
fn places() -> impl FieldType<Value = Vec<u32>> {
    list(position_in_stay(), MAX_BEDS).counted("place_count", || format!("send 1 to {MAX_BEDS} places"))
}

fn selections() -> impl FieldType<Value = Vec<StaySelection>> {
    list(object::<SelectionForm>().map(StaySelection::from), MAX_GROUP_STAYS)
        .counted("stay_count", || format!("send 1 to {MAX_GROUP_STAYS} stays"))
}

form! {
    /// The beds of stays, as staff assign them.
    #[derive(Debug)]
    pub(crate) struct AssignForm {
        reason: Option<String> = optional(free_text(INVALID_REASON)),
        assignments: Vec<Assignment> = required(assignments()),
    }
    body assumed;
    example json!({ "assignments": [{ "id": 0, "beds": ["d6a-1"], "locked": true }] });
}

form! {
    /// The beds of one stay, and whether they are pinned.
    struct AssignmentForm {
        /// The id of the stay.
        id: Option<u32> = optional(stay_id()),
        /// The index of the stay, instead of its id.
        stay: Option<usize> = optional(index()),
        beds: Option<Vec<BedId>> = optional(beds()),
        /// The first night in these beds, for checked-in guests; tonight by default.
        from: Option<NaiveDate> = optional(date()),
        /// Pinned: not moved for others.
        locked: Option<bool> = optional(boolean()),
    }
    check(at, reader) {
        check_name((id, stay), at, reader);
        if beds.as_ref().is_none_or(Option::is_none) && locked.is_none_or(|locked| locked.is_none()) {
            reader.violation(at, "nothing_to_do", "send beds, locked or both");
        }
        if beds.as_ref().is_none_or(Option::is_none) && from.is_some_and(|from| from.is_some()) {
            reader.violation(&Pointer::Key(at, "from"), "without_beds", "send the beds for these nights");
        }
    }
}

impl From<AssignmentForm> for Assignment {
    fn from(AssignmentForm { id, stay, beds, from, locked }: AssignmentForm) -> Self {
        Self { stay, id, beds, from, locked }
    }
}

fn assignments() -> impl FieldType<Value = Vec<Assignment>> {
    list(object::<AssignmentForm>().map(Assignment::from), MAX_GROUP_STAYS)
        .counted("assignment_count", || format!("send 1 to {MAX_GROUP_STAYS} assignments"))
}

/// The id of a stay.
pub(super) fn stay_id() -> impl FieldType<Value = u32> {
    count(0, None)
}

/// A position in a stay.
pub(super) fn position_in_stay() -> impl FieldType<Value = u32> {
    stay_id()
}

/// The index of a stay.
pub(super) fn index() -> impl FieldType<Value = usize> {
    count(0, None).map(|index| usize::try_from(index).unwrap_or(usize::MAX))
}

/// Beds by their ids.
pub(super) fn beds() -> impl FieldType<Value = Vec<BedId>> {
    let bed = parsed(|text| {
        if text.len() > MAX_BED_ID_BYTES {
            return refusal("invalid_id", "must be the id of a bed");
        }
        Ok(BedId::from(text))
    });
    list(bed.length(0, MAX_BED_ID_BYTES), MAX_BEDS).counted("bed_count", || format!("send 1 to {MAX_BEDS} beds"))
}

#[cfg(test)]
mod tests {
    use super::{AssignForm, CancelForm, CheckOutForm};
    use crate::form::read_form;
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
        let (none, _) = read_form::<CancelForm>(&HeaderMap::new(), Body::empty()).await.unwrap();
        assert_eq!(none, CancelForm::default());
        let (some, _) =
            read_form::<CancelForm>(&json(), Body::from(r#"{"reason":"plans changed","dry_run":true}"#)).await.unwrap();
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
                violations(&read_form::<CancelForm>(&json(), Body::from(body)).await.unwrap_err()),
                [violation],
                "{body}"
            );
        }
        let card = read_form::<CancelForm>(&json(), Body::from(r#"{"reason":"refund 4242 4242 4242 4242"}"#))
            .await
            .unwrap_err();
        assert_eq!(card.code(), "card_number_refused");
    }

    #[tokio::test]
    async fn check_out_with_open_balance_requires_reason() {
        let refused = read_form::<CheckOutForm>(&json(), Body::from(r#"{"allow_open_balance":true,"price":0}"#))
            .await
            .unwrap_err();
        assert_eq!(violations(&refused), [("/price", "unknown_field"), ("/reason", "required")]);
    }

    #[tokio::test]
    async fn beds_are_assigned_per_stay() {
        let body = r#"{"assignments":[{"stay":1,"beds":["a","b"]},{"stay":0,"locked":true}]}"#;
        let (AssignForm { assignments: chosen, .. }, _) = read_form(&json(), Body::from(body)).await.unwrap();
        assert_eq!(
            (chosen.len(), chosen[0].stay, chosen[0].beds.as_ref().map(Vec::len), chosen[1].locked),
            (2, Some(1), Some(2), Some(true))
        );
        let body = r#"{"assignments":[{"stay":-1,"beds":[7]},{"beds":[]},{"stay":0},
            {"stay":1,"locked":true,"from":"2027-01-11"}]}"#;
        let refused = read_form::<AssignForm>(&json(), Body::from(body)).await.unwrap_err();
        let expected = [
            ("/assignments/0/stay", "out_of_range"),
            ("/assignments/0/beds/0", "wrong_type"),
            ("/assignments/1/beds", "bed_count"),
            ("/assignments/1/id", "required"),
            ("/assignments/2", "nothing_to_do"),
            ("/assignments/3/from", "without_beds"),
        ];
        assert_eq!(violations(&refused), expected);
    }
}
