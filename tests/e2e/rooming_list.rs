//! A group with a rooming list, over HTTP, with two workers that are killed in turn: who sleeps where at each step.

use crate::checked_in::{WORKERS, while_killed};
use crate::harness::clock::at_night;
use crate::harness::{AcceptedBooking, ApiResponse, Expectations, FrontDesk, StackBuilder, booked};
use anyhow::{Context, Result, ensure};
use pvt_domain::demo;
use pvt_testkit::{DORM, booking_body, dormitory, eventually};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Guests of the group.
const GROUP: u32 = 40;

/// A name that stands nowhere else.
fn name(number: u32) -> String {
    format!("Zwingli{number:02}")
}

/// Bed and progress by name, as the list has them.
fn sleepers_of(list: &Value) -> BTreeMap<String, (String, String)> {
    let text = |place: &Value, member: &str| place[member].as_str().unwrap_or_default().to_owned();
    let places = list["guests"].as_array().map_or(&[][..], Vec::as_slice);
    let named = places.iter().filter(|place| place.get("last_name").is_some());
    named.map(|place| (text(place, "last_name"), (text(place, "bed"), text(place, "progress")))).collect()
}

fn with_progress<'a>(names: &'a BTreeMap<String, (String, String)>, progress: &str) -> Vec<&'a str> {
    names.iter().filter(|(_, (_, one))| one == progress).map(|(name, _)| name.as_str()).collect()
}

/// The position in its stay of this bed.
fn place_of(list: &Value, bed: &str) -> Result<(u64, u64)> {
    let place = list["guests"].as_array().into_iter().flatten().find(|place| place["bed"] == bed).context("a place")?;
    Ok((place["stay_id"].as_u64().context("a stay")?, place["position"].as_u64().context("a position")?))
}

/// Commands about a booking, each followed by its list.
struct Group {
    desk: FrontDesk,
    booking: AcceptedBooking,
}

impl Group {
    fn path(&self) -> String {
        format!("/api/bookings/{}/guests", self.booking.id)
    }

    async fn list(&self) -> Result<Value> {
        let answer = self.desk.send(Method::GET, &self.path(), None, &json!({})).await?;
        ensure!(answer.status == StatusCode::OK, "{answer:?}");
        ensure!(answer.header("etag") == format!("\"{}\"", answer.body["rev"]), "{answer:?}");
        Ok(answer.body)
    }

    async fn after(&self, command: &str, body: Value) -> Result<(Value, BTreeMap<String, (String, String)>)> {
        self.desk.succeed(&self.booking, command, &body).await?;
        let list = self.list().await?;
        let names = sleepers_of(&list);
        ensure!(names.len() == GROUP as usize, "every guest is on the list once: {list}");
        Ok((list, names))
    }
}

