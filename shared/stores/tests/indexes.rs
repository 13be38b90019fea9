//! Index use of every query of the workers and every list of the API, by the server's profiler.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use pvt_domain::booking::{Booking, Status};
use pvt_domain::ids::{BlockId, BookingId, PropertyId};
use pvt_domain::nights::Nights;
use pvt_stores::mongo::audit::AuditFilter;
use pvt_stores::mongo::booking_search::{BedChangeFilter, ChangedBooking, MAX_ENTRIES};
use pvt_stores::mongo::bookings::{BookingFilter, BookingScope};
use pvt_testkit::{Namespace, days_from_now};
use uuid::Uuid;

const STAYS: u64 = 300;

/// A property with a stay on each of three hundred nights, of which few are queried, and as many in another property.
async fn fill(raw: &mongodb::Database) -> Result<()> {
    let mut bookings = Vec::new();
    for (number, property) in (0..STAYS).flat_map(|number| [(number, "here"), (number, "there")]) {
        let id = BookingId::derive(None, &number.to_string(), property);
        bookings.push(doc! {
            "_id": id.to_string(), "property_id": property,
            "status": if number % 3 == 0 { "cancelled" } else { "confirmed" },
            "stays": [{ "room_type_id": "dorm", "arrival": days_from_now(number).to_string(),
            "departure": days_from_now(number + 2).to_string(), "guests": 1, "assigned_beds": ["a"] }],
            "history": [{ "at": "2026-12-01T12:00:01.000Z", "from": "requested", "to": "confirmed" }],
            "updated_at": "2026-12-01T12:00:01.000Z",
        });
    }
    raw.collection::<Document>("bookings").insert_many(bookings).await?;
    Ok(())
}

#[tokio::test]
async fn worker_queries_use_indexes() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let raw =
        Client::with_uri_str(namespace.mongodb_uri()).await?.default_database().context("the URI names a database")?;
    fill(&raw).await?;
    let stay = |arrival, progress: &str| {
        doc! { "arrival": days_from_now(arrival).to_string(), "departure": days_from_now(105).to_string(),
        "progress": progress }
    };
    let in_parts = doc! {
        "_id": Uuid::from_u128(1).to_string(), "property_id": "here", "status": "checked_in",
        "stays": [stay(100, "checked_in"), stay(101, "expected")],
        "history": [{ "at": "2026-12-01T12:00:01.000Z", "from": "requested", "to": "confirmed" }],
        "updated_at": "2026-12-01T12:00:01.000Z",
    };
    raw.collection::<Document>("bookings").insert_one(in_parts).await?;
    raw.run_command(doc! { "profile": 2 }).await?;
    let here = PropertyId::from("here");
    let expected =
        mongo.bookings().expected_arrivals(&here, Nights::new(days_from_now(100), days_from_now(103))).await?;
    assert_eq!(expected.len(), 3, "two confirmed ones, and the rest of one that has arrived in part");
    let rest: Vec<_> = expected.iter().filter(|expected| expected.is_partly_in_house).collect();
    assert_eq!(rest.iter().map(|rest| rest.arrival).collect::<Vec<_>>(), [days_from_now(101)]);
    // The fixtures lack fields of a booking and cannot be read as one, but the server has answered by then.
    let _ = mongo.bookings().occupants(&here, Nights::new(days_from_now(100), days_from_now(103))).await;
    let _ = mongo.bookings().find_by_ids([BookingId::from_uuid(Uuid::nil())]).await?;
    let _ = mongo.blocks().find_by_ids([BlockId::from_uuid(Uuid::nil())]).await?;
    let _ = mongo.claims().of_property(&here, days_from_now(0)).await?;
    let _ = mongo.reconciliations().property_snapshot(&here).await;
    let profile = queries(&raw).await?;
    assert!(profile.len() >= 5, "{profile:?}");
    refuse_scans(&profile)?;
    let documents_examined = |by: &str| {
        profile
            .iter()
            .filter(|query| query.to_string().contains(by))
            .filter_map(|query| query.get_i32("docsExamined").ok())
            .max()
    };
    assert!(documents_examined("$elemMatch").is_some_and(|documents| documents <= 8), "the index filters by date");
    Ok(())
}

