//! Machine and engines of a run, as its report names them.

use super::namespace::Namespace;
use anyhow::Result;
use mongodb::bson::doc;
use serde::{Deserialize, Serialize};
use std::fs;
use std::time::Duration;

const MANAGEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// The machine and its engines.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    pub(super) cores: usize,
    pub(super) cpu: String,
    pub(super) memory_mib: u64,
    pub(super) kernel: String,
    pub(super) rabbitmq: String,
    pub(super) mongodb: String,
    pub(super) postgresql: String,
}

/// Inspects this machine and asks the engines for their versions.
pub(super) async fn inspect(namespace: &Namespace) -> Result<Machine> {
    let build = namespace.database().run_command(doc! { "buildInfo": 1 }).await?;
    let postgresql: String = sqlx::query_scalar("SHOW server_version").fetch_one(namespace.postgres()).await?;
    Ok(Machine {
        cores: std::thread::available_parallelism()?.get(),
        cpu: after_colon("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
        memory_mib: after_colon("/proc/meminfo", "MemTotal")
            .and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok())
            .unwrap_or_default()
            / 1_024,
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
        rabbitmq: rabbitmq_version(&namespace.urls().management).await?,
        mongodb: build.get_str("version").unwrap_or("unknown").to_owned(),
        postgresql: postgresql.split(' ').next().unwrap_or_default().to_owned(),
    })
}

async fn rabbitmq_version(management: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Overview {
        rabbitmq_version: String,
    }
    let http = reqwest::Client::builder().timeout(MANAGEMENT_TIMEOUT).build()?;
    let answer =
        http.get(format!("{}/api/overview", management.trim_end_matches('/'))).send().await?.error_for_status()?;
    Ok(answer.json::<Overview>().await?.rabbitmq_version)
}

fn after_colon(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let (_, value) = text.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == name)?;
    Some(value.trim().to_owned())
}
