//! Everything stored in a namespace, read directly and not through the repositories that wrote it.

use crate::Namespace;
use anyhow::{Context, Result};
use chrono::NaiveDate;
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::{Client, Database};
use pvt_domain::block::Block;
use pvt_domain::booking::Booking;
use pvt_domain::ledger::Ledger;
use pvt_stores::mongo::account_mails::AccountMailRow;
use pvt_stores::mongo::commit::StoredClaim;
use pvt_stores::mongo::notifications::Notification;
use serde::de::DeserializeOwned;
use sqlx::postgres::{PgPool, PgPoolOptions};
use std::time::Duration;
use uuid::Uuid;

/// Connections to the stores of one namespace.
#[derive(Debug)]
pub struct Stores {
    mongo: Database,
    mart: PgPool,
}

/// A booking in the mart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, sqlx::FromRow)]
pub struct MartBooking {
    /// The booking.
    pub booking_id: Uuid,
    /// The newest revision that was loaded.
    pub rev: i64,
    /// The booking's status at that revision.
    pub status: String,
    /// In minor units, without taxes.
    pub room_amount: Option<i64>,
    /// In minor units, with those that prices include.
    pub tax_amount: Option<i64>,
    /// In minor units.
    pub total_amount: Option<i64>,
}

/// A sold bed-night in the mart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, sqlx::FromRow)]
pub struct MartBedNight {
    /// The booking.
    pub booking_id: Uuid,
    /// The bed.
    pub bed_id: String,
    /// The night.
    pub night: NaiveDate,
}

/// An entry of a ledger in the mart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, sqlx::FromRow)]
pub struct MartPayment {
    /// The object at Stripe, or the manual record, behind it.
    pub entry_id: String,
    /// The kind of entry.
    pub kind: String,
    /// In minor units.
    pub amount: i64,
}

/// The records of all stores.
#[derive(Debug, Clone, Default)]
pub struct Records {
    /// Bookings as stored.
    pub bookings: Vec<Booking>,
    /// Blocks as stored.
    pub blocks: Vec<Block>,
    /// Claims as stored.
    pub claims: Vec<StoredClaim>,
    /// The notification ledger.
    pub notifications: Vec<Notification>,
    /// The ledger of mails about accounts.
    pub account_mails: Vec<AccountMailRow>,
    /// `fact_booking`.
    pub mart_bookings: Vec<MartBooking>,
    /// `fact_bed_night`.
    pub mart_bed_nights: Vec<MartBedNight>,
    /// Ids in `fact_booking_event`.
    pub mart_events: Vec<Uuid>,
    /// Ledgers of bookings as stored.
    pub ledgers: Vec<Ledger>,
    /// `fact_payment`.
    pub mart_payments: Vec<MartPayment>,
    /// Rows of `fact_notification`.
    pub mart_notifications: usize,
    /// Every row of every fact table as text, to search for personal data.
    pub mart_text: String,
}

const FACTS: [&str; 5] = ["fact_booking", "fact_bed_night", "fact_booking_event", "fact_payment", "fact_notification"];

impl Stores {
    /// Prepares connections, which are opened on first use.
    ///
    /// # Errors
    /// When a URL is invalid.
    pub async fn connect(namespace: &Namespace) -> Result<Self> {
        let client = Client::with_uri_str(namespace.mongodb_uri()).await?;
        let mongo = client.default_database().context("the URI names a database")?;
        // Sixteen tests at once must not exhaust the server's connections.
        let mart = PgPoolOptions::new()
            .max_connections(2)
            .acquire_timeout(Duration::from_secs(10))
            .connect_lazy(&namespace.database_url())?;
        Ok(Self { mongo, mart })
    }

    /// Everything that is stored at this moment.
    ///
    /// # Errors
    /// When a store does not answer, or a document cannot be read.
    pub async fn records(&self) -> Result<Records> {
        let mut mart_text = String::new();
        for fact in FACTS {
            let rows: Vec<String> =
                sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT row_to_json(f)::text FROM {fact} f")))
                    .fetch_all(&self.mart)
                    .await?;
            mart_text.push_str(&rows.join("\n"));
        }
        Ok(Records {
            bookings: self.all("bookings").await?,
            blocks: self.all("blocks").await?,
            claims: self.all("claims").await?,
            notifications: self.all("notifications").await?,
            account_mails: self.all("account_mails").await?,
            mart_bookings: sqlx::query_as(
                "SELECT booking_id, rev, status, room_amount, tax_amount, total_amount FROM fact_booking",
            )
            .fetch_all(&self.mart)
            .await?,
            mart_bed_nights: sqlx::query_as("SELECT booking_id, bed_id, night FROM fact_bed_night")
                .fetch_all(&self.mart)
                .await?,
            mart_events: sqlx::query_scalar("SELECT event_id FROM fact_booking_event").fetch_all(&self.mart).await?,
            ledgers: self.all("payments").await?,
            mart_payments: sqlx::query_as("SELECT entry_id, kind, amount FROM fact_payment")
                .fetch_all(&self.mart)
                .await?,
            mart_notifications: self.count("fact_notification").await?,
            mart_text,
        })
    }

    async fn count(&self, table: &'static str) -> Result<usize> {
        let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
            .fetch_one(&self.mart)
            .await?;
        Ok(usize::try_from(rows)?)
    }

    /// All documents of a collection.
    ///
    /// # Errors
    /// When MongoDB does not answer, or a document has another shape.
    pub async fn all<T: DeserializeOwned + Send + Sync>(&self, collection: &str) -> Result<Vec<T>> {
        self.mongo
            .collection::<T>(collection)
            .find(doc! {})
            .await?
            .try_collect()
            .await
            .with_context(|| collection.to_owned())
    }

    /// Inserts a document, bypassing the product.
    ///
    /// # Errors
    /// When MongoDB refuses.
    pub async fn insert(&self, collection: &str, document: Document) -> Result<()> {
        self.mongo.collection::<Document>(collection).insert_one(document).await?;
        Ok(())
    }

    /// Deletes the document with this id, bypassing the product.
    ///
    /// # Errors
    /// When MongoDB does not answer.
    pub async fn delete(&self, collection: &str, id: &str) -> Result<u64> {
        Ok(self.mongo.collection::<Document>(collection).delete_one(doc! { "_id": id }).await?.deleted_count)
    }

    /// Sets fields of the document with this id, bypassing the product.
    ///
    /// # Errors
    /// When there is no such document, or MongoDB does not answer.
    pub async fn set(&self, collection: &str, id: &str, fields: Document) -> Result<()> {
        let found = self
            .mongo
            .collection::<Document>(collection)
            .update_one(doc! { "_id": id }, doc! { "$set": fields })
            .await?;
        anyhow::ensure!(found.matched_count == 1, "no document {id} in {collection}");
        Ok(())
    }

    /// Deletes everything about a booking but its mails from the mart, as if its events had never arrived.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn delete_from_mart(&self, booking: Uuid) -> Result<()> {
        for fact in FACTS.into_iter().filter(|fact| *fact != "fact_notification") {
            sqlx::query(sqlx::AssertSqlSafe(format!("DELETE FROM {fact} WHERE booking_id = $1")))
                .bind(booking)
                .execute(&self.mart)
                .await?;
        }
        Ok(())
    }
}
