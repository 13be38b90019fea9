//! State of every process and engine, for `pvt status`.

use super::logs;
use super::record::{Process, RunRecord};
use anyhow::Result;
use pvt_local_engines::{EngineKind, EngineStatus, Instance, Urls};
use pvt_operations::readiness::Readiness;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// One process or engine.
#[derive(Debug, Serialize)]
pub(super) struct StatusRow {
    name: String,
    state: &'static str,
    pid: Option<i32>,
    url: Option<String>,
    /// Its log; unknown for an engine of the user's own.
    log: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
}

impl StatusRow {
    pub(super) fn into_row(self) -> [String; 5] {
        let state = self.trouble.map_or_else(|| self.state.to_owned(), |trouble| format!("{}: {trouble}", self.state));
        let dash = || "-".to_owned();
        let log = self.log.map_or_else(dash, |log| log.display().to_string());
        [self.name, state, self.pid.map_or_else(dash, |pid| pid.to_string()), self.url.unwrap_or_else(dash), log]
    }
}

/// Every engine and process with its present state.
pub(super) async fn rows(
    instance: &Instance,
    ours: &[EngineKind],
    urls: Option<&Urls>,
    record: Option<&RunRecord>,
) -> Result<Vec<StatusRow>> {
    let http = reqwest::Client::builder().timeout(PROBE_TIMEOUT).build().unwrap_or_default();
    let mut rows: Vec<StatusRow> =
        instance.status().await?.iter().map(|engine| engine_row(instance, engine, ours, urls)).collect();
    for process in record.map(|record| record.processes.as_slice()).unwrap_or_default() {
        let alive = process.identity.is_alive();
        let (state, trouble) = if alive { process_state(&http, process).await } else { ("stopped", None) };
        let log = Some(logs::path(instance.state_dir(), &process.name));
        let pid = alive.then_some(process.identity.pid);
        rows.push(StatusRow { name: process.name.clone(), state, pid, url: Some(process.url.clone()), log, trouble });
    }
    Ok(rows)
}

/// The state of a living process, and what is wrong with it.
async fn process_state(http: &reqwest::Client, process: &Process) -> (&'static str, Option<String>) {
    let url = process.health_url.as_ref().unwrap_or(&process.url);
    let Ok(response) = http.get(url).send().await else { return ("not answering", None) };
    match (&process.health_url, response.json::<Readiness>().await) {
        (Some(_), Ok(health)) => health.state(),
        (Some(_), Err(_)) => ("not answering", None),
        (None, _) => ("running", None),
    }
}

fn engine_row(instance: &Instance, engine: &EngineStatus, ours: &[EngineKind], urls: Option<&Urls>) -> StatusRow {
    let url = urls.map(|urls| match engine.kind {
        EngineKind::RabbitMq => &urls.amqp,
        EngineKind::MongoDb => &urls.mongodb,
        EngineKind::PostgreSql => &urls.postgres,
    });
    let state = if !ours.contains(&engine.kind) {
        "yours"
    } else if engine.running {
        "running"
    } else {
        "stopped"
    };
    StatusRow {
        name: engine.kind.slug().to_owned(),
        state,
        pid: engine.pid,
        url: url.map(|url| without_password(url)),
        log: ours.contains(&engine.kind).then(|| instance.log(engine.kind)),
        trouble: engine.trouble.clone(),
    }
}

fn without_password(url: &str) -> String {
    let Ok(mut parsed) = Url::parse(url) else { return "(unreadable)".to_owned() };
    if parsed.password().is_some() && parsed.set_password(Some("***")).is_err() {
        return "(unreadable)".to_owned();
    }
    parsed.to_string()
}
