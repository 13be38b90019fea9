//! The requests of forms: the same ones for a form that is sent twice, whatever the booking has become.

use super::sending::{Ended, Outcome, Request, Route, Step, filled_in, sent_before};
use super::{Action, Surroundings};
use crate::forms::FormFields;
use pvt_domain::booking::Booking;
use pvt_domain::demo;
use serde_json::{Value, json};

fn stay(id: u32, beds: &[&str], progress: &str) -> Value {
    json!({ "id": id, "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": "2027-01-12",
        "guests": beds.len(), "assigned_beds": beds, "progress": progress })
}

fn entry(rev: u32, changes: &Value) -> Value {
    json!({ "rev": rev, "at": "2026-12-01T12:00:00.010Z", "action": "check_in", "from": "confirmed",
        "to": "checked_in", "command_id": uuid::Uuid::from_u128(1), "event_id": uuid::Uuid::from_u128(2),
        "actor": "guest", "changes": changes })
}

/// A stay of four, of which two have come since the form was made for revision 1.
fn divided() -> Surroundings {
    let before = stay(0, &["a-1", "a-2", "a-3", "a-4"], "expected");
    let (left, came) = (stay(0, &["a-3", "a-4"], "expected"), stay(1, &["a-1", "a-2"], "checked_in"));
    let changes = json!({ "stays": [{ "index": 0, "before": before, "after": left }, { "index": 1, "after": came }] });
    let id = uuid::Uuid::from_u128(7);
    let booking: Booking = serde_json::from_value(json!({
        "_id": id, "reference": "PVT-1", "status": "checked_in", "rev": 2, "property_id": "here",
        "rate_plan_id": "standard", "source": "direct", "stays": [left, came],
        "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com" },
        "fingerprint": "f", "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:00.010Z",
        "history": [entry(2, &changes)],
    }))
    .unwrap();
    let today = "2027-01-10".parse().unwrap();
    Surroundings { booking, inventory: demo::inventory(), today }
}

fn steps(around: &Surroundings, rev: u32, fields: &FormFields) -> Vec<Step> {
    Action::CheckIn.steps(around, &around.at_rev(Some(rev)), fields).unwrap()
}

#[test]
fn form_that_is_sent_twice_means_the_same_places() {
    let around = divided();
    let two = FormFields::of([("place", "0.0"), ("place", "0.1"), ("bed-0-0", "a-5")]);
    let sent = steps(&around, 1, &two);
    assert_eq!(
        (sent[0].route, &sent[0].body["assignments"][0]["beds"]),
        (Route::Beds, &json!(["a-5", "a-2", "a-3", "a-4"]))
    );
    assert_eq!(sent[1].body["stays"], json!([{ "id": 0, "places": [0, 1] }]), "as it was shown, not as it is");
    assert_eq!(steps(&around, 2, &two)[1].body["stays"], json!([{ "id": 0 }]), "the two that are left are all");
    let all = [("place", "0.0"), ("place", "0.1"), ("place", "0.2"), ("place", "0.3")];
    assert_eq!(steps(&around, 1, &FormFields::of(all))[0].body["stays"], json!([{ "id": 0 }]));
    assert!(Action::CheckIn.steps(&around, &around.booking, &FormFields::of([])).is_err(), "no stay is chosen");
}

#[test]
fn form_carries_its_requests_until_their_outcome_is_known() {
    let around = divided();
    let fields = FormFields::of([("key", "k"), ("rev", "1"), ("csrf", "c"), ("place", "0.0"), ("reason", " tired ")]);
    let sent = steps(&around, 1, &fields);
    let request = Request { steps: sent.clone(), key: "k".to_owned(), rev: Some(1), is_repetition: false };
    let form = super::frozen_form(Action::CheckIn, request, 2, &fields);
    let super::Content::Frozen { steps: texts, filled_in: kept } = form.content else { panic!("the form is open") };
    assert_eq!((form.key.as_str(), form.rev), ("k", 1));
    assert_eq!(kept, [("place", "0.0"), ("reason", " tired ")].map(|(n, v)| (n.to_owned(), v.to_owned())));
    let again = FormFields::of([("key", "k"), ("step", texts[0].as_str()), ("place", "0.0")]);
    assert_eq!(sent_before(&again).unwrap(), Some(sent));
    assert_eq!(filled_in(&again).len(), 1);
    assert_eq!(sent_before(&fields).unwrap(), None);
    let text = texts[0].as_str();
    assert!(sent_before(&FormFields::of([("step", "{}")])).is_err());
    assert!(sent_before(&FormFields::of([("step", text), ("step", text), ("step", text)])).is_err());
}

#[test]
fn key_ends_with_a_decision_alone() {
    use crate::api::{Answer, Unanswered};
    let refused = |status: u16, code: &str| {
        let problem = json!({ "title": "t", "status": status, "code": code, "detail": "d" });
        Ok(Answer::Refused(serde_json::from_value(problem).unwrap()))
    };
    let ended = |answer, is_repetition| {
        Outcome::of(super::sending::Sent { done: 0, answer, is_repetition }, Action::Payment).ended
    };
    for is_repetition in [false, true] {
        assert_eq!(ended(Ok(Answer::Done(json!({}))), is_repetition), Ended::Done);
        assert_eq!(ended(refused(409, "open_balance"), is_repetition), Ended::Refused);
        assert_eq!(ended(refused(412, "precondition_failed"), is_repetition), Ended::Refused);
        assert_eq!(ended(refused(422, "idempotency_key_reused"), is_repetition), Ended::KeyReused);
        for (status, code) in [(401, "unauthorized"), (403, "forbidden"), (429, "too_many"), (503, "unavailable")] {
            assert_eq!(ended(refused(status, code), is_repetition), Ended::Unknown, "{code}");
        }
        assert_eq!(ended(Ok(Answer::Accepted), is_repetition), Ended::Unknown);
        assert_eq!(ended(Err(Unanswered::Silent), is_repetition), Ended::Unknown);
    }
    assert_eq!(ended(refused(422, "validation_failed"), false), Ended::NotSent, "its key is kept");
    assert_eq!(ended(refused(422, "validation_failed"), true), Ended::Unknown);
    assert_eq!(Outcome::invalid("no amount").ended, Ended::NotSent);
}

#[test]
fn bed_that_was_changed_before_a_refusal_is_said() {
    let problem = json!({ "title": "t", "status": 409, "code": "open_balance", "detail": "Nothing was changed." });
    let answer = || Ok(crate::api::Answer::Refused(serde_json::from_value(problem.clone()).unwrap()));
    let lines = |done| {
        Outcome::of(super::sending::Sent { done, answer: answer(), is_repetition: false }, Action::CheckIn).notice.lines
    };
    assert!(lines(1)[0].contains("The bed was changed") && lines(0).is_empty());
}
