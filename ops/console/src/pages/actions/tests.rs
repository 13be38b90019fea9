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
pub(super) fn divided() -> Surroundings {
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
    let form = super::frozen_form(Action::CheckIn, request, &around, &fields);
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
        assert_eq!(ended(refused(409, "balance_open"), is_repetition), Ended::Refused);
        assert_eq!(ended(refused(412, "precondition_failed"), is_repetition), Ended::Refused);
        assert_eq!(ended(refused(422, "idempotency_key_reused"), is_repetition), Ended::KeyReused);
        for (status, code) in
            [(401, "unauthenticated"), (403, "forbidden"), (429, "rate_limited"), (503, "broker_unavailable")]
        {
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
    let problem = json!({ "title": "t", "status": 409, "code": "balance_open", "detail": "Nothing was changed." });
    let answer = || Ok(crate::api::Answer::Refused(serde_json::from_value(problem.clone()).unwrap()));
    let lines = |done| {
        Outcome::of(super::sending::Sent { done, answer: answer(), is_repetition: false }, Action::CheckIn).notice.lines
    };
    assert!(lines(1)[0].contains("The bed was changed") && lines(0).is_empty());
}

/// A booking of two stays, of which the guests of one have come.
fn undivided() -> Surroundings {
    let mut around = divided();
    let stays = json!([stay(0, &["d6a-1", "d6a-2"], "expected"), stay(1, &["d6a-3"], "checked_in")]);
    around.booking.stays = serde_json::from_value(stays).unwrap();
    around
}

#[test]
fn actions_are_the_requests_that_they_name() {
    let around = undivided();
    let body = |action: Action, fields: &[(&str, &str)]| {
        let owned = FormFields::of(fields.iter().copied());
        let mut steps = action.steps(&around, &around.booking, &owned).unwrap();
        assert_eq!(steps.len(), 1, "{steps:?}");
        steps.remove(0).body
    };
    let stay = ("stay", "1");
    assert_eq!(body(Action::CheckOut, &[stay]), json!({ "stays": [{ "id": 1 }] }));
    let left = [stay, ("reprice", "yes"), ("allow_open_balance", "yes"), ("waive_fee", "yes"), ("reason", " bill ")];
    let expected = json!({ "stays": [{ "id": 1 }], "reprice": true, "allow_open_balance": true, "reason": "bill" });
    assert_eq!(body(Action::CheckOut, &left), expected, "no switch of another form");
    assert_eq!(body(Action::NoShow, &[("stay", "0"), ("bed-0-0", "d6a-4")]), json!({ "stays": [{ "id": 0 }] }));
    assert_eq!(body(Action::Cancel, &[("waive_fee", "yes"), ("reprice", "yes")]), json!({ "waive_fee": true }));
    assert_eq!(body(Action::Cancel, &[("waive_fee", "no")]), json!({}));
    assert_eq!(body(Action::Confirm, &[("reason", "cash")]), json!({ "reason": "cash" }));
    assert_eq!(body(Action::Reinstate, &[("reason", "a slip")]), json!({ "reason": "a slip" }));
    let paid = body(Action::Payment, &[("method", "cash"), ("amount", "-5,50"), ("note", "")]);
    let amount = json!({ "amount": -550, "currency": "CAD" });
    assert_eq!(paid, json!({ "booking_id": around.booking.id, "method": "cash", "amount": amount }));
    assert!(Action::Payment.steps(&around, &around.booking, &FormFields::of([("amount", "five")])).is_err());
}

#[test]
fn stays_and_places_are_chosen_once() {
    let around = undivided();
    let chosen = |fields: &[(&str, &str)]| {
        let owned = FormFields::of(fields.iter().copied());
        let steps = Action::CheckIn.steps(&around, &around.booking, &owned);
        steps.map(|mut steps| steps.remove(0).body["stays"].take())
    };
    let place = |value| ("place", value);
    assert_eq!(chosen(&[place("0.1")]).unwrap(), json!([{ "id": 0, "places": [1] }]));
    assert_eq!(chosen(&[place("0.1"), place("0.0")]).unwrap(), json!([{ "id": 0 }]), "all of its places");
    assert_eq!(chosen(&[place("0.1"), ("stay", "0")]).unwrap(), json!([{ "id": 0 }]), "the stay holds its places");
    assert_eq!(chosen(&[("stay", "1"), place("0.0")]).unwrap(), json!([{ "id": 0, "places": [0] }, { "id": 1 }]));
    assert!(chosen(&[place("0"), place("x.1"), ("stay", "all")]).is_err(), "nothing is named");
}

#[test]
fn repeated_key_ends_with_a_decision_about_it() {
    use crate::api::Answer;
    let ended = |status: u16, code: &str| {
        let refusal = serde_json::from_value(json!({ "title": "t", "status": status, "code": code })).unwrap();
        let answer = Ok(Answer::Refused(Box::new(refusal)));
        Outcome::of(super::sending::Sent { done: 0, answer, is_repetition: true }, Action::Payment).ended
    };
    // Refused before the key is looked at: the property was taken from the account, the body did not arrive.
    for (status, code) in [(404, "not_found"), (408, "request_timeout"), (413, "payload_too_large"), (422, "other")] {
        assert_eq!(ended(status, code), Ended::Unknown, "{code}");
    }
    for (status, code) in [(409, "balance_open"), (409, "bed_taken"), (412, "precondition_failed")] {
        assert_eq!(ended(status, code), Ended::Refused, "{code}");
    }
}

#[test]
fn move_to_another_room_type_names_every_stay() {
    let around = undivided();
    let step = |to: &str, price: &str, stay: &str| {
        let fields = FormFields::of([("stay", stay), ("to", to), ("price", price), ("reason", "roof")]);
        Action::Room.steps(&around, &around.booking, &fields).map(|mut steps| steps.remove(0))
    };
    let moved = step("pda-2", "keep", "0").unwrap();
    let room = json!({ "id": 0, "room_type_id": "private-double", "beds": ["pda-1", "pda-2"] });
    let expected = json!({ "stays": [room, { "id": 1 }], "reprice": false, "reason": "roof" });
    assert_eq!((moved.route, moved.body), (Route::Stays, expected), "the other stay goes on; the room is one");
    assert_eq!(step("d8a-1,d8a-2", "new", "0").unwrap().body["reprice"], true);
    let against =
        [("stay", "0"), ("to", "pda-1"), ("price", "keep"), ("reason", "roof"), ("override_restrictions", "yes")];
    let steps = Action::Room.steps(&around, &around.booking, &FormFields::of(against)).unwrap();
    assert_eq!(steps[0].body["override_restrictions"], true, "the price does not matter to restrictions");
    for (to, price, stay, why) in [
        ("d8a-1", "new", "0", "2 guests"),
        ("d6b-1,d6b-2", "new", "0", "same room type"),
        ("pda-1", "", "0", "price"),
        ("", "new", "0", "beds"),
        ("gone", "new", "0", "beds"),
        ("pda-1", "new", "", "stay"),
        ("pda-1", "new", "7", "stay"),
    ] {
        let advice = step(to, price, stay).unwrap_err();
        assert!(advice.contains(why), "{to} {price} {stay}: {advice}");
    }
}

#[test]
fn labels_say_what_will_happen() {
    let around = divided();
    let labels = |today: &str| -> Vec<String> {
        let day = (&around.inventory.property, today.parse().unwrap());
        Action::offers(&around.booking, day, None).into_iter().map(|offer| offer.label).collect()
    };
    // At noon of Greenwich it is seven in Montréal.
    let (later, same_day) = (labels("2027-01-10"), labels("2026-12-01"));
    assert!(later.contains(&"Undo the check-in of 2026-12-01 07:00".to_owned()), "{later:?}");
    assert!(same_day.contains(&"Undo the check-in of 07:00".to_owned()), "{same_day:?}");
}

/// The check-in of others is not undone for guests who come after all.
#[test]
fn guests_are_brought_back_by_an_action_of_its_own() {
    let mut around = divided();
    let offered = |around: &Surroundings| {
        let offers = Action::offers(&around.booking, around.day(), None);
        offers
            .iter()
            .map(|offer| offer.path)
            .filter(|path| ["reinstate", "bring-back"].contains(path))
            .collect::<Vec<_>>()
    };
    assert_eq!(offered(&around), ["reinstate"]);
    let absence = stay(4, &["d6a-6"], "expected");
    around.booking.no_shows = serde_json::from_value(json!([absence])).unwrap();
    assert_eq!(offered(&around), ["reinstate", "bring-back"]);
    let steps = |action: Action, fields: &[(&str, &str)]| {
        let fields = FormFields::of(fields.iter().copied());
        action.steps(&around, &around.booking, &fields).map(|steps| steps[0].body.clone())
    };
    let chosen = [("stay", "4"), ("reason", "late bus")];
    assert_eq!(steps(Action::BringBack, &chosen).unwrap(), json!({ "stays": [{ "id": 4 }], "reason": "late bus" }));
    assert_eq!(steps(Action::Reinstate, &chosen).unwrap(), json!({ "reason": "late bus" }), "it names no stays");
    assert!(steps(Action::BringBack, &chosen[1..]).is_err(), "no stay is chosen");
}

#[test]
fn what_needs_a_reason_is_not_sent_without_one() {
    let around = undivided();
    let step = |action: Action, reason| {
        let fields = [("stay", "0"), ("to", "pda-1"), ("price", "keep"), ("reason", reason)];
        action.steps(&around, &around.booking, &FormFields::of(fields))
    };
    for action in [Action::Room, Action::Reinstate, Action::BringBack] {
        assert!(step(action, "").unwrap_err().contains("Reason"), "{action:?}");
        assert!(step(action, "roof").is_ok(), "{action:?}");
    }
}