#[tokio::test]
async fn api_lists_use_indexes_and_do_not_sort() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let raw =
        Client::with_uri_str(namespace.mongodb_uri()).await?.default_database().context("the URI names a database")?;
    fill(&raw).await?;
    raw.run_command(doc! { "profile": 2 }).await?;
    let here = || BookingScope::Properties(vec!["here".into()]);
    let all = |scope| BookingFilter {
        scope,
        property_id: None,
        status: None,
        arrival_from: None,
        arrival_until: None,
        email: None,
        ids: None,
    };
    let lists = [
        all(here()),
        all(BookingScope::Client("a1b2".to_owned())),
        BookingFilter { status: Some(Status::Confirmed), ..all(here()) },
        BookingFilter { arrival_from: Some(days_from_now(10)), arrival_until: Some(days_from_now(12)), ..all(here()) },
        BookingFilter { email: Some("ada@example.com".to_owned()), ..all(here()) },
    ];
    for filter in &lists {
        // The fixtures lack fields of a booking and cannot be read as one, but the server has answered by then.
        let _ = mongo.bookings().list(filter, None, 20).await;
        let _ = mongo
            .bookings()
            .list(filter, Some(&("2026-12-01T12:00:01.000Z".to_owned(), BookingId::from_uuid(Uuid::nil()))), 20)
            .await;
    }
    let _ = mongo.blocks().list(&"here".into(), true, None, 20).await?;
    let _ = mongo.blocks().list(&"here".into(), false, Some("a"), 20).await?;
    let entries = (0..STAYS).map(|number| {
        let at = format!("2026-11-{:02}T12:{:02}:00.000Z", 1 + number / 60, number % 60);
        let actor = if number % 100 == 0 { "staff:1" } else { "staff:2" };
        doc! { "_id": Uuid::from_u128(number.into()).to_string(), "at": at, "actor": actor, "action": "queue.pause",
        "subject": "emails", "detail": "", "cause": Uuid::from_u128(1).to_string() }
    });
    raw.collection::<Document>("audit").insert_many(entries).await?;
    for subject in [None, Some("here|room:a")] {
        let _ = mongo.audit_log().list(subject, None, 20).await?;
        let _ = mongo.audit_log().list(subject, Some(("2026-12-01T12:00:01.000Z", "a")), 20).await?;
    }
    let of_actor = AuditFilter { actor: Some("staff:1".into()), ..AuditFilter::default() };
    for before in [None, Some(("2026-12-01T12:00:01.000Z", "a"))] {
        assert_eq!(mongo.audit_log().search(&of_actor, before, 20).await?.len(), 3);
    }
    let profile = queries(&raw).await?;
    assert!(profile.len() >= 18, "{profile:?}");
    refuse_scans(&profile)?;
    let by_actor = profile.iter().filter(|query| query.to_string().contains("staff:1"));
    let examined: Vec<i32> = by_actor.map(|query| query.get_i32("docsExamined")).collect::<Result<_, _>>()?;
    assert_eq!(examined, [3, 3], "only entries of the actor");
    // The few bookings of a guest or of some days may be sorted; lists that grow with the property are read in order.
    let few = |query: &Document| ["guest.email", "$elemMatch"].iter().any(|narrow| query.to_string().contains(narrow));
    let sorted = profile.iter().filter(|query| query.get_bool("hasSortStage").unwrap_or_default() && !few(query));
    assert_eq!(sorted.map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
    Ok(())
}

