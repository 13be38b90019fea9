//! Every query of the workers, and every list of the API, uses an index: what the server's profiler says of the queries
//! as the repositories send them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use anyhow::{Context, Result};
use futures_util::TryStreamExt;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use pvt_domain::booking::Status;
use pvt_domain::ids::{BlockId, BookingId, PropertyId};
use pvt_domain::nights::Nights;
use pvt_stores::mongo::bookings::{BookingFilter, Whose};
use pvt_testkit::{Namespace, days_from_now};
use uuid::Uuid;

const STAYS: u64 = 300;

/// A property with a stay on every night for three hundred nights, of which few are looked at, and as many elsewhere.
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
async fn no_query_of_the_workers_looks_at_everything() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let raw =
        Client::with_uri_str(namespace.mongodb_uri()).await?.default_database().context("the URI names a database")?;
    fill(&raw).await?;
    raw.run_command(doc! { "profile": 2 }).await?;
    let here = PropertyId::from("here");
    let expected =
        mongo.bookings().expected_arrivals(&here, Nights::new(days_from_now(100), days_from_now(103))).await?;
    assert_eq!(expected.len(), 2, "the third is cancelled");
    // What the fixture lacks cannot be read as a whole booking, but the server has answered by then.
    let _ = mongo.bookings().occupants(&here, Nights::new(days_from_now(100), days_from_now(103))).await;
    let _ = mongo.bookings().find_by_ids([BookingId::from_uuid(Uuid::nil())]).await?;
    let _ = mongo.blocks().find_by_ids([BlockId::from_uuid(Uuid::nil())]).await?;
    let _ = mongo.claims().of_property(&here, days_from_now(0)).await?;
    let _ = mongo.reconciliations().property_snapshot(&here).await;
    let profile = queries(&raw).await?;
    assert!(profile.len() >= 5, "{profile:?}");
    refuse_scans(&profile)?;
    let looked_at = |by: &str| {
        profile
            .iter()
            .filter(|query| query.to_string().contains(by))
            .filter_map(|query| query.get_i32("docsExamined").ok())
            .max()
    };
    assert!(looked_at("$elemMatch").is_some_and(|documents| documents <= 5), "dates narrow it down in the index");
    Ok(())
}

#[tokio::test]
async fn no_list_of_the_api_looks_at_everything_or_sorts() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let raw =
        Client::with_uri_str(namespace.mongodb_uri()).await?.default_database().context("the URI names a database")?;
    fill(&raw).await?;
    raw.run_command(doc! { "profile": 2 }).await?;
    let here = || Whose::Of(vec!["here".into()]);
    let all = |whose| BookingFilter {
        whose,
        property_id: None,
        status: None,
        arrival_from: None,
        arrival_until: None,
        email: None,
        ids: None,
    };
    let lists = [
        all(here()),
        all(Whose::Client("a1b2".to_owned())),
        BookingFilter { status: Some(Status::Confirmed), ..all(here()) },
        BookingFilter { arrival_from: Some(days_from_now(10)), arrival_until: Some(days_from_now(12)), ..all(here()) },
        BookingFilter { email: Some("ada@example.com".to_owned()), ..all(here()) },
    ];
    for filter in &lists {
        // What the fixture lacks cannot be read as a whole booking, but the server has answered by then.
        let _ = mongo.bookings().list(filter, None, 20).await;
        let _ = mongo
            .bookings()
            .list(filter, Some(&("2026-12-01T12:00:01.000Z".to_owned(), BookingId::from_uuid(Uuid::nil()))), 20)
            .await;
    }
    let _ = mongo.blocks().list(&"here".into(), true, None, 20).await?;
    let _ = mongo.blocks().list(&"here".into(), false, Some("a"), 20).await?;
    for subject in [None, Some("here|room:a")] {
        let _ = mongo.audit_log().list(subject, None, 20).await?;
        let _ = mongo.audit_log().list(subject, Some(("2026-12-01T12:00:01.000Z", "a")), 20).await?;
    }
    let profile = queries(&raw).await?;
    assert!(profile.len() >= 16, "{profile:?}");
    refuse_scans(&profile)?;
    // A guest's few bookings and those of some days may be sorted; whatever grows with the house is read in order.
    let few = |query: &Document| ["guest.email", "$elemMatch"].iter().any(|narrow| query.to_string().contains(narrow));
    let sorted = profile.iter().filter(|query| query.get_bool("hasSortStage").unwrap_or_default() && !few(query));
    assert_eq!(sorted.map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
    Ok(())
}

/// Every query that the profiler saw; it looks no further.
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
