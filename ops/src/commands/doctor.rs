//! `pvt doctor`: checks settings, engines, queues and stores, and names a remedy for each failed check.

use crate::output::Output;
use crate::settings;
use anyhow::{Result, bail};
use pvt_operations::{checks, terminal};
use pvt_stores::mongo::Mongo;
use secrecy::ExposeSecret;

/// The name of its connections.
const NAME: &str = "pvt doctor";

/// Checks settings, engines, queues and stores, and says what to do
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pvt doctor
  pvt doctor --json")]
pub(crate) struct Doctor {
    #[command(flatten)]
    output: Output,
}

impl Doctor {
    /// Runs every check; fails when one of them does.
    pub(crate) async fn run(self) -> Result<()> {
        let config = settings::load()?;
        let findings = match Mongo::connect(config.mongodb_uri.expose_secret(), NAME).await {
            Ok(mongo) => {
                let findings = checks::run(&config, &mongo, NAME).await;
                mongo.shutdown().await;
                findings
            }
            Err(error) => checks::run_without_mongodb(&config, &error.to_string(), NAME).await,
        };
        if self.output.json {
            terminal::json(&findings)?;
        }
        for finding in findings.iter().filter(|_| !self.output.json) {
            match &finding.trouble {
                None => terminal::data(format_args!("ok     {}", finding.what)),
                Some(trouble) => {
                    let word = if finding.warning { "WARN " } else { "WRONG" };
                    terminal::data(format_args!("{word}  {}: {trouble}\n       → {}", finding.what, finding.remedy))
                }
            }
        }
        let wrong = findings.iter().filter(|finding| finding.trouble.is_some() && !finding.warning).count();
        if wrong == 0 { Ok(()) } else { bail!("{wrong} of {} checks failed", findings.len()) }
    }
}
