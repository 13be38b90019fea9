//! Read models of search and the front desk: correct results, and no collection scans.

use anyhow::{Context, Result};
use chrono::{Days, NaiveDate, Utc};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use pvt_domain::booking::StayRequest;
use pvt_domain::decide::{KnownState, decide};
use pvt_domain::demo;
use pvt_domain::grid::OccupancyGrid;
use pvt_domain::ids::{BlockId, BookingId, PropertyId};
use pvt_domain::messages::{BlockBeds, BookingCommand, RequestBooking};
use pvt_domain::nights::Nights;
use pvt_domain::rates::{DateSet, RateCalendar, Rates};
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_testkit::Namespace;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

const DORM: &str = "dorm-6-mixed";

fn day(days: u64) -> NaiveDate {
    Utc::now().date_naive() + Days::new(days)
}

fn request(property: &PropertyId, key: &str, arrival: u64, nights: u64) -> Result<RequestBooking> {
    let body = serde_json::json!({
        "booking_id": BookingId::derive(None, key, "f"), "fingerprint": "f", "property_id": property,
        "rate_plan_id": "standard", "source": "direct",
        "stays": [StayRequest::new(DORM, day(arrival), day(arrival + nights), 1)],
        "guest": { "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com" },
        "requested_at": pvt_domain::timestamp::Timestamp::from(Utc::now()),
    });
    Ok(serde_json::from_value(body)?)
}

/// Two properties with bookings of 2 nights on every second day, and a block at the first one.
async fn fill(mongo: &Mongo, properties: &[PropertyId]) -> Result<()> {
    for property in properties {
        let mut inventory = demo::inventory();
        inventory.property.id = property.clone();
        mongo.inventories().save(&inventory).await?;
        let grid = OccupancyGrid::new(Arc::new(inventory), day(0));
        let mut commands = Vec::new();
        for number in 0..60 {
            let command = request(property, &format!("{property}-{number}"), 1 + 2 * number, 2)?;
            commands.push((command.booking_id.request_command_id(), BookingCommand::Request(Box::new(command))));
        }
        let block = BlockBeds {
            block_id: BlockId::derive("staff:1", property.as_str()),
            property_id: property.clone(),
            kind: pvt_domain::block::BlockKind::Maintenance,
            bed_ids: vec!["d8a-1".into()],
            from: day(10),
            until: day(20),
            actor: "staff:1".into(),
            reason: None,
            requested_at: Utc::now().into(),
        };
        commands.push((Uuid::new_v4(), BookingCommand::Block(block)));
        let (grids, fresh) = (HashMap::from([(property.clone(), grid)]), HashSet::from([property.clone()]));
        let (bookings, blocks, occupied) = (HashMap::new(), HashMap::new(), HashMap::new());
        let known =
            KnownState { grids: &grids, fresh: &fresh, bookings: &bookings, blocks: &blocks, occupied: &occupied };
        let commands: Vec<(Uuid, &BookingCommand)> = commands.iter().map(|(id, command)| (*id, command)).collect();
        let decisions = decide(known, &commands, Utc::now().into()).ok().context("something is missing")?;
        mongo.claims().commit(&decisions).await?;
    }
    Ok(())
}

/// A price for one night.
fn calendar(property: &str) -> RateCalendar {
    let mut calendar = RateCalendar::new(property.into(), "standard".into(), DORM.into());
    calendar.set_prices(&DateSet { range: Nights::new(day(5), day(6)), weekdays: Vec::new() }, Some(9_900));
    calendar
}

