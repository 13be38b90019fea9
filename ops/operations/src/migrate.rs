//! Migrations of both stores: collections, indexes and tables. Repeating them is harmless.

use anyhow::{Context, Result};
use pvt_service::config::Config;
use pvt_stores::mart::Mart;
use pvt_stores::mongo::Mongo;
use secrecy::ExposeSecret;

/// Brings both stores to the shape that this version needs.
///
/// # Errors
/// When a store cannot be reached or a migration fails.
pub async fn run(config: &Config) -> Result<()> {
    let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt migrate").await?;
    mongo.migrate().await.context("MongoDB (MONGODB_URI)")?;
    mongo.shutdown().await;
    // Migrations take locks, which a pooler in front of PostgreSQL may not support.
    let url = config.database_direct_url.as_ref().unwrap_or(&config.database_url);
    let mart = Mart::connect(url.expose_secret(), "pvt migrate")?;
    mart.migrate().await.context("PostgreSQL (DATABASE_URL)")?;
    mart.close().await;
    Ok(())
}
