//! Rows of the front desk's lists, of bookings as they are read for it.

use super::{DeskBooking, GuestList, lists};
use chrono::NaiveDate;
use pvt_domain::demo;
use serde_json::{Value, json};

fn today() -> NaiveDate {
    "2027-01-10".parse().unwrap()
}

fn stay(bed: &str, departure: &str, progress: Option<&str>) -> Value {
    json!({ "room_type_id": "dorm-6-mixed", "arrival": "2027-01-10", "departure": departure, "guests": 1,
        "assigned_beds": [bed], "progress": progress })
}

fn booking(status: &str, stays: &[Value], history: &[Value]) -> DeskBooking {
    serde_json::from_value(json!({
        "_id": uuid::Uuid::from_u128(7), "reference": "PVT-1", "status": status, "rev": 3, "property_id": "here",
        "rate_plan_id": "standard", "source": "direct", "stays": stays,
        "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "" },
        "price": { "currency": "CAD", "nights": [[4_200]], "taxes": [], "total": 4_200 }, "fingerprint": "f",
        "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:00.010Z", "history": history,
    }))
    .unwrap()
}

fn titles_and_offers(found: &[DeskBooking]) -> Vec<(&'static str, String, Vec<&'static str>)> {
    let row = |list: &GuestList| -> Vec<_> {
        let offers = |row: &super::GuestRow| row.offers.iter().map(|offer| offer.path).collect();
        list.rows.iter().map(|row| (list.title, row.beds.clone(), offers(row))).collect()
    };
    lists(&demo::inventory(), today(), found).iter().flat_map(row).collect()
}

/// Reinstatement undoes the latest check-in of a booking: offered for another guest, it would undo that of a third.
#[test]
fn check_in_is_undone_only_where_it_is_the_latest() {
    let at = |progress: [Option<&str>; 2]| {
        ["d6a-1", "d6a-2"]
            .map(|bed| (bed, "2027-01-12"))
            .map(|(bed, departure)| stay(bed, departure, progress[usize::from(bed == "d6a-2")]))
    };
    let (before, after) = (at([Some("checked_in"), Some("expected")]), at([None, None]));
    let changes = [0, 1].map(|index| json!({ "index": index, "before": before[index], "after": after[index] }));
    let latest = json!({ "rev": 3, "at": "2027-01-10T15:00:00.000Z", "action": "check_in", "from": "checked_in",
        "to": "checked_in", "command_id": uuid::Uuid::from_u128(1), "event_id": uuid::Uuid::from_u128(2),
        "actor": "staff:1", "changes": { "stays": changes } });
    let rows = titles_and_offers(&[booking("checked_in", &after, &[latest])]);
    let expected = |title| {
        [
            (title, "d6a-1".to_owned(), vec!["check-out", "payment"]),
            (title, "d6a-2".to_owned(), vec!["check-out", "reinstate", "payment"]),
        ]
    };
    assert_eq!(rows, [expected("Arrivals"), expected("Staying tonight")].concat());
}

#[test]
fn guests_who_did_not_come_do_not_depart() {
    let mut absent = stay("d6a-1", "2027-01-11", None);
    let lists_of = |stay: &Value, status| -> Vec<&'static str> {
        let rows = titles_and_offers(&[booking(status, std::slice::from_ref(stay), &[])]);
        rows.into_iter().map(|(title, ..)| title).collect()
    };
    assert_eq!(lists_of(&absent, "no_show"), ["Arrivals"]);
    (absent["arrival"], absent["departure"]) = ("2027-01-09".into(), "2027-01-10".into());
    assert_eq!(lists_of(&absent, "no_show"), [""; 0]);
    assert_eq!(lists_of(&absent, "checked_out"), ["Departures"]);
    assert_eq!(lists_of(&absent, "confirmed"), ["Overdue", "Departures"]);
}

/// The guests of the first stay have come: their row goes below that of the others, and the balance stays on top.
#[test]
fn balance_stands_on_the_first_row_of_a_booking() {
    let stays = [stay("d6a-1", "2027-01-12", Some("checked_in")), stay("d6a-2", "2027-01-12", Some("expected"))];
    let found = [booking("checked_in", &stays, &[])];
    let [_, arrivals, _, tonight] = lists(&demo::inventory(), today(), &found);
    let rows = |list: GuestList| -> Vec<(String, String)> {
        list.rows.into_iter().map(|row| (row.beds, row.balance)).collect()
    };
    assert_eq!(arrivals.count, "1 to arrive, 1 arrived");
    let [first, second] = ["d6a-2", "d6a-1"].map(str::to_owned);
    let due = "42.00 CAD due".to_owned();
    assert_eq!(rows(arrivals), [(first, due.clone()), (second.clone(), "same booking".to_owned())]);
    assert_eq!(rows(tonight), [(second, due)]);
}