#[tokio::test]
async fn list_names_every_sleeper_at_each_step() -> Result<()> {
    // Between two and three at night, so that the day of arrival ends when the test says so.
    let (inventory, night) = at_night(dormitory(demo::PROPERTY_ID, 42))?;
    let mut stack = StackBuilder::new().selling([inventory]).workers(WORKERS).start().await?;
    let desk = FrontDesk::of(&stack).await?;
    let answer = desk.request_booking("group", &booking_body(DORM, night, 3, GROUP)).await?;
    ensure!(answer.status == StatusCode::CREATED, "{answer:?}");
    let group = Group { desk: desk.clone(), booking: booked(&answer)? };
    stack.record_accepted(group.booking.id);

    // Half of the names as JSON, before a commit that does not come; then all as CSV, after one that is not published.
    let named = (0..GROUP / 2).map(|number| json!({ "stay_id": 0, "position": number, "last_name": name(number) }));
    let json = json!({ "guests": named.collect::<Vec<_>>() }).to_string();
    let csv: String = (0..GROUP).map(|number| format!("0,{number},{},1990-01-02,ca\r\n", name(number))).collect();
    let csv = format!("\u{feff}stay_id,position,last_name,birth_date,nationality\r\n{csv}");
    let faults =
        [("before_commit", "application/json", json), ("after_commit_before_publish", "text/csv", csv.clone())];
    for (rev, (fault, kind, body)) in (1..).zip(faults) {
        let (front, path) = (desk.clone(), group.path());
        let put = async move { front.send_as(Method::PUT, &path, Some(rev), (kind, "*/*"), body).await };
        let answer: ApiResponse = while_killed(&mut stack, fault, put).await?;
        ensure!(answer.status == StatusCode::OK && answer.header("etag") == format!("\"{}\"", rev + 1), "{answer:?}");
        ensure!(!answer.body.to_string().contains("Zwingli"), "the booking does not show the list: {answer:?}");
    }
    let again = desk.send_as(Method::PUT, &group.path(), Some(3), ("text/csv", "*/*"), csv).await?;
    assert_eq!((again.status, again.header("etag")), (StatusCode::OK, "\"3\""), "nothing new is no revision");
    let stale = desk.send_as(Method::PUT, &group.path(), Some(2), ("text/csv", "*/*"), "last_name\r\n".into()).await?;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED, "{stale:?}");
    let before = group.list().await?;
    let beds = sleepers_of(&before);
    assert_eq!((beds.len(), with_progress(&beds, "expected").len()), (40, 40));
    let sheet = desk.send_as(Method::GET, &group.path(), None, ("text/csv", "text/csv"), String::new()).await?;
    ensure!(sheet.header("content-type").starts_with("text/csv"), "{sheet:?}");
    assert_eq!(sheet.body.as_str().unwrap_or_default().lines().count(), 41, "{sheet:?}");

    // All but the last two arrive.
    let places: Vec<u32> = (0..GROUP - 2).collect();
    let (list, names) = group.after("checkin", json!({ "stays": [{ "id": 0, "places": places }] })).await?;
    assert_eq!(with_progress(&names, "expected"), [name(38), name(39)]);
    assert!(names.iter().all(|(name, (bed, _))| beds[name].0 == *bed), "all lie in the beds they were given");
    let day = format!("/api/properties/{}/arrivals?date={night}", demo::PROPERTY_ID);
    let arrivals = desk.send(Method::GET, &day, None, &json!({})).await?;
    ensure!(arrivals.body["items"][0]["stays"][1]["names"][0]["name"] == name(0), "{arrivals:?}");

    // One moves to a free bed, and one leaves after the night.
    let mut assigned: Vec<Value> = (0..GROUP - 2).map(|number| json!(beds[&name(number)].0)).collect();
    let free = (1..=42).map(|bed| format!("r-{bed}")).find(|bed| !names.values().any(|(taken, _)| taken == bed));
    let free = free.context("a free bed")?;
    assigned[7] = json!(free);
    ensure!(place_of(&list, &beds[&name(7)].0)? == (1, 7), "{list}");
    let (list, names) = group.after("assign", json!({ "assignments": [{ "id": 1, "beds": assigned }] })).await?;
    assert_eq!(names[&name(7)].0, free);
    assert!(names.iter().all(|(one, (bed, _))| beds[one].0 == *bed || *one == name(7)), "nobody else has moved");
    let (stay, place) = place_of(&list, &free)?;
    let leaving = json!({ "stays": [{ "id": stay, "places": [place] }] });
    let (_, names) = group.after("checkout", leaving).await?;
    assert_eq!(
        (with_progress(&names, "checked_out"), names[&name(7)].0.as_str()),
        (vec![name(7).as_str()], free.as_str())
    );

    // The day of arrival ends: two did not come.
    let admin = FrontDesk::with_role(&stack, "admin").await?;
    let property = format!("/api/properties/{}", demo::PROPERTY_ID);
    // The move has changed the property, too: its bed is dirty.
    eventually("the day ends earlier", Duration::from_secs(20), async || {
        let shown = admin.send(Method::GET, &property, None, &json!({})).await?;
        let rev = shown.header("etag").trim_matches('"').parse().ok();
        let ended = admin.send(Method::PATCH, &property, rev, &json!({ "business_day_cutoff": "00:30" })).await?;
        Ok((ended.status == StatusCode::OK).then_some(()))
    })
    .await?;
    eventually("the day has ended", Duration::from_secs(20), async || {
        let absent = desk.command(&group.booking, "no-show", &json!({ "stays": [{ "id": 0 }] })).await?;
        Ok((absent.status == StatusCode::OK).then_some(()))
    })
    .await?;
    let names = sleepers_of(&group.list().await?);
    assert_eq!(with_progress(&names, "no_show"), [name(38), name(39)]);
    // At last they come after all.
    let (_, names) =
        group.after("reinstate", json!({ "stays": [{ "id": 0 }], "reason": "their bus broke down" })).await?;
    assert_eq!(with_progress(&names, "expected"), [name(38), name(39)]);
    assert!(names.iter().all(|(one, (bed, _))| beds[one].0 == *bed || *one == name(7)), "in the same beds");
    let end = json!({ "allow_open_balance": true, "reason": "the school pays" });
    group.after("checkin", json!({})).await?;
    let (list, names) = group.after("checkout", end).await?;
    assert_eq!(with_progress(&names, "checked_out").len(), 40);
    // Staff correct the list after the stay.
    let body = json!({ "guests": [{ "stay_id": 1, "position": 0, "last_name": name(41) }] });
    let corrected = desk.send(Method::PUT, &group.path(), list["rev"].as_u64(), &body).await?;
    ensure!(corrected.status == StatusCode::OK, "{corrected:?}");
    assert_eq!(sleepers_of(&group.list().await?).into_keys().collect::<Vec<_>>(), [name(41)]);
    stack.end(Expectations::clean()).await
}
