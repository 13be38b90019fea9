//! Compatibility with version 0.1: its documents, mart rows and messages are read unchanged and written back in the
//! same shape.
//!
//! The fixtures in `tests/compatibility/v0.1` were written by that version and are never edited; their README says how
//! they were made. A field that is renamed, dropped or retyped here fails before it fails on a live system.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use anyhow::{Context, Result, ensure};
use mongodb::bson::{Bson, DateTime, Document, deserialize_from_document, doc, serialize_to_document};
use mongodb::{Client, Database};
use pvt_domain::accounts::{User, UserId};
use pvt_domain::block::Block;
use pvt_domain::booking::Booking;
use pvt_domain::events::BookingEvent;
use pvt_domain::inventory::Inventory;
use pvt_domain::ledger::Ledger;
use pvt_domain::messages::AnalyticsEvent;
use pvt_domain::pricing::Price;
use pvt_domain::rates::RateCalendar;
use pvt_stores::mart::Mart;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::account_mails::AccountMailRow;
use pvt_stores::mongo::api_keys::ApiKey;
use pvt_stores::mongo::audit::AuditEntry;
use pvt_stores::mongo::commit::StoredClaim;
use pvt_stores::mongo::notifications::Notification;
use pvt_stores::mongo::payment_sweeps::PaymentSweep;
use pvt_stores::mongo::reconciliations::Report;
use pvt_stores::mongo::stripe_events::StoredStripeEvent;
use pvt_testkit::Namespace;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every collection of version 0.1.
const COLLECTIONS: [&str; 17] = [
    "account_mails",
    "api_keys",
    "audit",
    "blocks",
    "bookings",
    "claims",
    "notifications",
    "password_resets",
    "payment_sweeps",
    "payments",
    "properties",
    "rates",
    "reconciliations",
    "refresh_tokens",
    "schedules",
    "stripe_events",
    "users",
];

/// Tables of the mart in an order that their foreign keys allow.
const TABLES: [&str; 8] = [
    "dim_property",
    "dim_room_type",
    "dim_channel",
    "fact_booking",
    "fact_bed_night",
    "fact_booking_event",
    "fact_notification",
    "fact_payment",
];

