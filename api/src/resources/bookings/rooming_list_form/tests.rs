//! A list as JSON and as CSV is the same list.

use super::SentList;
use crate::http::problem::Problem;
use axum::body::Body;
use axum::extract::{FromRequest as _, Request};
use pvt_domain::booking::Booking;
use pvt_domain::inventory::Inventory;
use pvt_domain::rooming_list::check_rooming_list;
use pvt_testkit::{DORM, dormitory};
use serde_json::json;

fn booking() -> Booking {
    serde_json::from_value(json!({
        "_id": "11111111-2222-5333-8444-555555555555", "reference": "PVT-0000000000", "status": "checked_in", "rev": 1,
        "property_id": "p", "rate_plan_id": "standard", "source": "direct",
        "stays": [
            { "room_type_id": DORM, "arrival": "2027-01-10", "departure": "2027-01-12", "guests": 2,
                "assigned_beds": ["r-1", "r-2"], "progress": "checked_in" },
            { "room_type_id": DORM, "arrival": "2027-01-10", "departure": "2027-01-12", "guests": 2,
                "assigned_beds": ["r-3", "r-4"], "progress": "expected" },
        ],
        "rooming_list": [{ "stay_id": 0, "position": 0, "first_name": "Ada" }],
        "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com" },
        "payment_status": "pay_on_arrival", "fingerprint": "f", "client": "k1",
        "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:01.000Z", "history": [],
    }))
    .unwrap()
}

fn inventory() -> Inventory {
    let mut inventory = dormitory("p", 4);
    inventory.room_types[0].minimum_age = Some(18);
    inventory
}

async fn sent(kind: &str, body: &str) -> Result<SentList, Problem> {
    let request = Request::builder().header("content-type", kind).body(Body::from(body.to_owned())).unwrap();
    SentList::from_request(request, &()).await
}

/// Every violation of this CSV: pointer, code and message.
async fn violations(body: &str, by_staff: bool) -> Vec<(String, &'static str, String)> {
    let today = "2027-01-10".parse().unwrap();
    let problem = match sent("text/csv; charset=utf-8", body).await {
        Err(problem) => problem,
        Ok(list) => {
            let (guests, located) = list.guests(&booking(), today);
            located.problem(check_rooming_list(&booking(), &inventory(), &guests, today, by_staff))
        }
    };
    let errors = problem.errors().iter();
    errors.map(|error| (error.pointer.clone(), error.code, error.message.to_string())).collect()
}

#[tokio::test]
async fn csv_and_json_are_the_same_list() {
    let csv = "\u{feff}Stay ID;x".replace(";x", ",position,First name,last-name,birth_date,nationality,bed\r\n")
        + "0,0,Ada,,,,r-1\r\n1,1,\"Jean, \",\" O\u{2019}Neil\",1990-05-06,fr,r-4\r\n1,0,,,,,r-3\r\n";
    let json = json!({ "guests": [
        { "stay_id": 0, "position": 0, "first_name": "Ada" },
        { "stay_id": 1, "position": 1, "first_name": "Jean,", "last_name": "O\u{2019}Neil", "birth_date": "1990-05-06",
            "nationality": "FR" },
        { "stay_id": 1, "position": 0 },
    ] });
    let (one, other) =
        (sent("text/csv", &csv).await.unwrap(), sent("application/json", &json.to_string()).await.unwrap());
    assert_eq!(one.fingerprint, other.fingerprint);
    let today = "2027-01-10".parse().unwrap();
    let ((one, _), (other, _)) = (one.guests(&booking(), today), other.guests(&booking(), today));
    assert_eq!((one.len(), &one), (2, &other));
    assert_eq!((one[1].1.first_name.as_str(), one[1].1.nationality.as_deref()), ("Jean,", Some("FR")));
}

#[tokio::test]
async fn list_of_a_spreadsheet_with_semicolons_is_the_same() {
    let (one, other) = (
        sent("text/csv", "\u{feff}first_name;last_name\nBo;x\n").await,
        sent("text/csv", "first_name,last_name\nBo,x\n").await,
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.fingerprint, other.fingerprint);
    assert!(!format!("{one:?}").contains("Bo"), "no name is in a log");
}

