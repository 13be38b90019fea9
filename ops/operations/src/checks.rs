//! Checks of engines, queues and stores, each with a remedy: what `pvt doctor` prints and the console's overview shows.

use crate::readiness::not_ready;
use crate::reading::to_its_end;
use crate::seed::accounts::ACCOUNTS;
use crate::{broker, maintenance, queue_pauses};
use pvt_domain::accounts::Email;
use pvt_messaging::management::NodeState;
use pvt_messaging::{QueueDepth, QueueRole, QueueSpec, queue_depths};
use pvt_service::config::{Config, Environment};
use pvt_stores::StoreError;
use pvt_stores::mart::Mart;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::maintenance::Maintenance;
use pvt_stores::mongo::queue_pauses::QueuePause;
use secrecy::ExposeSecret;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

const PROBE_LIMIT: Duration = Duration::from_secs(3);
/// What is known of stored things while MongoDB is down.
const UNKNOWN: &str = "unknown, MongoDB cannot be read";

/// Names of the checks, from the one whose failure does the most harm: first guests cannot book, then bookings are not
/// decided, then mails and reports are late.
const BY_HARM: [&str; 16] = [
    API,
    MAINTENANCE,
    RABBITMQ,
    ALARM,
    MONGODB,
    QUEUES,
    CONSUMERS,
    DEMONSTRATION_ACCOUNTS,
    UNROUTABLE,
    DEAD_LETTERS,
    DEAD_LETTERS_IN_QUEUES,
    SMTP,
    POSTGRESQL,
    PAUSES,
    PAUSED_MESSAGES,
    SCHEDULES,
];
const API: &str = "API";
const MAINTENANCE: &str = "maintenance";
const RABBITMQ: &str = "RabbitMQ";
const ALARM: &str = "RabbitMQ alarm";
const MONGODB: &str = "MongoDB";
const QUEUES: &str = "queues";
const CONSUMERS: &str = "consumers";
const DEMONSTRATION_ACCOUNTS: &str = "demonstration accounts";
const UNROUTABLE: &str = "unroutable messages";
/// The name of the check for stored dead letters.
pub const DEAD_LETTERS: &str = "dead letters";
const DEAD_LETTERS_IN_QUEUES: &str = "dead letters in queues";
const SMTP: &str = "SMTP server";
const POSTGRESQL: &str = "PostgreSQL";
const PAUSES: &str = "pauses of queues";
const PAUSED_MESSAGES: &str = "messages of paused queues";
const SCHEDULES: &str = "schedules";

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The name of the check.
    pub what: &'static str,
    /// Why it failed; absent when it passed.
    pub trouble: Option<String>,
    /// It failed, but nothing stands still for it.
    pub warning: bool,
    /// What to do when it fails.
    pub remedy: &'static str,
}

/// Runs every check, all at once; `name` is that of the connections.
pub async fn run(config: &Config, mongo: &Mongo, name: &'static str) -> Vec<Finding> {
    let counting = mongo.clone();
    let counts = timeout(PROBE_LIMIT, to_its_end(async move { counting.dead_letters().count_by_queue().await })).await;
    let counts = counts.map_err(|_| format!("no answer within {PROBE_LIMIT:?}"));
    let counts = counts.and_then(|counted| counted.map_err(|error| error.to_string()));
    run_with_dead_letters(config, mongo, counts.as_ref().map_err(String::as_str), name).await
}

/// The same where the dead letters are counted anyway, by queue.
pub async fn run_with_dead_letters(
    config: &Config,
    mongo: &Mongo,
    dead_letters: Result<&BTreeMap<String, u64>, &str>,
    name: &'static str,
) -> Vec<Finding> {
    let of_broker = async {
        let pauses = pauses(mongo).await;
        let mut findings = vec![paused_queues(pauses.as_deref())];
        findings.extend(rabbitmq(config, name, &pauses.unwrap_or_default()).await);
        findings
    };
    let of_accounts = async {
        let is_exposed = config.environment == Environment::Production || !config.is_local();
        if is_exposed { Some(demonstration_accounts(mongo).await) } else { None }
    };
    let (mongodb, postgres, smtp, api, maintenance, schedules, alarm, of_broker, of_accounts) = tokio::join!(
        mongodb(mongo),
        postgres(config, name),
        smtp(config),
        api(config),
        maintenance_mode(mongo),
        schedules(mongo),
        alarm(config),
        of_broker,
        of_accounts
    );
    let dead_letters = dead_letters_found(dead_letters);
    let found = [mongodb, postgres, smtp, api, maintenance, schedules, alarm, dead_letters];
    found.into_iter().chain(of_broker).chain(of_accounts).collect()
}