#[tokio::test]
async fn occupancy_reads_are_correct_and_use_indexes() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let properties: [PropertyId; 2] = ["one".into(), "two".into()];
    fill(&mongo, &properties).await?;
    let database = mongodb::Client::with_uri_str(namespace.mongodb_uri()).await?.database(namespace.name());
    for property in &properties {
        let entry = AuditEntry::new(
            Uuid::new_v4(),
            Utc::now().into(),
            "staff:1",
            "rates.set".to_owned(),
            property.as_str(),
            "",
        );
        assert!(mongo.rates().save(property, 0, &[calendar(property.as_str())], &entry).await?);
        let late = AuditEntry { id: Uuid::new_v4(), ..entry };
        assert!(!mongo.rates().save(property, 0, &[], &late).await?, "the property has another revision by now");
    }
    // From here on the server records the plan of every query.
    database.run_command(doc! { "profile": 2 }).await?;
    let one = &properties[0];
    assert_eq!(mongo.inventories().find(one).await?.map(|inventory| inventory.rooms.len()), Some(10));
    assert_eq!(mongo.occupancy().holdings(one, day(0)).await?.len(), 60);
    assert_eq!(mongo.occupancy().holdings(one, day(21)).await?.len(), 50, "past stays hold no beds");
    assert_eq!(
        (mongo.occupancy().arrivals(one, day(11)).await?.len(), mongo.occupancy().arrivals(one, day(12)).await?.len()),
        (1, 0)
    );
    assert_eq!(
        (
            mongo.occupancy().departures(one, day(11)).await?.len(),
            mongo.occupancy().departures(one, day(12)).await?.len()
        ),
        (1, 0)
    );
    let of_day = async |date| Ok::<_, anyhow::Error>(mongo.front_desk().bookings(one, day(date)).await?.len());
    assert_eq!((of_day(1).await?, of_day(11).await?, of_day(40).await?), (1, 6, 16), "of thirty days");
    let nights = Nights::new(day(11), day(15));
    let mut whole = mongo.bookings().occupants(one, nights).await?;
    let occupants = mongo.occupancy().occupants(one, nights).await?;
    assert_eq!((whole.len(), occupants.len()), (2, 2));
    for occupant in occupants {
        let booking = whole.remove(&occupant.id).context("another booking")?;
        assert_eq!((occupant.reference, occupant.stays), (booking.reference, booking.stays));
    }
    let blocks = async |from, until| {
        Ok::<_, anyhow::Error>(mongo.occupancy().blocks_within(one, Nights::new(day(from), day(until))).await?.len())
    };
    assert_eq!(
        (blocks(0, 10).await?, blocks(0, 11).await?, blocks(19, 30).await?, blocks(20, 30).await?),
        (0, 1, 1, 0)
    );
    assert_eq!(mongo.rates().of_property(one).await?, Rates::new([calendar("one")]), "of this property only");
    assert_eq!(
        mongo.inventories().revisions(&properties).await?,
        HashMap::from([("one".into(), 1), ("two".into(), 1)])
    );
    database.run_command(doc! { "profile": 0 }).await?;

    let queries: Vec<Document> = database
        .collection::<Document>("system.profile")
        .find(doc! { "command.find": { "$exists": true } })
        .await?
        .try_collect()
        .await?;
    let namespaces: BTreeSet<&str> =
        queries.iter().filter_map(|query| query.get_str("ns").ok()?.split_once('.').map(|(_, name)| name)).collect();
    assert!(
        ["blocks", "bookings", "properties", "rates"].iter().all(|name| namespaces.contains(name)),
        "{namespaces:?}"
    );
    for query in &queries {
        let plan = query.get_str("planSummary").unwrap_or_default();
        assert!(
            ["IXSCAN", "IDHACK", "EXPRESS"].iter().any(|good| plan.starts_with(good)) && !plan.contains("COLLSCAN"),
            "{plan}: {query}"
        );
    }
    let arriving = queries.iter().find(|query| query.to_string().contains("$lte")).context("the query of arrivals")?;
    assert_eq!(arriving.get_i32("docsExamined")?, 1, "arrivals are filtered in the index");
    let of_day = queries.iter().rfind(|query| query.to_string().contains("$filter")).context("the query of a day")?;
    assert_eq!(of_day.get_i32("docsExamined")?, 16, "only what the front desk lists");
    Ok(())
}
