//! Checks of engines, queues and stores, each with a remedy: what `pvt doctor` prints and the console's overview shows.

mod broker;
mod servers;
mod stored;

pub use stored::waiting_queues;

use crate::reading::to_its_end;
use broker::{alarm, rabbitmq};
use pvt_service::config::{Config, Environment};
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use serde::Serialize;
use servers::{api, mongodb, postgres, smtp};
use std::collections::BTreeMap;
use std::time::Duration;
use stored::{dead_letters_found, demonstration_accounts, maintenance_mode, maintenance_unknown, paused_queues};
use tokio::time::timeout;

const PROBE_LIMIT: Duration = Duration::from_secs(3);
/// What is known of stored things while MongoDB is down.
const UNKNOWN: &str = "unknown, MongoDB cannot be read";
/// What operators do about pauses in the console.
const RESUME: &str = "Resume a queue once the reason of its pause is over.";

/// Names of the checks, from the one whose failure does the most harm: first guests cannot book, then bookings are not
/// decided, then mails and reports are late.
const BY_HARM: [&str; 17] = [
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
    WAITING_QUEUES,
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
/// The name of the check for queues without consumers.
pub const CONSUMERS: &str = "consumers";
/// The name of the check for queues whose workers wait for a dependency.
pub const WAITING_QUEUES: &str = "queues that wait";
const DEMONSTRATION_ACCOUNTS: &str = "demonstration accounts";
const UNROUTABLE: &str = "unroutable messages";
/// The name of the check for stored dead letters.
pub const DEAD_LETTERS: &str = "dead letters";
/// The name of the check for dead letters that are not stored yet.
pub const DEAD_LETTERS_IN_QUEUES: &str = "dead letters in queues";
const SMTP: &str = "SMTP server";
const POSTGRESQL: &str = "PostgreSQL";
/// The name of the check for queues that operators have paused.
pub const PAUSES: &str = "pauses of queues";
/// The name of the check for messages in them.
pub const PAUSED_MESSAGES: &str = "messages of paused queues";
/// The name of the check for the progress of schedules.
pub const SCHEDULES: &str = "schedules";

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
    /// The same for operators who have only the console, where that differs.
    #[serde(skip)]
    pub in_console: Option<&'static str>,
}

/// What to do when a check fails.
#[derive(Debug, Clone, Copy)]
struct Remedy {
    text: &'static str,
    in_console: Option<&'static str>,
}

impl Remedy {
    /// One that names commands, and the same for operators who have only the console.
    const fn with_console(text: &'static str, in_console: &'static str) -> Self {
        Self { text, in_console: Some(in_console) }
    }
}

impl From<&'static str> for Remedy {
    fn from(text: &'static str) -> Self {
        Self { text, in_console: None }
    }
}

/// Runs every check, all at once; `name` is that of the connections.
pub async fn run(config: &Config, mongo: &Mongo, name: &'static str) -> Vec<Finding> {
    let counting = mongo.clone();
    let counts = async {
        let count = to_its_end(async move { counting.dead_letters().count_by_queue().await });
        let counted = timeout(PROBE_LIMIT, count).await.map_err(|_| format!("no answer within {PROBE_LIMIT:?}"));
        let counted = counted.and_then(|counts| counts.map_err(|error| error.to_string()));
        dead_letters_found(counted.as_ref().map_err(String::as_str))
    };
    run_beside(config, mongo, counts, name).await
}

/// The same where the dead letters are counted anyway, by queue.
pub async fn run_with_dead_letters(
    config: &Config,
    mongo: &Mongo,
    dead_letters: Result<&BTreeMap<String, u64>, &str>,
    name: &'static str,
) -> Vec<Finding> {
    run_beside(config, mongo, async { dead_letters_found(dead_letters) }, name).await
}

async fn run_beside(
    config: &Config,
    mongo: &Mongo,
    dead_letters: impl Future<Output = Finding>,
    name: &'static str,
) -> Vec<Finding> {
    let of_broker = async {
        let pauses = stored::pauses(mongo).await;
        let mut findings = vec![paused_queues(mongo, pauses.as_deref()).await];
        findings.extend(rabbitmq(config, name, &pauses.unwrap_or_default()).await);
        findings
    };
    let of_accounts = async {
        let is_exposed = config.environment == Environment::Production || !config.is_local();
        if is_exposed { Some(demonstration_accounts(mongo).await) } else { None }
    };
    let of_servers = async { tokio::join!(mongodb(mongo), postgres(config, name), smtp(config), api(config)) };
    let of_stored =
        async { tokio::join!(maintenance_mode(mongo), stored::schedules(mongo), stored::queues_that_wait(mongo)) };
    let (servers, (maintenance, schedules, waiting), dead_letters, alarm, of_broker, of_accounts) =
        tokio::join!(of_servers, of_stored, dead_letters, alarm(config), of_broker, of_accounts);
    let (mongodb, postgres, smtp, api) = servers;
    let found = [mongodb, postgres, smtp, api, maintenance, schedules, alarm, dead_letters, waiting];
    found.into_iter().chain(of_broker).chain(of_accounts).collect()
}