/// Runs the checks that need no MongoDB, where its URI cannot be used at all, for this reason.
pub async fn run_without_mongodb(config: &Config, reason: &str, name: &'static str) -> Vec<Finding> {
    let mongodb =
        finding(MONGODB, Some(reason.to_owned()), "correct MONGODB_URI; what is stored there was not checked");
    let (postgres, smtp, api, alarm, of_broker) =
        tokio::join!(postgres(config, name), smtp(config), api(config), alarm(config), rabbitmq(config, name, &[]));
    let unknown = [maintenance_unknown(), paused_queues(None)];
    [mongodb, postgres, smtp, api, alarm].into_iter().chain(unknown).chain(of_broker).collect()
}

/// The checks that failed, failures before warnings, each from the most harmful.
pub fn in_order_of_harm(findings: &[Finding]) -> Vec<&Finding> {
    let mut wrong: Vec<&Finding> = findings.iter().filter(|finding| finding.trouble.is_some()).collect();
    let rank = |what: &str| BY_HARM.iter().position(|known| *known == what).unwrap_or(BY_HARM.len());
    wrong.sort_by_key(|finding| (finding.warning, rank(finding.what)));
    wrong
}

async fn mongodb(mongo: &Mongo) -> Finding {
    let mongo = mongo.clone();
    let probe = to_its_end(async move { mongo.ping().await });
    check(MONGODB, probe, "check MONGODB_URI; locally `pvt up` starts one; transactions need a replica set").await
}

/// Whether the API refuses changes because an operator wants it to.
async fn maintenance_mode(mongo: &Mongo) -> Finding {
    let mongo = mongo.clone();
    match timeout(PROBE_LIMIT, to_its_end(async move { mongo.maintenance().find().await })).await {
        Ok(Ok(stored)) => maintenance_known(stored.as_ref()),
        // Why is said elsewhere.
        Ok(Err(_)) | Err(_) => maintenance_unknown(),
    }
}

fn maintenance_known(stored: Option<&Maintenance>) -> Finding {
    let remedy = "the API refuses changes; `pvt maintenance off` ends it";
    Finding { warning: true, ..finding(MAINTENANCE, stored.map(maintenance::summary), remedy) }
}

fn maintenance_unknown() -> Finding {
    let unknown = Some("unknown, MongoDB cannot be read".to_owned());
    let remedy = "API instances keep to what they read last, and those that start refuse changes: repair MongoDB";
    Finding { warning: true, ..finding(MAINTENANCE, unknown, remedy) }
}

/// Schedules that were ahead of the server's clock have continued; a second time may mean that the clock is wrong.
async fn schedules(mongo: &Mongo) -> Finding {
    let mongo = mongo.clone();
    let probe = to_its_end(async move {
        let ahead = mongo.schedules().ahead_of_clock().await?;
        anyhow::Ok(ahead.map(|ahead| format!("ahead of the clock of MongoDB's server: {ahead}")))
    });
    let remedy = "a backup was restored or a clock was wrong: compare the clock of MongoDB's server with the true time";
    Finding { warning: true, ..check_stored(SCHEDULES, probe, remedy).await }
}

/// All pauses of queues; `None` when MongoDB cannot be read, and why is said elsewhere.
async fn pauses(mongo: &Mongo) -> Option<Vec<QueuePause>> {
    let mongo = mongo.clone();
    timeout(PROBE_LIMIT, to_its_end(async move { mongo.queue_pauses().list().await })).await.ok()?.ok()
}

fn paused_queues(pauses: Option<&[QueuePause]>) -> Finding {
    let Some(pauses) = pauses else {
        let unknown = Some(UNKNOWN.to_owned());
        let remedy = "workers keep to the pauses that they read last, and those that start wait: repair MongoDB";
        return Finding { warning: true, ..finding(PAUSES, unknown, remedy) };
    };
    let words = pauses
        .iter()
        .map(|QueuePause { queue, since, actor, reason }| format!("{queue} by {actor} since {since}: {reason}"));
    let words: Vec<String> = words.collect();
    let trouble = (!words.is_empty()).then(|| words.join("; "));
    Finding { warning: true, ..finding(PAUSES, trouble, "`pvt queues resume` ends one") }
}