/// Of the bookings that have changed lately only those with changes of beds are found, and of these no other entries.
#[tokio::test]
async fn changes_of_beds_are_found_among_stays_that_go_on() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let raw =
        Client::with_uri_str(namespace.mongodb_uri()).await?.default_database().context("the URI names a database")?;
    fill(&raw).await?;
    let stay = |beds: &[&str], progress: &str| {
        doc! { "room_type_id": "dorm", "arrival": "2027-01-10", "departure": "2027-01-12", "guests": 1,
        "assigned_beds": beds.to_vec(), "progress": progress }
    };
    let from_to = |before: &[&str], after: &[&str]| {
        doc! { "stays": [{ "index": 0, "before": stay(before, "expected"), "after": stay(after, "expected") }] }
    };
    let moved = from_to(&["a"], &["b"]);
    let arrived =
        doc! { "stays": [{ "index": 0, "before": stay(&["b"], "expected"), "after": stay(&["b"], "checked_in") }] };
    let divided = doc! { "stays": [
        { "index": 0, "before": stay(&["a", "b"], "expected"), "after": stay(&["a"], "checked_in") },
        { "index": 1, "after": stay(&["b"], "expected") },
    ] };
    let renamed = doc! { "guest": true };
    let entry = |rev: i32, at: &str, actor: &str, changes: &Document| {
        doc! { "rev": rev, "at": at, "action": "assign", "from": "confirmed", "to": "confirmed", "actor": actor,
        "command_id": Uuid::from_u128(1).to_string(), "event_id": Uuid::from_u128(2).to_string(), "changes": changes }
    };
    let history = [
        entry(1, "2026-12-02T12:00:00.000Z", "staff:1", &moved),
        entry(2, "2026-12-03T12:00:00.000Z", "staff:1", &renamed),
        entry(3, "2026-12-03T13:00:00.000Z", "staff:1", &moved),
        entry(4, "2026-12-03T14:00:00.000Z", "staff:2", &moved),
        entry(5, "2026-12-04T12:00:00.000Z", "staff:1", &moved),
    ];
    let in_turn = |changes: Vec<&Document>| -> Vec<Document> {
        let of = |(rev, changes)| entry(rev, &format!("2026-12-03T15:00:{rev:02}.000Z"), "staff:4", changes);
        (1..).zip(changes).map(of).collect()
    };
    let first = from_to(&["c"], &["a"]);
    let moves = [vec![&first], vec![&moved; 11]].concat();
    let of_group = in_turn([&moves[..], &[&arrived; 12], &[&divided]].concat());
    let only_arrived = in_turn([&[&arrived; 12][..], &[&divided]].concat());
    for (number, property, entries, updated) in [
        (1, "here", &history[..], 1),
        (2, "there", &history, 2),
        (3, "here", &history[..2], 3),
        (4, "here", &of_group, 4),
        (5, "here", &only_arrived, 5),
        (6, "here", &history, 6),
    ] {
        let mut of_booking = stay(&["b"], "expected");
        if number == 6 {
            // It had departed before anything of this.
            of_booking.extend(doc! { "arrival": "2026-11-20", "departure": "2026-11-22" });
        }
        let booking = doc! { "_id": Uuid::from_u128(number).to_string(), "reference": "PVT-0000000000",
        "property_id": property, "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "" },
        "stays": [of_booking], "history": entries.to_vec(),
        "updated_at": format!("2026-12-04T12:00:0{updated}.000Z") };
        raw.collection::<Document>("bookings").insert_one(booking).await?;
    }
    raw.run_command(doc! { "profile": 2 }).await?;
    let revisions = async |actor: Option<&str>, booking: Option<u128>, bed: Option<&str>, limit| {
        let filter = BedChangeFilter {
            properties: vec!["here".into()],
            booking: booking.map(|id| BookingId::from_uuid(Uuid::from_u128(id))),
            bed: bed.map(Into::into),
            actor: actor.map(Into::into),
            from: "2026-12-03T00:00:00Z".parse::<DateTime<Utc>>()?.into(),
            until: "2026-12-04T00:00:00Z".parse::<DateTime<Utc>>()?.into(),
        };
        let found = mongo.bookings().changed_within(&filter, limit).await?;
        let of_booking = |found: &ChangedBooking| {
            let revisions: Vec<u32> = found.history.iter().map(|entry| entry.rev).collect();
            (found.id.as_uuid().as_u128(), revisions)
        };
        Ok::<_, anyhow::Error>(found.iter().map(of_booking).collect::<Vec<_>>())
    };
    let latest: Vec<u32> = (2..=12).collect();
    assert_eq!(latest.len(), MAX_ENTRIES + 1);
    assert_eq!(revisions(None, None, None, 10).await?, [(4, latest.clone()), (1, vec![3, 4])], "last changed first");
    assert_eq!(revisions(None, None, None, 1).await?, [(4, latest)], "what leaves beds as they are takes no place");
    assert_eq!(revisions(None, None, Some("c"), 1).await?, [(4, vec![1])], "however many others followed");
    assert_eq!(revisions(None, None, Some("d"), 1).await?, []);
    assert_eq!(revisions(None, Some(4), None, 10).await?, [(4, (1..=12).collect())], "all of a booking");
    assert_eq!(revisions(Some("staff:1"), None, None, 10).await?, [(1, vec![3])]);
    assert_eq!(revisions(Some("staff:3"), None, None, 10).await?, []);
    let profile = queries(&raw).await?;
    refuse_scans(&profile)?;
    let examined: Vec<i32> = profile.iter().map(|query| query.get_i32("docsExamined")).collect::<Result<_, _>>()?;
    // Stays that departed before are passed over.
    let all = raw.collection::<Document>("bookings").count_documents(doc! { "property_id": "here" }).await?;
    let all = i32::try_from(all)?;
    assert!(examined.len() == 7 && examined.iter().all(|documents| *documents < all), "{examined:?} of {all}");
    Ok(())
}

