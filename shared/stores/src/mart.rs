//! Analytics mart on PostgreSQL, loaded with batches of events in any order and with any repetition.
//!
//! It holds no personal data and nothing that could not be rebuilt from MongoDB. It never decides whether a booking
//! exists.

mod bed_nights;
mod columns;
mod dimensions;
mod facts;
mod payments;
mod progress;

use crate::StoreError;
use columns::Columns;
use pvt_domain::inventory::Inventory;
use pvt_domain::messages::AnalyticsEvent;
use sqlx::PgPool;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::str::FromStr;
use std::time::Duration;

/// Connections of one process. Loads are batched, so few are needed at once.
const MAX_CONNECTIONS: u32 = 8;
/// How long an operation waits for a connection before PostgreSQL counts as down.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// Begins a write. The bounds belong to the transaction, not to the session: behind a transaction pooler session
/// settings are refused or leak to others. The first bound ends an abandoned transaction. The last one is longer than
/// a load holds its locks and than the server takes to find a deadlock: behind a forgotten session a load gives up.
const BEGIN: &str = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '20s'; \
    SET LOCAL statement_timeout = '20s'; SET LOCAL lock_timeout = '2s'";

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// A pool of connections to the mart. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Mart {
    pool: PgPool,
}

/// Number of rows that a load changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Events that were not in the mart before.
    pub new_events: u64,
    /// Bookings that were added or moved to a newer revision.
    pub bookings: u64,
    /// Bed-nights that were written.
    pub bed_nights: u64,
    /// Entries of ledgers that were added or moved to a newer revision.
    pub entries: u64,
}

impl Mart {
    /// A pool that connects when it is first used. Does not fail because the server is down.
    ///
    /// The URL may choose a schema: `?options=-csearch_path%3Dname`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`StoreError::Broken`] when the URL cannot be read.
    pub fn connect(url: &str, app_name: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)?.application_name(app_name);
        let pool = PgPoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options);
        Ok(Self { pool })
    }

    /// Whether PostgreSQL answers.
    ///
    /// # Errors
    /// [`StoreError`] when it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Whether the server takes writes to the mart's tables: a transaction that changes no row's content commits.
    ///
    /// # Errors
    /// [`StoreError`] when it does not.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin_with(BEGIN).await?;
        // With a transaction id the commit is written, although no row is.
        sqlx::query("SELECT pg_current_xact_id()").execute(&mut *transaction).await?;
        sqlx::query("UPDATE dim_property SET property_id = property_id WHERE property_id = ''")
            .execute(&mut *transaction)
            .await?;
        sqlx::query("UPDATE fact_booking SET property_id = property_id WHERE property_id = ''")
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Creates and updates the tables; several processes may do so at once. Needs a session of its own: not through a
    /// transaction pooler.
    ///
    /// # Errors
    /// [`StoreError`] when the server refuses, or has a migration that this build does not know.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let pool = self.pool.clone();
        finish(async move { MIGRATIONS.run(&pool).await.map_err(migration_failed) }).await
    }

    /// Loads events in one transaction. A booking's newest revision wins in whatever order events arrive; an event that
    /// was loaded before changes nothing.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was loaded, unless the connection broke during the commit. Loading again is always
    /// safe.
    pub async fn load<'a>(&self, events: impl IntoIterator<Item = &'a AnalyticsEvent>) -> Result<Load, StoreError> {
        let columns = Columns::of(events);
        let pool = self.pool.clone();
        // In a task of its own: dropping a future of the driver between BEGIN and COMMIT would give the pool a
        // connection with an open transaction.
        finish(async move {
            let mut transaction = pool.begin_with(BEGIN).await.map_err(failed)?;
            dimensions::fill(&mut transaction, &columns).await.map_err(failed)?;
            let load = facts::load(&mut transaction, &columns).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(load)
        })
        .await
    }

    /// Stores names and attributes of a property and its room types, which events refer to by id only.
    ///
    /// # Errors
    /// [`StoreError`] when PostgreSQL fails.
    pub async fn describe(&self, inventory: &Inventory) -> Result<(), StoreError> {
        let (pool, inventory) = (self.pool.clone(), inventory.clone());
        finish(async move {
            let mut transaction = pool.begin_with(BEGIN).await.map_err(failed)?;
            dimensions::describe(&mut transaction, &inventory).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)
        })
        .await
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Runs the work to its end, even when the caller stops waiting for it.
async fn finish<T: Send + 'static>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::Broken { store: "postgres", message: error.to_string() }),
    }
}

/// Classifies an error of the statements of this module, which are the same for every message.
///
/// A refused log-in, a missing table or a missing right is therefore never caused by the loaded events: the mart is
/// unusable until an operator migrates it or grants access. Until then events must wait, not become dead letters.
fn failed(error: sqlx::Error) -> StoreError {
    // Classes: 28 authorization, 3D unknown database, 3F unknown schema, 42 unknown table or column, or no right to it.
    let unusable = |code: &str| ["28", "3D", "3F", "42"].iter().any(|class| code.starts_with(class));
    match error.as_database_error().and_then(|database| database.code()) {
        Some(code) if unusable(&code) => StoreError::Unavailable {
            store: "postgres",
            message: format!("the mart is not usable; check its migrations and grants: {error}"),
        },
        _ => error.into(),
    }
}

fn migration_failed(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        other => StoreError::Broken { store: "postgres", message: other.to_string() },
    }
}
