//! `pvt seed`: the demonstration property with bookings.

use crate::reachability::Dependency::{MongoDb, RabbitMq};
use crate::settings;
use anyhow::Result;
use pvt_operations::{seed, terminal};

/// Creates the demonstration property and some bookings
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  pvt seed --days 30

In development it also creates the demonstration accounts. An existing property is left as it is.")]
pub(crate) struct Seed {
    /// Days from today that get bookings, at most a year
    #[arg(long, default_value_t = seed::DEFAULT_DAYS, value_parser = clap::value_parser!(u64).range(0..=365))]
    days: u64,
}

impl Seed {
    pub(crate) async fn run(self) -> Result<()> {
        if !seed::run(&settings::ready(&[MongoDb, RabbitMq]).await?, self.days).await? {
            terminal::note("The demonstration property exists already; nothing was added.");
        }
        Ok(())
    }
}