/// Earlier versions stored addresses as they were typed, and had an index that distinguished capitals.
#[tokio::test]
async fn guests_are_found_whatever_the_capitals_of_their_address() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let raw =
        Client::with_uri_str(namespace.mongodb_uri()).await?.default_database().context("the URI names a database")?;
    let bookings = raw.collection::<Document>("bookings");
    mongo.migrate().await?;
    let guests = [
        (1, "here", "Ada@Example.com"),
        (2, "here", "ada@example.com"),
        (3, "here", "ada@example.org"),
        (4, "HERE", "ada@example.com"),
    ];
    for (number, property, email) in guests {
        bookings
            .insert_one(doc! {
                "_id": BookingId::from_uuid(Uuid::from_u128(number)).to_string(), "reference": "PVT-0000000000",
                "status": "cancelled", "rev": 1, "property_id": property, "rate_plan_id": "standard",
                "source": "direct",
                "stays": [], "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": email },
                "fingerprint": "f", "created_at": "2026-12-01T12:00:00.000Z", "updated_at": "2026-12-01T12:00:01.000Z",
                "history": [],
            })
            .await?;
    }
    let filter = BookingFilter {
        scope: BookingScope::Properties(vec!["here".into()]),
        property_id: None,
        status: None,
        arrival_from: None,
        arrival_until: None,
        email: Some("ada@example.com".to_owned()),
        ids: None,
    };
    let found = mongo.bookings().list(&filter, None, 20).await?;
    let ids = |found: &[Booking]| found.iter().map(|booking| booking.id.as_uuid().as_u128()).collect::<Vec<_>>();
    assert_eq!(ids(&found), [2, 1], "of this property, not of another whose name differs in capitals");
    assert_eq!(found[1].guest.email, "Ada@Example.com", "as it was stored");
    Ok(())
}

/// Names are stored as they were written, and found by their base letters.
#[tokio::test]
async fn guests_are_found_by_their_names_with_an_index() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let raw =
        Client::with_uri_str(namespace.mongodb_uri()).await?.default_database().context("the URI names a database")?;
    fill(&raw).await?;
    let guests = [
        (1, "here", "Ada", "Lovelace"),
        (2, "here", "Zoé", "O’Brien-Łuk"),
        (3, "here", "", "Björk"),
        (4, "HERE", "Ada", "Lovelace"),
        (5, "here", "Juan Carlos", "de la Vega"),
        (6, "here", "李明", ""),
    ];
    for (number, property, first, last) in guests {
        let guest = doc! { "first_name": first, "last_name": last, "email": "" };
        let booking = doc! {
            "_id": BookingId::from_uuid(Uuid::from_u128(number)).to_string(), "reference": "PVT-0000000000",
            "status": "cancelled", "rev": 1, "property_id": property, "rate_plan_id": "standard", "source": "direct",
            "stays": [], "guest": guest, "fingerprint": "f", "created_at": "2026-12-01T12:00:00.000Z",
            "updated_at": "2026-12-01T12:00:01.000Z", "history": [],
        };
        raw.collection::<Document>("bookings").insert_one(booking).await?;
    }
    raw.run_command(doc! { "profile": 2 }).await?;
    for (name, expected) in [
        ("lovelace", &[1][..]),
        ("LOVE", &[1]),
        ("lóvelace", &[1]),
        ("ada", &[1]),
        ("Ada Lovelace", &[1]),
        ("lovelace ad", &[1]),
        ("zoe", &[2]),
        ("Zo\u{65}\u{301} o’brien", &[2]),
        ("bjork", &[3]),
        ("juan carlos de la vega", &[5]),
        ("de la", &[5]),
        ("carlos", &[]),
        ("李", &[6]),
        ("lovelace grace", &[]),
    ] {
        let found = mongo.bookings().of_guest(&["here".into()], name, 10).await?;
        let ids: Vec<u128> = found.iter().map(|booking| booking.id.as_uuid().as_u128()).collect();
        assert_eq!(ids, expected, "{name}");
    }
    let profile = queries(&raw).await?;
    assert!(profile.len() >= 13, "{profile:?}");
    refuse_scans(&profile)
}

/// Every query that the profiler recorded; ends the recording.
async fn queries(raw: &mongodb::Database) -> Result<Vec<Document>> {
    raw.run_command(doc! { "profile": 0 }).await?;
    let of_ours = doc! { "op": { "$in": ["query", "command"] }, "planSummary": { "$exists": true },
    "ns": { "$not": { "$regex": "system[.]profile$" } } };
    Ok(raw.collection::<Document>("system.profile").find(of_ours).await?.try_collect().await?)
}

fn refuse_scans(profile: &[Document]) -> Result<()> {
    for query in profile {
        let plan = query.get_str("planSummary")?;
        anyhow::ensure!(!plan.contains("COLLSCAN"), "{query}");
    }
    Ok(())
}
