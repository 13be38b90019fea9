//! Bookings of the front desk: of which days, and that what is not read changes nothing that is shown.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use anyhow::{Context, Result};
use pvt_domain::booking::{Booking, Status};
use pvt_domain::decide::undone_by_reinstatement;
use pvt_testkit::{Namespace, days_from_now};
use serde_json::{Value, json};
use std::collections::HashMap;
use uuid::Uuid;

/// The day of the lists.
const TODAY: u64 = 40;

fn stay(arrival: u64, departure: u64) -> Value {
    json!({ "room_type_id": "dorm", "arrival": days_from_now(arrival), "departure": days_from_now(departure),
        "guests": 1, "assigned_beds": ["a"] })
}

/// Entries of these actions, which leave a booking in these statuses.
fn history(steps: &[(&str, &str)]) -> Vec<Value> {
    let entry = |(index, (action, to)): (usize, &(&str, &str))| {
        let from = index.checked_sub(1).map_or("requested", |before| steps[before].1);
        json!({ "rev": index + 1, "at": format!("2026-12-01T12:00:{index:02}.010Z"), "action": action, "from": from,
            "to": to, "command_id": Uuid::new_v4(), "event_id": Uuid::new_v4(), "actor": "staff:1" })
    };
    steps.iter().enumerate().map(entry).collect()
}

fn booking(id: u128, stays: &[Value], history: &[Value]) -> Result<Booking> {
    let status = &history.last().context("a history")?["to"];
    let booking = json!({
        "_id": Uuid::from_u128(id), "reference": "PVT-0000000000", "status": status, "rev": history.len(),
        "property_id": "here", "rate_plan_id": "standard", "source": "direct", "stays": stays,
        "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com" },
        "price": { "currency": "CAD", "nights": [[4_200]], "taxes": [], "total": 4_200 }, "fingerprint": "f",
        "cancellation_fee": 4_200, "created_at": "2026-12-01T12:00:00.000Z",
        "updated_at": "2026-12-01T12:00:00.010Z", "history": history,
    });
    Ok(serde_json::from_value(booking)?)
}

fn with_payment(mut booking: Booking, captured: i64, refunded: i64) -> Result<Booking> {
    let payment = |refunded| {
        json!({ "ledger": { "ledger_rev": 1, "captured": captured, "cleared": captured,
        "refunded": refunded } })
    };
    booking.payment = serde_json::from_value(payment(refunded))?;
    let changes = json!({ "payment": { "before": payment(0), "after": payment(refunded) } });
    booking.history.last_mut().context("an entry")?.changes = Some(serde_json::from_value(changes)?);
    Ok(booking)
}

#[tokio::test]
async fn what_the_front_desk_shows_follows_from_what_it_reads() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let confirmed = [("request", "confirmed"), ("modify", "confirmed"), ("modify", "confirmed")];
    let in_house = [&confirmed[..], &[("check_in", "checked_in"), ("modify", "checked_in")]].concat();
    let left = [&in_house[..], &[("check_out", "checked_out")]].concat();
    let absent = [&confirmed[..], &[("no_show", "no_show"), ("record_payment", "no_show")]].concat();
    let all = [
        booking(1, &[stay(TODAY, TODAY + 2)], &history(&confirmed))?,
        booking(2, &[stay(TODAY - 1, TODAY), stay(TODAY, TODAY + 1)], &history(&in_house))?,
        booking(3, &[stay(TODAY - 2, TODAY)], &history(&left))?,
        with_payment(booking(4, &[stay(TODAY, TODAY + 1)], &history(&absent))?, 4_200, 1_000)?,
        booking(5, &[stay(TODAY - 3, TODAY - 2)], &history(&confirmed))?,
        booking(6, &[stay(TODAY - 2, TODAY - 1)], &history(&left))?,
        booking(7, &[stay(TODAY + 1, TODAY + 2)], &history(&confirmed))?,
        booking(8, &[stay(TODAY - 40, TODAY - 31)], &history(&in_house))?,
        booking(9, &[stay(TODAY, TODAY + 2)], &history(&[("request", "confirmed"), ("cancel", "cancelled")]))?,
        booking(10, &[stay(TODAY, TODAY + 2)], &history(&[("request", "held")]))?,
    ];
    let client = mongodb::Client::with_uri_str(namespace.mongodb_uri()).await?;
    let stored = client.default_database().context("the URI names a database")?.collection::<Booking>("bookings");
    stored.insert_many(&all).await?;

    let whole: HashMap<_, _> = all.iter().map(|booking| (booking.id, booking)).collect();
    let mut found = mongo.front_desk().bookings(&"here".into(), days_from_now(TODAY)).await?;
    found.sort_by_key(|read| read.booking().id);
    let entries: Vec<(u128, usize)> =
        found.iter().map(|read| (read.booking().id.as_uuid().as_u128(), read.booking().history.len())).collect();
    assert_eq!(entries, [(1, 0), (2, 2), (3, 0), (4, 2), (5, 0)], "each once, from the check-in or no-show on");
    for read in &found {
        let (read, whole) = (read.booking(), whole[&read.booking().id]);
        assert_eq!(
            (&read.guest, &read.stays, &read.reference, read.rev),
            (&whole.guest, &whole.stays, &whole.reference, whole.rev)
        );
        assert_eq!(read.outstanding(), whole.outstanding(), "{}", read.id);
        if read.status != Status::CheckedOut {
            assert_eq!(undone_by_reinstatement(read), undone_by_reinstatement(whole), "{}", read.id);
        }
    }
    assert_eq!(whole[&found[3].booking().id].outstanding(), 0, "the refund after the end is not owed again");
    assert!(
        undone_by_reinstatement(found[1].booking()).is_some() && undone_by_reinstatement(found[3].booking()).is_some()
    );
    assert!(mongo.front_desk().bookings(&"there".into(), days_from_now(TODAY)).await?.is_empty());
    Ok(())
}
