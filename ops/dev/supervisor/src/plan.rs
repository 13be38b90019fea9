//! Start plan: the processes of the whole system with their settings and addresses, and the screen that shows them.

use anyhow::{Context, Result};
use pvt_local_engines::{EngineKind, Urls};
use pvt_operations::seed::accounts::ACCOUNTS;
use pvt_operations::terminal;
use pvt_service::config::{Config, Environment};
use secrecy::ExposeSecret;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use url::Url;

/// Address of the Stripe simulator.
const SIMULATOR_ADDR: &str = "127.0.0.1:8091";
/// Its API key; it accepts any test key.
const SIMULATED_KEY: &str = "sk_test_simulated";

/// Readiness of the API and of workers.
const READY_PATH: &str = "/readyz";

/// A process to run.
#[derive(Debug, Clone)]
pub(super) struct ProcessSpec {
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) ready_url: String,
    /// The parts of its health, if it is one of ours.
    pub(super) health_url: Option<String>,
    /// Addresses it listens on.
    pub(super) listens: Vec<String>,
    /// The URL to show.
    pub(super) url: String,
}

/// The processes and settings of one start.
pub(super) struct StartPlan {
    pub(super) config: Config,
    /// In the order in which they are started and stopped.
    pub(super) processes: Vec<ProcessSpec>,
    /// Settings by which other commands find this system. They hold no secret of the user.
    pub(super) settings: Vec<(String, String)>,
}

impl StartPlan {
    /// The processes on these engines. All other settings are those of the environment and of `.env`.
    pub(super) fn new(urls: &Urls, state_dir: &Path) -> Result<Self> {
        let engines = urls.as_env().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut config = Config::from_env_between([], engines.clone())?;
        let mut engines = engines.to_vec();
        if config.environment == Environment::Development {
            // Links in mails lead to the address of the API unless PUBLIC_URL is set.
            let public = ("PUBLIC_URL".to_owned(), format!("http://{}", reachable(config.http_addr)));
            config = Config::from_env_between([public], engines.clone())?;
            engines.push(("PUBLIC_URL".to_owned(), config.public_url.to_string()));
        }
        let settings = published_settings(&config, urls);
        let (http_addr, operators) = (config.http_addr.to_string(), config.api_metrics_addr.to_string());
        let console = [config.console_addr.to_string(), config.console_metrics_addr.to_string()];
        // No load balancer has to notice that the API stops.
        let of_api = [engines.as_slice(), &[("PVT_SHUTDOWN_DELAY".to_owned(), "0".to_owned())]].concat();
        let mut processes = vec![
            process("api", &["api"], of_api, &[&http_addr, &operators], READY_PATH, "/api"),
            process("console", &["console"], engines.clone(), &console.each_ref().map(String::as_str), READY_PATH, "/"),
        ];
        let simulated = simulator(&config, state_dir);
        for worker in pvt_workers::jobs::WORKERS {
            let address = format!("127.0.0.1:{}", worker.health_port);
            let mut environment = engines.clone();
            environment.push(("PVT_METRICS_ADDR".to_owned(), address.clone()));
            if simulated.is_some() {
                environment.push(("STRIPE_SECRET_KEY".to_owned(), SIMULATED_KEY.to_owned()));
                environment.push(("STRIPE_API_BASE".to_owned(), format!("http://{SIMULATOR_ADDR}")));
            }
            processes.push(process(
                worker.name,
                &["workers", "run", worker.name],
                environment,
                &[&address],
                READY_PATH,
                "/metrics",
            ));
        }
        if let Some(sink) = sink(&config, state_dir)? {
            processes.push(sink);
        }
        processes.extend(simulated);
        Ok(Self { config, processes, settings })
    }

    /// Refuses to start when another program occupies an address of the plan.
    pub(super) fn check_ports(&self) -> Result<()> {
        for process in &self.processes {
            for address in &process.listens {
                std::net::TcpListener::bind(address.as_str()).with_context(|| {
                    format!(
                        "{} cannot listen on {address}: another program does. Stop it, or set PVT_HTTP_ADDR, \
                        PVT_METRICS_ADDR, PVT_CONSOLE_ADDR, PVT_CONSOLE_METRICS_ADDR, PVT_OPS_ADDR or SMTP_URL",
                        process.name
                    )
                })?;
            }
        }
        Ok(())
    }