#[tokio::test]
async fn names_without_places_fill_what_is_expected_and_unnamed() {
    let list = sent("text/csv", "stay_id,position,first_name\n,,Bo\n0,0,Ada\n,,Cy\n").await.unwrap();
    let (guests, _) = list.guests(&booking(), "2027-01-10".parse().unwrap());
    let places: Vec<_> = guests.iter().map(|(index, guest)| (*index, guest.place())).collect();
    assert_eq!(places, [(0, (1, 0)), (1, (0, 0)), (2, (1, 1))]);
    let found = violations("first_name\nAl\nBo\nCy\n", true).await;
    let (pointer, code, message) = &found[0];
    assert_eq!((found.len(), pointer.as_str(), *code), (1, "/guests/2", "unknown_place"), "two are expected");
    assert!(message.starts_with("line 4: "), "{message}");
}

#[tokio::test]
async fn violations_name_line_and_column() {
    let table = [
        ("first_name,shoe\n", "", "unknown_column", "line 1, column 2: "),
        ("first_name,First Name\n", "", "named_twice", "line 1, column 2: "),
        ("first_name\nAl,Bo\n", "", "invalid_csv", "line 2, column 2: "),
        ("first_name\n\"Al\n", "", "invalid_csv", "line 2, column 1: "),
        ("", "", "invalid_csv", "line 1, column 1: "),
        (
            "first_name,nationality\n\"A\nl\",CA\nBo,XX\n",
            "/guests/1/nationality",
            "unknown_country",
            "line 4, column 2: ",
        ),
        ("first_name,birth_date\nBo,1.2.2000\n", "/guests/0/birth_date", "invalid_date", "line 2, column 2: "),
        ("first_name,birth_date\nBo,1899-12-31\n", "/guests/0/birth_date", "invalid_birth_date", "line 2, column 2: "),
        ("first_name,birth_date\nBo,2009-01-11\n", "/guests/0/birth_date", "too_young", "line 2, column 2: "),
        ("birth_date\n1990-01-01\n", "/guests/0/first_name", "required", "line 2: "),
        ("stay_id,position,first_name\n1,7,Al\n", "/guests/0/position", "unknown_place", "line 2, column 2: "),
        ("stay_id,position,first_name\n1,x,Al\n", "/guests/0/position", "wrong_type", "line 2, column 2: "),
        ("stay_id,first_name\n1,Al\n", "/guests/0/position", "required", "line 2: "),
    ];
    for (body, pointer, code, message) in table {
        let found = violations(body, true).await;
        let first = found.first().map(|(pointer, code, text)| (pointer.as_str(), *code, text.starts_with(message)));
        assert_eq!(first, Some((pointer, code, true)), "{body:?}: {found:?}");
    }
    let future = violations("first_name,birth_date\nBo,2027-01-11\n", true).await;
    assert!(future.iter().any(|(_, code, _)| *code == "invalid_birth_date"), "{future:?}");
    let card = sent("text/csv", "first_name\nBo\n4242 4242 4242 4242\n").await.unwrap_err();
    assert_eq!(card.code(), "card_number_refused");
}

#[tokio::test]
async fn arrived_guests_are_left_to_staff() {
    let codes = async |body: &str, by_staff| -> Vec<&'static str> {
        violations(body, by_staff).await.into_iter().map(|(_, code, _)| code).collect()
    };
    let renamed = "stay_id,position,first_name\n0,0,Eve\n";
    assert_eq!(codes(renamed, false).await, ["staff_only"]);
    assert_eq!(codes("first_name\nBo\n", false).await, ["staff_only"], "leaving out is a change, too");
    assert!(codes(renamed, true).await.is_empty());
    assert!(codes("stay_id,position,first_name\n0,0,Ada\n1,0,Bo\n", false).await.is_empty());
}
