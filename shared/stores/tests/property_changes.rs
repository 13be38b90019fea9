//! Changes of a property: by the revision that was read, together with prices, and only while removed beds are blocked.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use anyhow::{Context, Result};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use pvt_domain::decide::{BatchOutcome, InventoryMarks};
use pvt_domain::demo;
use pvt_domain::grid::OccupancyGrid;
use pvt_domain::ids::BlockId;
use pvt_domain::inventory::{Cleanliness, Inventory};
use pvt_domain::rates::RateCalendar;
use pvt_stores::StoreError;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_testkit::Namespace;
use std::sync::Arc;
use uuid::Uuid;

fn entry(action: &str) -> AuditEntry {
    AuditEntry::new(Uuid::new_v4(), chrono::DateTime::UNIX_EPOCH.into(), "staff:1", action.to_owned(), "here", "")
}

fn named(name: &str, rev: u64) -> Inventory {
    let mut inventory = demo::inventory();
    (inventory.property.name, inventory.rev) = (name.to_owned(), rev);
    inventory
}

#[tokio::test]
async fn property_changes_only_at_the_revision_that_was_read() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let raw =
        Client::with_uri_str(namespace.mongodb_uri()).await?.default_database().context("the URI names a database")?;
    let id = demo::inventory().property.id;
    assert!(mongo.inventories().create(&named("first", 0), &entry("create")).await?);
    assert!(!mongo.inventories().create(&named("again", 0), &entry("create")).await?, "the id exists already");
    assert!(mongo.inventories().replace(&named("second", 1), 0, &entry("change"), &[]).await?);
    assert!(
        !mongo.inventories().replace(&named("late", 1), 0, &entry("change"), &[]).await?,
        "it has another revision"
    );

    let calendar = RateCalendar::new(id.clone(), "standard".into(), "dorm-6-mixed".into());
    assert!(!mongo.rates().save(&id, 0, std::slice::from_ref(&calendar), &entry("rates")).await?);
    assert!(mongo.rates().save(&id, 1, &[calendar], &entry("rates")).await?);
    assert_eq!(
        mongo.inventories().revisions(std::slice::from_ref(&id)).await?.get(&id),
        Some(&2),
        "prices raise the revision"
    );
    assert!(mongo.rates().of_property(&id).await?.calendar(&"standard".into(), &"dorm-6-mixed".into()).is_some());

    let (active, lifted) = (BlockId::from_uuid(Uuid::from_u128(1)), BlockId::from_uuid(Uuid::from_u128(2)));
    let blocks = [
        doc! { "_id": active.to_string(), "status": "active" },
        doc! { "_id": lifted.to_string(), "status": "lifted" },
    ];
    raw.collection::<Document>("blocks").insert_many(blocks).await?;
    for holds in [vec![active, lifted], vec![BlockId::from_uuid(Uuid::from_u128(3))]] {
        assert!(!mongo.inventories().replace(&named("unheld", 3), 2, &entry("change"), &holds).await?, "{holds:?}");
    }
    assert!(mongo.inventories().replace(&named("held", 3), 2, &entry("change"), &[active]).await?);
    let stored = mongo.inventories().find(&id).await?.context("the property")?;
    assert_eq!((stored.property.name.as_str(), stored.rev), ("held", 3));
    assert_eq!(mongo.audit_log().list(Some("here"), None, 50).await?.len(), 4, "refused changes are not audited");
    Ok(())
}

#[tokio::test]
async fn concurrently_lifted_block_makes_the_change_fail() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let client = Client::with_uri_str(namespace.mongodb_uri()).await?;
    let raw = client.default_database().context("the URI names a database")?;
    mongo.inventories().create(&named("first", 0), &entry("create")).await?;
    let hold = BlockId::from_uuid(Uuid::from_u128(1));
    let blocks = raw.collection::<Document>("blocks");
    blocks.insert_one(doc! { "_id": hold.to_string(), "status": "active" }).await?;
    // Lifted in a transaction that is still open when the change of the property begins.
    let mut lifting = client.start_session().await?;
    lifting.start_transaction().await?;
    blocks
        .update_one(doc! { "_id": hold.to_string() }, doc! { "$set": { "status": "lifted" } })
        .session(&mut lifting)
        .await?;
    assert!(!mongo.inventories().replace(&named("second", 1), 0, &entry("change"), &[hold]).await?);
    lifting.commit_transaction().await?;
    assert!(!mongo.inventories().replace(&named("second", 1), 0, &entry("change"), &[hold]).await?);
    Ok(())
}

#[tokio::test]
async fn beds_are_marked_only_at_the_revision_that_was_decided_upon() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mongo = namespace.mongo().await?;
    let id = demo::inventory().property.id;
    mongo.inventories().create(&named("first", 0), &entry("create")).await?;
    let marked = |rev: u64| {
        let mut grid = OccupancyGrid::new(Arc::new(named("as decided upon", rev)), chrono::NaiveDate::MIN);
        grid.mark_dirty(&["d6a-1".into()]);
        let marks = vec![InventoryMarks { stored_rev: rev, inventory: Arc::clone(grid.inventory()) }];
        BatchOutcome { marks, ..BatchOutcome::default() }
    };
    assert!(mongo.inventories().replace(&named("renamed", 1), 0, &entry("change"), &[]).await?);
    let outdated = mongo.claims().commit(&marked(0)).await;
    assert!(matches!(outdated, Err(StoreError::Stale(_))), "{outdated:?}");
    mongo.claims().commit(&marked(1)).await?;
    let stored = mongo.inventories().find(&id).await?.context("the property")?;
    let room = stored.room_of(&"d6a-1".into()).context("a room")?;
    assert_eq!(room.state_of(&"d6a-1".into()).cleanliness, Cleanliness::Dirty);
    assert_eq!((stored.property.name.as_str(), stored.rev), ("renamed", 2), "only the marks are written");
    Ok(())
}