    /// Prints the addresses and some first steps.
    pub(super) fn print_screen(&self, took: Duration) {
        let api = format!("http://{}", reachable(self.config.http_addr));
        let mails = format!("http://{}/dev/mail", self.config.ops_addr);
        let console = &self.config.console_url;
        terminal::note(format_args!("\nReady after {:.1} s.\n", took.as_secs_f64()));
        for process in &self.processes {
            terminal::note(format_args!("  {:<15} {}", process.name, process.url));
        }
        let arrival = chrono::Utc::now().date_naive() + chrono::Days::new(30);
        let departure = arrival + chrono::Days::new(3);
        let accounts = accounts(&self.config);
        terminal::note(format_args!(
            r#"
Try:
  curl -s -X POST {api}/api/bookings -H 'Content-Type: application/json' -H 'Prefer: wait=10' \
    -H "Idempotency-Key: $RANDOM-$RANDOM" \
    -d '{{"property_id":"pvt-montreal","rate_plan_id":"standard","source":"direct",
         "stays":[{{"room_type_id":"dorm-6-mixed","arrival":"{arrival}","departure":"{departure}","guests":2}}],
         "guest":{{"first_name":"Ada","last_name":"Lovelace","email":"ada@example.com","locale":"en"}}}}'

  {console}   the operator's console: what is wrong, queues, bookings (in a browser)
  {mails}   the mails that were sent
  cargo run -q -- queues list       queue depths (or: pvt queues list)

{accounts}Ctrl-C drains and stops everything. Events, one a line:"#
        ));
    }
}

/// The demonstration accounts with their passwords; none in production, where they do not exist.
fn accounts(config: &Config) -> String {
    if config.environment != Environment::Development || !config.is_local() {
        return String::new();
    }
    let lines = ACCOUNTS.iter().map(|account| format!("  {:<16} {}\n", account.email, account.password));
    format!("Log in at the console and at /api/auth/login (development only):\n{}\n", lines.collect::<String>())
}

/// An address to connect to for an address to listen on.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() { SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()) } else { address }
}

/// The settings by which other commands find this system. The URL of a user's own engine is left out: it may hold a
/// password.
fn published_settings(config: &Config, urls: &Urls) -> Vec<(String, String)> {
    let documented = Urls::from_env().missing().len() == EngineKind::ALL.len();
    let engines =
        urls.as_env().into_iter().filter(|_| documented).map(|(name, value)| (name.to_owned(), value.to_owned()));
    let own = [
        ("PVT_HTTP_ADDR", config.http_addr.to_string()),
        ("PVT_OPS_ADDR", config.ops_addr.to_string()),
        ("PVT_CONSOLE_ADDR", config.console_addr.to_string()),
        ("PVT_CONSOLE_METRICS_ADDR", config.console_metrics_addr.to_string()),
        ("PUBLIC_URL", config.public_url.to_string()),
        ("PVT_QUEUE_PREFIX", config.queue_prefix.clone()),
        ("PVT_PARTITIONS", config.partitions.to_string()),
        ("PVT_RETRY_DIVISOR", config.retry_divisor.to_string()),
    ];
    engines.chain(own.into_iter().map(|(name, value)| (name.to_owned(), value))).collect()
}

/// The mail sink, unless a mail server is configured.
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

/// The Stripe simulator, unless a key for Stripe is configured.
fn simulator(config: &Config, state_dir: &Path) -> Option<ProcessSpec> {
    if config.stripe_secret_key.is_some() || config.environment != Environment::Development {
        return None;
    }
    let webhook = format!("http://{}/api/payments/webhook", reachable(config.http_addr));
    let secret = config.stripe_webhook_secrets.first()?.expose_secret().to_owned();
    let store = state_dir.join("stripe").display().to_string();
    let arguments = ["dev", "stripe-simulator", "--addr", SIMULATOR_ADDR, "--webhook-url", &webhook, "--store", &store];
    // Arguments are visible to every user of the machine, so the secret is passed in the environment.
    let environment = vec![("STRIPE_SIMULATOR_WEBHOOK_SECRETS".to_owned(), secret)];
    Some(process("stripe-simulator", &arguments, environment, &[SIMULATOR_ADDR], "/sim/effects.json", "/"))
}

/// On the listener for operators, the last one.
fn health_url(listens: &[&str]) -> String {
    format!("http://{}{READY_PATH}?verbose", listens.last().unwrap_or(&""))
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
        health_url: (ready_path == READY_PATH).then(|| health_url(listens)),
        listens: listens.iter().map(|address| (*address).to_owned()).collect(),
        url: page(link_path),
    }
}
