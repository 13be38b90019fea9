//! What runs where on one machine, and the screen that says so.

use super::record::RunRecord;
use super::supervise::log_path;
use crate::output;
use crate::seed::accounts::ACCOUNTS;
use anyhow::{Context, Result};
use pvt_local_engines::{EngineKind, EngineStatus, Instance, Urls};
use pvt_service::config::{Config, Environment};
use secrecy::ExposeSecret;
use serde::Serialize;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// The workers' health and metrics listen from this port on, one each.
const FIRST_WORKER_PORT: u16 = 8081;

/// Where the simulated Stripe listens.
const SIMULATOR_ADDR: &str = "127.0.0.1:8091";
/// The key that it is asked with; it takes every one.
const SIMULATED_KEY: &str = "sk_test_simulated";

/// One process to run.
#[derive(Debug, Clone)]
pub(super) struct ProcessSpec {
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) ready_url: String,
    /// Where it listens.
    pub(super) listens: Vec<String>,
    /// What a person would open.
    pub(super) url: String,
}

/// All of it.
pub(super) struct StartPlan {
    pub(super) config: Config,
    /// In the order of starting and stopping.
    pub(super) processes: Vec<ProcessSpec>,
    /// By what other commands find this system; nothing secret that was not made up here.
    pub(super) settings: Vec<(String, String)>,
}

impl StartPlan {
    /// The processes on these engines, with the settings of the environment and of `.env` for all else.
    pub(super) fn new(urls: &Urls, state_dir: &Path) -> Result<Self> {
        let engines = urls.as_env().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut config = Config::from_env_between([], engines.clone())?;
        let mut engines = engines.to_vec();
        if config.environment == Environment::Development {
            // Links in mails lead to where the API listens, wherever that is, unless something else is set.
            let public = ("PUBLIC_URL".to_owned(), format!("http://{}", reachable(config.http_addr)));
            config = Config::from_env_between([public], engines.clone())?;
            engines.push(("PUBLIC_URL".to_owned(), config.public_url.to_string()));
        }
        let settings = published_settings(&config, urls);
        let mut processes =
            vec![process("api", &["api"], engines.clone(), &[&config.http_addr.to_string()], "/readyz", "/api")];
        let simulated = simulator(&config, state_dir);
        for (port, worker) in (FIRST_WORKER_PORT..).zip(pvt_workers::registry::NAMES) {
            let address = format!("127.0.0.1:{port}");
            let mut environment = engines.clone();
            environment.push(("PVT_METRICS_ADDR".to_owned(), address.clone()));
            if simulated.is_some() {
                environment.push(("STRIPE_SECRET_KEY".to_owned(), SIMULATED_KEY.to_owned()));
                environment.push(("STRIPE_API_BASE".to_owned(), format!("http://{SIMULATOR_ADDR}")));
            }
            processes.push(process(
                worker,
                &["workers", "run", worker],
                environment,
                &[&address],
                "/readyz",
                "/metrics",
            ));
        }
        if let Some(sink) = sink(&config, state_dir)? {
            processes.push(sink);
        }
        processes.extend(simulated);
        Ok(Self { config, processes, settings })
    }

    /// Refuses to start beside something that listens where our processes would.
    pub(super) fn check_ports(&self) -> Result<()> {
        for process in &self.processes {
            for address in &process.listens {
                std::net::TcpListener::bind(address.as_str()).with_context(|| {
                    format!(
                        "{} cannot listen on {address}: another program does; stop it, or set PVT_HTTP_ADDR, \
                        PVT_OPS_ADDR or SMTP_URL",
                        process.name
                    )
                })?;
            }
        }
        Ok(())
    }

    /// What runs where, and three things to try.
    pub(super) fn print_screen(&self, took: Duration) {
        let api = format!("http://{}", reachable(self.config.http_addr));
        let mails = format!("http://{}/dev/mail", self.config.ops_addr);
        output::note(format_args!("\nReady after {:.1} s.\n", took.as_secs_f64()));
        for process in &self.processes {
            output::note(format_args!("  {:<15} {}", process.name, process.url));
        }
        let arrival = chrono::Utc::now().date_naive() + chrono::Days::new(30);
        let departure = arrival + chrono::Days::new(3);
        let accounts = accounts(&self.config);
        output::note(format_args!(
            r#"
Try:
  curl -s -X POST {api}/api/bookings -H 'Content-Type: application/json' -H 'Prefer: wait=10' -H "Idempotency-Key: $RANDOM-$RANDOM" \
    -d '{{"property_id":"pvt-montreal","rate_plan_id":"standard","source":"direct",
         "stays":[{{"room_type_id":"dorm-6-mixed","arrival":"{arrival}","departure":"{departure}","guests":2}}],
         "guest":{{"first_name":"Ada","last_name":"Lovelace","email":"ada@example.com","locale":"en"}}}}'

  {mails}   the mails that went out (in a browser)
  cargo run -q -- queues list       what waits where (or: pvt queues list)

{accounts}Ctrl-C drains and stops everything. What happens now, line by line:"#
        ));
    }
}