/// Runs the checks that need no MongoDB, where its URI cannot be used at all, for this reason.
pub async fn run_without_mongodb(config: &Config, reason: &str, name: &'static str) -> Vec<Finding> {
    let mongodb =
        finding(MONGODB, Some(reason.to_owned()), "correct MONGODB_URI; what is stored there was not checked");
    let (postgres, smtp, api, alarm, of_broker) =
        tokio::join!(postgres(config, name), smtp(config), api(config), alarm(config), rabbitmq(config, name, &[]));
    let unknown = [maintenance_unknown(), stored::pauses_unknown()];
    [mongodb, postgres, smtp, api, alarm].into_iter().chain(unknown).chain(of_broker).collect()
}

/// The checks that failed, failures before warnings, each from the most harmful.
pub fn in_order_of_harm<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> Vec<&'f Finding> {
    let mut wrong: Vec<&Finding> = findings.into_iter().filter(|finding| finding.trouble.is_some()).collect();
    let rank = |what: &str| BY_HARM.iter().position(|known| *known == what).unwrap_or(BY_HARM.len());
    wrong.sort_by_key(|finding| (finding.warning, rank(finding.what)));
    wrong
}

fn finding(what: &'static str, trouble: Option<String>, remedy: impl Into<Remedy>) -> Finding {
    let Remedy { text, in_console } = remedy.into();
    Finding { what, trouble, warning: false, remedy: text, in_console }
}

/// Runs one check within the time limit.
async fn check<E: std::fmt::Display>(
    what: &'static str,
    probe: impl Future<Output = Result<(), E>>,
    remedy: impl Into<Remedy>,
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
    remedy: impl Into<Remedy>,
) -> Finding {
    read_finding(what, async { Ok(finding(what, probe.await?, remedy)) }).await
}

/// The same where the finding follows from what was read.
async fn read_finding(what: &'static str, probe: impl Future<Output = anyhow::Result<Finding>>) -> Finding {
    let unread = |why: &str| finding(what, Some(format!("{UNKNOWN}: {why}")), "repair MongoDB first, then check again");
    match timeout(PROBE_LIMIT, probe).await {
        Ok(Ok(found)) => found,
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
    use super::{
        API, BY_HARM, DEAD_LETTERS, PAUSES, SCHEDULES, UNKNOWN, WAITING_QUEUES, check_stored, dead_letters_found,
        finding, in_order_of_harm, maintenance_unknown, stored, waiting_queues,
    };
    use crate::queue_outages::QueueOutage;
    use chrono::{TimeDelta, Utc};
    use pvt_domain::timestamp::Timestamp;
    use pvt_stores::StoreError;
    use std::collections::BTreeMap;

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
    fn unknown_findings_have_no_remedy_that_takes_them_for_known() {
        let counts = BTreeMap::from([("emails".to_owned(), 3)]);
        let found = dead_letters_found(Ok(&counts));
        assert!(found.remedy.contains("pvt dead") && found.in_console.unwrap().contains("Look at the causes"));
        for unknown in [dead_letters_found(Err("refused")), stored::pauses_unknown(), maintenance_unknown()] {
            assert!(unknown.in_console.is_none() && unknown.remedy.contains("repair MongoDB"), "{unknown:?}");
            assert!(unknown.trouble.as_ref().unwrap().starts_with("unknown") && !unknown.remedy.contains("pvt "));
        }
    }

    #[test]
    fn queue_that_waits_is_a_failure_once_its_outage_has_lasted() {
        let since: Timestamp = Utc::now().into();
        let outage =
            QueueOutage { dependency: "the SMTP server".to_owned(), operation: None, since, oldest_sent_at: None };
        let outages = BTreeMap::from([("emails".to_owned(), outage)]);
        let after = |seconds| waiting_queues(&outages, since.as_datetime() + TimeDelta::seconds(seconds));
        assert_eq!((after(59).warning, after(60).warning), (true, false));
        let passed = waiting_queues(&BTreeMap::new(), Utc::now());
        assert_eq!((passed.trouble, passed.warning), (None, false));
        let dead = finding(DEAD_LETTERS, Some("3 of bookings".to_owned()), "");
        let order: Vec<&str> = in_order_of_harm([&after(60), &dead]).into_iter().map(|one| one.what).collect();
        assert_eq!(order, [DEAD_LETTERS, WAITING_QUEUES], "late mails do the least harm");
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