/// An alarm of the broker, which then takes no messages while everything else of it works.
async fn alarm(config: &Config) -> Finding {
    let remedy = "the broker takes no messages until it ends: free disk space, or find the queue that fills the \
        memory; delete no queue";
    let nodes = async { anyhow::Ok(broker::management(config)?.nodes().await?) };
    let nodes = match timeout(PROBE_LIMIT, nodes).await {
        Ok(Ok(nodes)) => nodes,
        Ok(Err(error)) => return alarm_unknown(&error.to_string()),
        Err(_) => return alarm_unknown(&format!("no answer within {PROBE_LIMIT:?}")),
    };
    let on: Vec<String> = nodes.iter().flat_map(NodeState::alarms).collect();
    finding(ALARM, (!on.is_empty()).then(|| format!("on: {}", on.join(", "))), remedy)
}

fn alarm_unknown(reason: &str) -> Finding {
    let remedy = "check RABBITMQ_MANAGEMENT_URL; its user needs the tag `monitoring` or `administrator`";
    Finding { warning: true, ..finding(ALARM, Some(format!("unknown: {reason}")), remedy) }
}

/// Messages that were given up.
fn dead_letters_found(counts: Result<&BTreeMap<String, u64>, &str>) -> Finding {
    let trouble = match counts {
        Ok(counts) if counts.is_empty() => None,
        Ok(counts) => {
            let words: Vec<String> = counts.iter().map(|(queue, count)| format!("{count} of {queue}")).collect();
            Some(words.join(", "))
        }
        Err(reason) => Some(reason.to_owned()),
    };
    let remedy = "`pvt dead groups` shows the causes; `pvt dead replay` returns them to their queues, `pvt dead \
        discard` removes them";
    finding(DEAD_LETTERS, trouble, remedy)
}

async fn postgres(config: &Config, name: &str) -> Finding {
    let probe = async {
        let mart = Mart::connect(config.database_url.expose_secret(), name)?;
        let found = mart.ping().await;
        mart.close().await;
        found
    };
    check(POSTGRESQL, probe, "check DATABASE_URL; locally `pvt up` starts one").await
}

async fn smtp(config: &Config) -> Finding {
    let probe = async {
        let url = Url::parse(config.smtp_url.expose_secret())?;
        let port = url.port().unwrap_or(if url.scheme() == "smtps" { 465 } else { 25 });
        TcpStream::connect((url.host_str().unwrap_or_default(), port)).await?;
        anyhow::Ok(())
    };
    check(SMTP, probe, "check SMTP_URL; mails wait in the queue until it answers").await
}

async fn api(config: &Config) -> Finding {
    let probe = async {
        let mut url = config.api_metrics_url.join("readyz")?;
        url.set_query(Some("verbose"));
        let response = reqwest::get(url).await?;
        if response.status().is_success() { Ok(()) } else { Err(anyhow::anyhow!(not_ready(&response.text().await?))) }
    };
    check(
        API,
        probe,
        "`pvt status` shows where its log is; `pvt up` starts it; elsewhere set PVT_METRICS_ADDR as the API has it, or \
            PVT_API_METRICS_URL",
    )
    .await
}

/// Their passwords are published. A database that was once used for development may have them.
async fn demonstration_accounts(mongo: &Mongo) -> Finding {
    let mongo = mongo.clone();
    let probe = to_its_end(async move {
        let mut active = Vec::new();
        for account in &ACCOUNTS {
            let Ok(email) = Email::parse(account.email) else { continue };
            let found = mongo.users().find_by_email(&email).await?;
            active.extend(found.filter(|user| user.disabled_at.is_none()).map(|_| account.email));
        }
        anyhow::Ok((!active.is_empty()).then(|| format!("active: {}", active.join(", "))))
    });
    let remedy = "their passwords are published: disable them with `pvt users disable`";
    check_stored(DEMONSTRATION_ACCOUNTS, probe, remedy).await
}

