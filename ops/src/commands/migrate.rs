//! `pvt migrate`: collections, indexes and tables.

use crate::reachability::Dependency::{MongoDb, PostgreSql};
use crate::settings;
use anyhow::Result;
use pvt_operations::{migrate, terminal};

/// Creates collections, indexes and tables, or brings them up to this version
#[derive(Debug, clap::Args)]
#[command(after_help = "Repeating it is harmless. Run it before a new version starts.")]
pub(crate) struct Migrate;

impl Migrate {
    pub(crate) async fn run(self) -> Result<()> {
        migrate::run(&settings::ready(&[MongoDb, PostgreSql]).await?).await?;
        terminal::note("The collections and indexes of MongoDB and the tables of PostgreSQL are up to date.");
        Ok(())
    }
}