/// A booking whose events had been deleted from the mart when the fixtures were taken.
const MISSING_IN_MART: &str = "9fcaf4c5-d428-59b9-bff2-e71303d2f94e";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn fixture(name: &str) -> Result<Value> {
    let path = repository().join("tests/compatibility/v0.1").join(name);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

/// Canonical extended JSON as BSON, as far as the fixtures use it.
fn bson(value: &Value) -> Bson {
    let number = |member: &Value| member.as_str().unwrap().to_owned();
    match value {
        Value::Object(members) if members.len() == 1 && members.contains_key("$numberLong") => {
            Bson::Int64(number(&members["$numberLong"]).parse().unwrap())
        }
        Value::Object(members) if members.len() == 1 && members.contains_key("$numberInt") => {
            Bson::Int32(number(&members["$numberInt"]).parse().unwrap())
        }
        Value::Object(members) if members.len() == 1 && members.contains_key("$date") => {
            let Bson::Int64(millis) = bson(&members["$date"]) else { panic!("{value}") };
            Bson::DateTime(DateTime::from_millis(millis))
        }
        Value::Object(members) => {
            assert!(!members.keys().any(|name| name.starts_with('$')), "{value}");
            Bson::Document(members.iter().map(|(name, member)| (name.clone(), bson(member))).collect())
        }
        Value::Array(items) => Bson::Array(items.iter().map(bson).collect()),
        Value::String(text) => Bson::String(text.clone()),
        Value::Bool(flag) => Bson::Boolean(*flag),
        Value::Null => Bson::Null,
        Value::Number(_) => panic!("canonical numbers have a type: {value}"),
    }
}

fn documents(collection: &str) -> Result<Vec<Document>> {
    let documents: Vec<Document> = fixture(&format!("{collection}.json"))?
        .as_array()
        .context("an array")?
        .iter()
        .map(|value| bson(value).as_document().unwrap().clone())
        .collect();
    ensure!(!documents.is_empty(), "no documents of {collection}");
    Ok(documents)
}

/// A document without members that the types need not keep: nulls, which are read like absent ones, and the marker by
/// which a repair of claims makes concurrent writers of its booking retry.
fn relevant(document: Document) -> Document {
    document.into_iter().filter(|(name, member)| *member != Bson::Null && name != "claims_restored_at").collect()
}

/// Reads every document of a collection as `T`, taken from `member` if it is nested, and compares what `T` writes.
fn assert_round_trip<T: Serialize + DeserializeOwned>(collection: &str, member: Option<&str>) -> Result<()> {
    for document in documents(collection)? {
        let stored = match member {
            Some(member) => document.get_document(member)?.clone(),
            None => document,
        };
        let value: T = deserialize_from_document(stored.clone()).with_context(|| format!("{collection}: {stored}"))?;
        let written = relevant(serialize_to_document(&value)?);
        assert_eq!(written, relevant(stored), "{collection}");
    }
    Ok(())
}

#[test]
fn documents_are_read_and_written_in_the_same_shape() -> Result<()> {
    assert_round_trip::<AccountMailRow>("account_mails", None)?;
    assert_round_trip::<ApiKey>("api_keys", None)?;
    assert_round_trip::<AuditEntry>("audit", None)?;
    assert_round_trip::<Block>("blocks", None)?;
    assert_round_trip::<Booking>("bookings", None)?;
    assert_round_trip::<StoredClaim>("claims", None)?;
    assert_round_trip::<Notification>("notifications", None)?;
    assert_round_trip::<PaymentSweep>("payment_sweeps", None)?;
    assert_round_trip::<Inventory>("properties", Some("inventory"))?;
    assert_round_trip::<RateCalendar>("rates", Some("calendar"))?;
    assert_round_trip::<Report>("reconciliations", None)?;
    assert_round_trip::<StoredStripeEvent>("stripe_events", None)
}

#[test]
fn taxes_of_every_kind_are_read_as_they_are_written() -> Result<()> {
    let rules = serde_json::json!([
        { "code": "vat", "name": "VAT", "names": { "fr": "TVA" }, "rate_ppm": 100_000, "compounds_on": [],
            "included": true, "valid_from": "2027-01-01" },
        { "code": "city", "name": "City tax", "per": "person_night", "amount": 165, "max_nights": 7,
            "exempt_under": 18, "exemptions": [{ "code": "business", "name": "Business" }] },
        { "code": "linen", "name": "Linen", "per": "stay", "amount": 3_000_000_000_i64 },
    ]);
    let mut inventory = pvt_domain::demo::inventory();
    inventory.property.taxes = serde_json::from_value(rules.clone())?;
    let read: Inventory = deserialize_from_document(serialize_to_document(&inventory)?)?;
    assert_eq!(serde_json::to_value(&read.property.taxes)?, rules);
    let lines = serde_json::json!([
        { "code": "vat", "name": "VAT", "rate_ppm": 100_000, "included": true, "amount": 1 },
        { "code": "city", "name": "City tax", "per": "person_night", "unit_amount": 165, "count": 6, "amount": 990 },
        { "code": "linen", "name": "Linen", "per": "stay", "unit_amount": 500, "count": 1, "amount": 500 },
    ]);
    let price = serde_json::json!({ "currency": "CAD", "nights": [[1]], "taxes": lines, "total": 1_491 });
    let price: Price = serde_json::from_value(price)?;
    let read: Price = deserialize_from_document(serialize_to_document(&price)?)?;
    assert_eq!(read, price);
    Ok(())
}

async fn stored() -> Result<(Namespace, Mongo, Database)> {
    let namespace = Namespace::new().await?;
    let raw =
        Client::with_uri_str(namespace.mongodb_uri()).await?.default_database().context("the URI names a database")?;
    for collection in COLLECTIONS {
        raw.collection::<Document>(collection).insert_many(documents(collection)?).await?;
    }
    // After the documents, as in an upgrade.
    let mongo = namespace.mongo().await?;
    Ok((namespace, mongo, raw))
}

async fn raw_document(raw: &Database, collection: &str, id: &str) -> Result<Document> {
    let found = raw.collection::<Document>(collection).find_one(doc! { "_id": id }).await?;
    found.with_context(|| format!("{id} in {collection}"))
}

/// Documents whose shape is private to a repository, and those that it writes with more than one statement.
#[tokio::test]
async fn repositories_read_and_update_documents() -> Result<()> {
    let (_namespace, mongo, raw) = stored().await?;
    for booking in documents("bookings")? {
        let booking: Booking = deserialize_from_document(booking)?;
        assert_eq!(mongo.bookings().find(booking.id).await?.as_ref(), Some(&booking));
        mongo.notifications().of_booking(booking.id).await?;
    }
    for before in documents("payments")? {
        let stored: Ledger = deserialize_from_document(before.clone())?;
        let mut ledger = mongo.ledgers().find(stored.booking_id).await?.context("the ledger")?;
        let (rev, totals_rev, updated_at) = (ledger.rev, ledger.totals_rev, ledger.updated_at);
        // Where the rules of totals have changed, the migration has advanced the revision, and nothing else.
        let unmarked =
            Ledger { rev: stored.rev, totals_rev: stored.totals_rev, updated_at: stored.updated_at, ..ledger.clone() };
        assert_eq!(unmarked, stored);
        ledger.rev += 1;
        assert!(mongo.ledgers().save(std::slice::from_ref(&ledger)).await?, "revision {rev} is replaced");
        let mut expected = before;
        expected.insert("rev", i64::from(u32::try_from(rev + 1)?));
        if rev > stored.rev {
            assert_eq!((rev, totals_rev), (stored.rev + 1, stored.rev + 1));
            expected.insert("sums_rev", i64::from(u32::try_from(totals_rev)?));
            expected.insert("updated_at", updated_at.to_string());
        }
        assert_eq!(raw_document(&raw, "payments", &ledger.booking_id.to_string()).await?, expected);
    }
    for before in documents("properties")? {
        let inventory: Inventory = deserialize_from_document(before.get_document("inventory")?.clone())?;
        let id = inventory.property.id.clone();
        assert_eq!(mongo.inventories().find(&id).await?.as_ref(), Some(&inventory));
        mongo.rates().of_property(&id).await?;
        mongo.inventories().save(&inventory).await?;
        assert_eq!(raw_document(&raw, "properties", id.as_str()).await?, before);
    }
    for before in documents("users")? {
        let user: User = deserialize_from_document(before.clone())?;
        let hash = before.get_str("password_hash")?.to_owned();
        assert_eq!(mongo.users().credentials(user.id).await?, Some((user.clone(), hash.clone())));
        raw.collection::<Document>("users").delete_one(doc! { "_id": user.id.to_string() }).await?;
        mongo.users().create(user.clone(), hash).await?;
        assert_eq!(raw_document(&raw, "users", &user.id.to_string()).await?, before);
    }
    for key in documents("api_keys")? {
        assert!(mongo.api_keys().find(key.get_str("_id")?).await?.is_some());
    }
    for session in documents("refresh_tokens")? {
        let user_id = session.get_str("user_id")?.parse::<uuid::Uuid>()?;
        mongo.refresh_tokens().revoke_sessions(UserId::from_uuid(user_id), chrono::Utc::now().into()).await?;
        let mut after = raw_document(&raw, "refresh_tokens", session.get_str("_id")?).await?;
        after.remove("revoked_at");
        let mut expected = session;
        expected.remove("revoked_at");
        assert_eq!(after, expected, "nothing but its revocation is added");
    }
    mongo.schedules().list().await?;
    mongo.payment_sweeps().last(chrono::Utc::now().into()).await?.context("the last sweep")?;
    assert_eq!(mongo.reconciliations().list(None, 100).await?.len(), documents("reconciliations")?.len());
    Ok(())
}

#[tokio::test]
async fn mart_rows_are_kept_and_recognized() -> Result<()> {
    let namespace = Namespace::new().await?;
    let mart = Mart::connect(&namespace.database_url(), "tests")?;
    mart.migrate().await?;
    let rows = fixture("mart.json")?;
    let mut postgres = PgConnection::connect(&namespace.database_url()).await?;
    // Applied migrations are compared by checksum: an edited one stops every upgrade.
    for migration in rows["_sqlx_migrations"].as_array().context("migrations")? {
        let checksum: String =
            sqlx::query_scalar("SELECT '\\x' || encode(checksum, 'hex') FROM _sqlx_migrations WHERE version = $1")
                .bind(migration["version"].as_i64())
                .fetch_one(&mut postgres)
                .await?;
        assert_eq!(Some(checksum.as_str()), migration["checksum"].as_str(), "{migration}");
    }
    for table in TABLES {
        let insert = format!(
            "INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, $1::json) ON CONFLICT DO NOTHING"
        );
        sqlx::query(AssertSqlSafe(insert)).bind(rows[table].to_string()).execute(&mut postgres).await?;
    }
    let before = facts(&mut postgres).await?;
    mart.migrate().await?;
    let mut events = Vec::new();
    for booking in documents("bookings")? {
        let booking: Booking = deserialize_from_document(booking)?;
        if booking.id.to_string() == MISSING_IN_MART {
            continue;
        }
        events.extend(booking.history.iter().map(|entry| BookingEvent::of(&booking, entry)));
    }
    let ids: Vec<_> = events.iter().map(|event| event.event_id).collect();
    assert_eq!(mart.missing_events(&ids).await?.len(), 0, "events have the ids that version 0.1 gave them");
    let events: Vec<AnalyticsEvent> =
        events.into_iter().map(|event| AnalyticsEvent::Booking(Box::new(event))).collect();
    assert_eq!(mart.load(&events).await?.new_events, 0);
    assert_eq!(facts(&mut postgres).await?, before, "a replay of their events changes no row");
    mart.close().await;
    Ok(())
}

/// Every row of every fact, as text in order.
async fn facts(postgres: &mut PgConnection) -> Result<BTreeMap<&'static str, Vec<String>>> {
    let mut facts = BTreeMap::new();
    for table in TABLES.into_iter().filter(|table| table.starts_with("fact_")) {
        let query = format!("SELECT row_to_json(f)::text FROM {table} f ORDER BY 1");
        facts.insert(table, sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut *postgres).await?);
    }
    Ok(facts)
}

/// The committed examples are what version 0.1 may have left in queues. That they are decoded is tested beside them.
#[test]
fn example_messages_are_those_of_version_0_1() -> Result<()> {
    let sums = fs::read_to_string(repository().join("tests/compatibility/v0.1/messages.sha256"))?;
    let folders = ["shared/domain/messages", "shared/domain/tests/messages"].map(|folder| repository().join(folder));
    let mut wrong = Vec::new();
    for (sum, name) in sums.lines().filter_map(|line| line.split_once("  ")) {
        let example = folders.iter().find_map(|folder| fs::read(folder.join(name)).ok());
        let found =
            example.map(|bytes| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        if found.as_deref() != Some(sum) {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "a changed message needs a new version: {wrong:?}");
    Ok(())
}