/// The accounts of the demonstration with their passwords, where they exist.
fn accounts(config: &Config) -> String {
    if config.environment != Environment::Development {
        return String::new();
    }
    let lines = ACCOUNTS.iter().map(|account| format!("  {:<16} {}\n", account.email, account.password));
    format!("Log in at /api/auth/login (development only):\n{}\n", lines.collect::<String>())
}

/// An address to call for one to listen on: who listens on all listens on loopback too.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() { SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()) } else { address }
}

/// What other commands need to find this system. An engine of the user's is not written down: its URL may hold a
/// password.
fn published_settings(config: &Config, urls: &Urls) -> Vec<(String, String)> {
    let documented = Urls::from_env().missing().len() == EngineKind::ALL.len();
    let engines =
        urls.as_env().into_iter().filter(|_| documented).map(|(name, value)| (name.to_owned(), value.to_owned()));
    let own = [
        ("PVT_HTTP_ADDR", config.http_addr.to_string()),
        ("PVT_OPS_ADDR", config.ops_addr.to_string()),
        ("PUBLIC_URL", config.public_url.to_string()),
        ("PVT_QUEUE_PREFIX", config.queue_prefix.clone()),
        ("PVT_PARTITIONS", config.partitions.to_string()),
        ("PVT_RETRY_DIVISOR", config.retry_divisor.to_string()),
    ];
    engines.chain(own.into_iter().map(|(name, value)| (name.to_owned(), value))).collect()
}

/// The mail sink, unless mails go to a server of the user's.
fn sink(config: &Config, state_dir: &Path) -> Result<Option<ProcessSpec>> {
    let smtp = Url::parse(config.smtp_url.expose_secret())?;
    let loopback = matches!(smtp.host_str(), Some("127.0.0.1" | "localhost"));
    if std::env::var_os("SMTP_URL").is_some() || !loopback {
        return Ok(None);
    }
    let smtp_addr = format!("127.0.0.1:{}", smtp.port().unwrap_or(25));
    let http_addr = config.ops_addr.to_string();
    let store = state_dir.join("mails").display().to_string();
    let arguments = ["dev", "mail-sink", "--smtp", &smtp_addr, "--http", &http_addr, "--store", &store];
    Ok(Some(process("mail-sink", &arguments, Vec::new(), &[&http_addr, &smtp_addr], "/dev/mail/count", "/dev/mail")))
}

/// A simulated Stripe, unless a key for the real one is configured.
fn simulator(config: &Config, state_dir: &Path) -> Option<ProcessSpec> {
    if config.stripe_secret_key.is_some() || config.environment != Environment::Development {
        return None;
    }
    let webhook = format!("http://{}/api/payments/webhook", reachable(config.http_addr));
    let secret = config.stripe_webhook_secrets.first()?.expose_secret().to_owned();
    let store = state_dir.join("stripe").display().to_string();
    let arguments = ["dev", "stripe-simulator", "--addr", SIMULATOR_ADDR, "--webhook-url", &webhook, "--store", &store];
    // A secret has no place among arguments, which everybody on the machine can read.
    let environment = vec![("STRIPE_SIMULATOR_WEBHOOK_SECRETS".to_owned(), secret)];
    Some(process("stripe-simulator", &arguments, environment, &[SIMULATOR_ADDR], "/sim/effects.json", "/"))
}

fn process(
    name: &str,
    arguments: &[&str],
    environment: Vec<(String, String)>,
    listens: &[&str],
    ready_path: &str,
    link_path: &str,
) -> ProcessSpec {
    let page = |path: &str| format!("http://{}{path}", listens.first().unwrap_or(&""));
    ProcessSpec {
        name: name.to_owned(),
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        environment,
        ready_url: page(ready_path),
        listens: listens.iter().map(|address| (*address).to_owned()).collect(),
        url: page(link_path),
    }
}

/// One process or engine in `pvt status`.
#[derive(Debug, Serialize)]
pub(super) struct StatusRow {
    name: String,
    state: &'static str,
    pid: Option<i32>,
    url: Option<String>,
    /// Where it writes its log; an engine of the user's writes elsewhere.
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

/// Every engine and process, as found now.
pub(super) async fn status_rows(
    instance: &Instance,
    ours: &[EngineKind],
    urls: Option<&Urls>,
    record: Option<&RunRecord>,
) -> Result<Vec<StatusRow>> {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(2)).build().unwrap_or_default();
    let mut lines: Vec<StatusRow> =
        instance.status().await?.iter().map(|engine| engine_row(instance, engine, ours, urls)).collect();
    for process in record.map(|record| record.processes.as_slice()).unwrap_or_default() {
        let alive = process.identity.is_alive();
        let answers = alive && http.get(&process.url).send().await.is_ok();
        let state = if answers {
            "running"
        } else if alive {
            "not answering"
        } else {
            "stopped"
        };
        let log = Some(log_path(instance.state_dir(), &process.name));
        let pid = alive.then_some(process.identity.pid);
        lines.push(StatusRow {
            name: process.name.clone(),
            state,
            pid,
            url: Some(process.url.clone()),
            log,
            trouble: None,
        });
    }
    Ok(lines)
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
