//! `pvt doctor`: checks settings, engines, queues and stores, and names a remedy for each failed check.

use crate::output::Output;
use crate::settings;
use anyhow::{Result, bail};
use pvt_domain::accounts::Email;
use pvt_messaging::{QueueDepth, QueueRole, QueueSpec, queue_depths};
use pvt_operations::seed::accounts::ACCOUNTS;
use pvt_operations::{broker, queue_pauses, terminal};
use pvt_service::config::{Config, Environment};
use pvt_stores::mart::Mart;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::queue_pauses::QueuePause;
use secrecy::ExposeSecret;
use serde::Serialize;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

const PROBE_LIMIT: Duration = Duration::from_secs(3);

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
    pub(crate) async fn run(self) -> Result<()> {
        run(&settings::load()?, self.output.json).await
    }
}

/// The result of one check.
#[derive(Serialize)]
struct Finding {
    what: &'static str,
    /// Why it failed; absent when it passed.
    trouble: Option<String>,
    /// It failed, but nothing stands still for it.
    warning: bool,
    remedy: &'static str,
}

/// Runs every check; fails when one of them does.
async fn run(config: &Config, json: bool) -> Result<()> {
    let mut findings = vec![mongodb(config).await, postgres(config).await, smtp(config).await, api(config).await];
    findings.push(schedules(config).await);
    let pauses = pauses(config).await;
    findings.push(paused_queues(pauses.as_deref()));
    findings.push(dead_letters(config).await);
    findings.extend(rabbitmq(config, &pauses.unwrap_or_default()).await);
    if config.environment == Environment::Production || !config.is_local() {
        findings.push(demonstration_accounts(config).await);
    }
    if json {
        terminal::json(&findings)?;
    }
    for finding in findings.iter().filter(|_| !json) {
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

async fn mongodb(config: &Config) -> Finding {
    let probe = async {
        let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt doctor").await?;
        let found = mongo.ping().await;
        mongo.shutdown().await;
        found
    };
    check("MongoDB", probe, "check MONGODB_URI; locally `pvt up` starts one; transactions need a replica set").await
}

/// Schedules that were ahead of the server's clock have continued; a second time may mean that the clock is wrong.
async fn schedules(config: &Config) -> Finding {
    let probe = async {
        let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt doctor").await?;
        let ahead = mongo.schedules().ahead_of_clock().await;
        mongo.shutdown().await;
        match ahead? {
            None => Ok(()),
            Some(ahead) => Err(anyhow::anyhow!("ahead of the clock of MongoDB's server: {ahead}")),
        }
    };
    let remedy = "a backup was restored or a clock was wrong: compare the clock of MongoDB's server with the true time";
    Finding { warning: true, ..check("schedules", probe, remedy).await }
}

/// All pauses of queues; `None` when MongoDB cannot be read, and why is said elsewhere.
async fn pauses(config: &Config) -> Option<Vec<QueuePause>> {
    let read = async {
        let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt doctor").await.ok()?;
        let read = mongo.queue_pauses().list().await.ok();
        mongo.shutdown().await;
        read
    };
    timeout(PROBE_LIMIT, read).await.ok().flatten()
}

fn paused_queues(pauses: Option<&[QueuePause]>) -> Finding {
    let Some(pauses) = pauses else {
        let unknown = Some("unknown, MongoDB cannot be read".to_owned());
        let remedy = "workers keep to the pauses that they read last, and those that start wait: repair MongoDB";
        return Finding { warning: true, ..finding("pauses of queues", unknown, remedy) };
    };
    let words = pauses
        .iter()
        .map(|QueuePause { queue, since, actor, reason }| format!("{queue} by {actor} since {since}: {reason}"));
    let words: Vec<String> = words.collect();
    let trouble = (!words.is_empty()).then(|| words.join("; "));
    Finding { warning: true, ..finding("pauses of queues", trouble, "`pvt queues resume` ends one") }
}

/// Messages that were given up.
async fn dead_letters(config: &Config) -> Finding {
    let probe = async {
        let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt doctor").await?;
        let counts = mongo.dead_letters().count_by_queue().await;
        mongo.shutdown().await;
        let words = counts?.into_iter().map(|(queue, count)| format!("{count} of {queue}"));
        let words: Vec<String> = words.collect();
        if words.is_empty() { Ok(()) } else { Err(anyhow::anyhow!(words.join(", "))) }
    };
    let remedy = "`pvt dead groups` shows the causes; `pvt dead replay` returns them to their queues, `pvt dead \
        discard` removes them";
    check("dead letters", probe, remedy).await
}

async fn postgres(config: &Config) -> Finding {
    let probe = async { Mart::connect(config.database_url.expose_secret(), "pvt doctor")?.ping().await };
    check("PostgreSQL", probe, "check DATABASE_URL; locally `pvt up` starts one").await
}

async fn smtp(config: &Config) -> Finding {
    let probe = async {
        let url = Url::parse(config.smtp_url.expose_secret())?;
        let port = url.port().unwrap_or(if url.scheme() == "smtps" { 465 } else { 25 });
        TcpStream::connect((url.host_str().unwrap_or_default(), port)).await?;
        anyhow::Ok(())
    };
    check("SMTP server", probe, "check SMTP_URL; mails wait in the queue until it answers").await
}

async fn api(config: &Config) -> Finding {
    let probe = async {
        let response = reqwest::get(format!("http://{}/readyz?verbose", config.api_metrics_addr)).await?;
        if response.status().is_success() { Ok(()) } else { Err(anyhow::anyhow!("{}", response.text().await?)) }
    };
    check(
        "API",
        probe,
        "`pvt status` shows where its log is; `pvt up` starts it; elsewhere set PVT_METRICS_ADDR as the API has it",
    )
    .await
}

/// Their passwords are published. A database that was once used for development may have them.
async fn demonstration_accounts(config: &Config) -> Finding {
    let probe = async {
        let mongo = Mongo::connect(config.mongodb_uri.expose_secret(), "pvt doctor").await?;
        let mut active = Vec::new();
        for account in &ACCOUNTS {
            let Ok(email) = Email::parse(account.email) else { continue };
            let found = mongo.users().find_by_email(&email).await?;
            active.extend(found.filter(|user| user.disabled_at.is_none()).map(|_| account.email));
        }
        mongo.shutdown().await;
        if active.is_empty() { Ok(()) } else { Err(anyhow::anyhow!("active: {}", active.join(", "))) }
    };
    check("demonstration accounts", probe, "their passwords are published: disable them with `pvt users disable`").await
}

async fn rabbitmq(config: &Config, pauses: &[QueuePause]) -> Vec<Finding> {
    let topology = broker::topology(config);
    let queues = topology.queues();
    let names: Vec<String> = queues.iter().map(|queue| queue.name.clone()).collect();
    let counts = match timeout(PROBE_LIMIT, queue_depths(config.amqp_url.expose_secret(), "pvt doctor", &names)).await {
        Ok(Ok(counts)) => counts,
        Ok(Err(error)) => return vec![broker_down(error.to_string())],
        Err(_) => return vec![broker_down(format!("no answer within {PROBE_LIMIT:?}"))],
    };
    let is_paused = |queue: &str| !queue_pauses::concerning(&topology, pauses, queue).is_empty();
    let names = |wrong: &dyn Fn(&QueueSpec, Option<QueueDepth>) -> bool| {
        let found: Vec<&str> = queues
            .iter()
            .zip(&counts)
            .filter(|(queue, count)| wrong(queue, **count))
            .map(|(queue, _)| queue.name.as_str())
            .collect();
        (!found.is_empty()).then(|| found.join(", "))
    };
    let missing = names(&|_, count| count.is_none());
    let waiting = |(queue, count): (&QueueSpec, &Option<QueueDepth>)| {
        let ready = count.map_or(0, |count| count.ready);
        (ready > 0 && is_paused(&queue.name)).then(|| format!("{} ({ready})", queue.name))
    };
    let waiting: Vec<String> = queues.iter().zip(&counts).filter_map(waiting).collect();
    let waiting = (!waiting.is_empty()).then(|| format!("wait in {}", waiting.join(", ")));
    vec![
        finding("RabbitMQ", None, ""),
        finding("queues", missing.map(|missing| format!("missing: {missing}")), "`pvt topology apply` declares them"),
        finding(
            "consumers",
            names(&|queue, count| {
                let is_consumed = count.is_none_or(|count| count.consumers > 0);
                matches!(queue.role, QueueRole::Work { .. }) && !is_consumed && !is_paused(&queue.name)
            }),
            "start the workers of these queues, for example with `pvt workers run --all`",
        ),
        Finding {
            warning: true,
            ..finding("messages of paused queues", waiting, "`pvt queues resume` lets workers take them")
        },
        finding(
            "dead letters in queues",
            names(&|queue, count| {
                matches!(queue.role, QueueRole::Dead { .. }) && count.is_some_and(|count| count.ready > 0)
            }),
            "the worker `scheduler` stores them within seconds unless it or MongoDB is down, or they cannot be stored: \
                `pvt dead list` shows them",
        ),
        finding(
            "unroutable messages",
            names(&|queue, count| queue.role == QueueRole::Unroutable && count.is_some_and(|count| count.ready > 0)),
            "their queues are missing: `pvt topology apply` declares them, and the worker `scheduler` moves the \
                messages within seconds; `pvt dead list --unroutable` shows them, a key that no queue is bound to is \
                a defect of its publisher",
        ),
    ]
}

fn finding(what: &'static str, trouble: Option<String>, remedy: &'static str) -> Finding {
    Finding { what, trouble, warning: false, remedy }
}

fn broker_down(trouble: String) -> Finding {
    finding("RabbitMQ", Some(trouble), "check AMQP_URL; locally `pvt up` starts one")
}

/// Runs one check within the time limit.
async fn check<E: std::fmt::Display>(
    what: &'static str,
    probe: impl Future<Output = Result<(), E>>,
    remedy: &'static str,
) -> Finding {
    let trouble = match timeout(PROBE_LIMIT, probe).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("no answer within {PROBE_LIMIT:?}")),
    };
    finding(what, trouble, remedy)
}