async fn rabbitmq(config: &Config, name: &str, pauses: &[QueuePause]) -> Vec<Finding> {
    let topology = broker::topology(config);
    let queues = topology.queues();
    let names: Vec<String> = queues.iter().map(|queue| queue.name.clone()).collect();
    let counts = match timeout(PROBE_LIMIT, queue_depths(config.amqp_url.expose_secret(), name, &names)).await {
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
        finding(RABBITMQ, None, ""),
        finding(QUEUES, missing.map(|missing| format!("missing: {missing}")), "`pvt topology apply` declares them"),
        finding(
            CONSUMERS,
            names(&|queue, count| {
                let is_consumed = count.is_none_or(|count| count.consumers > 0);
                matches!(queue.role, QueueRole::Work { .. }) && !is_consumed && !is_paused(&queue.name)
            }),
            "start the workers of these queues, for example with `pvt workers run --all`",
        ),
        Finding { warning: true, ..finding(PAUSED_MESSAGES, waiting, "`pvt queues resume` lets workers take them") },
        finding(
            DEAD_LETTERS_IN_QUEUES,
            names(&|queue, count| {
                matches!(queue.role, QueueRole::Dead { .. }) && count.is_some_and(|count| count.ready > 0)
            }),
            "the worker `scheduler` stores them within seconds unless it or MongoDB is down, or they cannot be stored: \
                `pvt dead list` shows them",
        ),
        finding(
            UNROUTABLE,
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
    finding(RABBITMQ, Some(trouble), "check AMQP_URL; locally `pvt up` starts one")
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

/// The same for what MongoDB holds: what is wrong there, if anything. That MongoDB cannot be read is a finding of its
/// own; then, and when the check itself failed, it found nothing, and its remedy would mislead.
async fn check_stored(
    what: &'static str,
    probe: impl Future<Output = anyhow::Result<Option<String>>>,
    remedy: &'static str,
) -> Finding {
    let unread = |why: &str| finding(what, Some(format!("{UNKNOWN}: {why}")), "repair MongoDB first, then check again");
    match timeout(PROBE_LIMIT, probe).await {
        Ok(Ok(trouble)) => finding(what, trouble, remedy),
        Ok(Err(error)) if matches!(error.downcast_ref(), Some(StoreError::Unavailable { .. })) => {
            unread(&error.to_string())
        }
        Ok(Err(error)) => finding(
            what,
            Some(format!("unknown: {error:#}")),
            "what is stored cannot be read as it is: the trouble says why",
        ),
        Err(_) => unread(&format!("no answer within {PROBE_LIMIT:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{API, BY_HARM, DEAD_LETTERS, PAUSES, SCHEDULES, UNKNOWN, check_stored, finding, in_order_of_harm};
    use pvt_stores::StoreError;

    #[tokio::test]
    async fn unread_store_is_not_blamed_on_what_it_holds() {
        let remedy = "a clock was wrong";
        let message = "connection refused".to_owned();
        let refused = StoreError::Unavailable { store: "mongodb", message };
        let unread = check_stored(SCHEDULES, async { Err(refused.into()) }, remedy).await;
        let trouble = unread.trouble.unwrap();
        assert!(trouble.starts_with(UNKNOWN) && trouble.contains("connection refused"), "{trouble}");
        assert!(unread.remedy.contains("repair MongoDB"), "{}", unread.remedy);
        let message = "invalid type: string \"x\"".to_owned();
        let broken = StoreError::Broken { store: "mongodb", message };
        let failed = check_stored(SCHEDULES, async { Err(broken.into()) }, remedy).await;
        assert!(failed.trouble.unwrap().contains("invalid type"), "why it failed is said");
        assert!(!["clock", "MongoDB"].iter().any(|word| failed.remedy.contains(word)), "{}", failed.remedy);
        let ahead = check_stored(SCHEDULES, async { Ok(Some("ahead".to_owned())) }, remedy).await;
        assert_eq!((ahead.trouble.as_deref(), ahead.remedy), (Some("ahead"), remedy));
        assert_eq!(check_stored(SCHEDULES, async { Ok(None) }, remedy).await.trouble, None);
    }

    #[test]
    fn failures_come_before_warnings_and_passed_checks_are_left_out() {
        let failed = |what| finding(what, Some("wrong".to_owned()), "");
        let warning = super::Finding { warning: true, ..failed(PAUSES) };
        let found = [failed(DEAD_LETTERS), finding(BY_HARM[1], None, ""), warning, failed(API)];
        let order: Vec<&str> = in_order_of_harm(&found).into_iter().map(|finding| finding.what).collect();
        assert_eq!(order, [API, DEAD_LETTERS, PAUSES]);
    }
}
