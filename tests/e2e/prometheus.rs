//! Alerting rules and dashboard, evaluated by a real Prometheus that scrapes the running product.
//!
//! Ignored by default, because it needs an external program, which `tests/prometheus/run` installs. The rules' own unit
//! tests check when an alert fires; this checks that its expression finds what the product shows.

use crate::harness::{Expectations, LONG_TIMEOUT, SHORT_TIMEOUT, Stack, StackBuilder, ports};
use crate::payments::{paid, wait_until_refunded};
use anyhow::{Context, Result, ensure};
use lapin::options::BasicPublishOptions;
use pvt_domain::demo;
use pvt_testkit::{DORM, booking_body, days_from_now, eventually, properties};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use tokio::process::{Child, Command};

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
/// Every second or two what runs every minute or hour, so that all metrics exist soon.
const SCHEDULES: &str = r#"{"expire_holds": {"cron": "* * * * * *"}, "reconcile_payments": {"cron": "*/2 * * * * *"}}"#;
/// It waits for a schedule's first fire, which may be an hour off.
const PENDING_AT_FIRST: &str = "SchedulesDoNotFire";

/// Metrics that this journey does not make, because they exist only after a fault or a race, with the reason. A
/// selector is excused when it begins like this.
const AFTER_A_FAULT: [(&str, &str); 7] = [
    ("pvt_broker_reconnects_total", "the broker was never restarted"),
    ("pvt_claim_conflicts_total", "no batch contradicted another writer"),
    ("pvt_publish_failures_total", "the broker confirmed everything"),
    ("pvt_rate_limited_total", "no client was too fast"),
    ("pvt_stripe_foreign_payments_total", "every payment was for a booking"),
    ("pvt_transaction_retries_total", "no transaction had to be repeated"),
    ("pvt_worker_operation_unavailable", "Stripe answered every operation"),
];

/// A Prometheus that scrapes a stack every second, killed when it is dropped.
struct Prometheus {
    base: String,
    http: reqwest::Client,
    _process: Child,
}

impl Prometheus {
    async fn start(stack: &Stack, targets: &[SocketAddr]) -> Result<Self> {
        let program = std::env::var_os("PVT_PROMETHEUS").context("run tests/prometheus/run")?;
        let (folder, address) = (stack.folder().join("prometheus"), ports::free()?);
        std::fs::create_dir_all(&folder)?;
        let settings = json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": [Path::new(DEPLOY).join("prometheus/rules.yml")],
            "scrape_configs": [{ "job_name": "pvt", "static_configs": [{ "targets": targets }] }],
        });
        // JSON is YAML.
        std::fs::write(folder.join("prometheus.yml"), settings.to_string())?;
        let log = File::create(folder.join("prometheus.log"))?;
        let process = Command::new(program)
            .current_dir(&folder)
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=warn"])
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let prometheus =
            Self { base: format!("http://{address}"), http: stack.client.http().clone(), _process: process };
        let ready = || async {
            let answer = prometheus.http.get(format!("{}/-/ready", prometheus.base)).send().await?;
            Ok(answer.status().is_success().then_some(()))
        };
        eventually("Prometheus is ready", SHORT_TIMEOUT, ready).await?;
        Ok(prometheus)
    }

    /// `data` of an answer of the HTTP API.
    async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let url = url::Url::parse_with_params(&format!("{}/api/v1/{path}", self.base), parameters)?;
        let answer: Value = self.http.get(url).send().await?.json().await?;
        ensure!(answer["status"] == "success", "{parameters:?}: {answer}");
        Ok(answer["data"].clone())
    }

    /// The values of an expression now.
    async fn values(&self, expression: &str) -> Result<Vec<f64>> {
        let data = self.get("query", &[("query", expression)]).await?;
        let result = data["result"].as_array().with_context(|| format!("a vector: {expression}"))?;
        let value = |series: &Value| series["value"][1].as_str().context("a value")?.parse().context("a number");
        result.iter().map(value).collect()
    }

    async fn has_series(&self, selector: &str) -> Result<bool> {
        Ok(!self.values(selector).await?.is_empty())
    }

    /// All rules as Prometheus has read them; each must have been evaluated without an error.
    async fn rules(&self) -> Result<Vec<Value>> {
        let data = self.get("rules", &[]).await?;
        let groups = data["groups"].as_array().context("groups")?.iter();
        let rules: Vec<Value> = groups.filter_map(|group| group["rules"].as_array()).flatten().cloned().collect();
        for rule in &rules {
            ensure!(rule["health"] != "err" && rule["lastError"].as_str().is_none_or(str::is_empty), "{rule}");
        }
        Ok(rules)
    }

    /// The alerts in this state.
    async fn alerts(&self, state: &str) -> Result<BTreeSet<String>> {
        let rules = self.rules().await?;
        let alerts = rules.iter().filter(|rule| rule["state"] == state);
        Ok(alerts.filter_map(|rule| rule["name"].as_str()).map(str::to_owned).collect())
    }

    /// Waits until an alert is pending or fires.
    async fn wait_for_alert(&self, name: &str) -> Result<()> {
        let raised = || async {
            let (pending, firing) = (self.alerts("pending").await?, self.alerts("firing").await?);
            Ok((pending.contains(name) || firing.contains(name)).then_some(()))
        };
        eventually(&format!("{name} is raised"), LONG_TIMEOUT, raised).await
    }
}

/// The queries of the dashboard.
fn dashboard() -> Result<Vec<String>> {
    let text = std::fs::read_to_string(Path::new(DEPLOY).join("grafana/pvt.json"))?;
    let dashboard: Value = serde_json::from_str(&text)?;
    let panels = dashboard["panels"].as_array().context("panels")?.iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    // Grafana's own variable, at least four scrapes long.
    let query = |target: &Value| Some(target["expr"].as_str()?.replace("$__rate_interval", "1m"));
    targets.map(|target| query(target).with_context(|| format!("a query: {target}"))).collect()
}

/// The metrics of an expression, with the labels that it asks for.
fn selectors(expression: &str) -> Vec<String> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(begin) = rest.find(is_of_name) {
        let name = &rest[begin..];
        let end = name.find(|c| !is_of_name(c)).unwrap_or(name.len());
        let (name, after) = name.split_at(end);
        // No label's value contains a brace.
        let labels = after.strip_prefix('{').and_then(|labels| labels.find('}')).map_or(0, |end| end + 2);
        if name == "up" || name.starts_with("pvt_") || name.starts_with("pvt:") {
            // Prometheus sorts them. No label's value contains a comma.
            let mut sorted: Vec<&str> = after[..labels].trim_matches(['{', '}']).split(',').collect();
            sorted.sort_unstable();
            let sorted = sorted.join(",");
            found.push(if labels == 0 { name.to_owned() } else { format!("{name}{{{sorted}}}") });
        }
        rest = &after[labels..];
    }
    found
}

/// A selector for each alternative of a matcher such as `outcome=~"refused|unknown"`, so that each must exist.
fn alternatives(selector: &str) -> Vec<String> {
    let matcher = selector.split_once("=~\"").and_then(|(before, rest)| Some((before, rest.split_once('"')?)));
    match matcher {
        Some((before, (values, after))) if values.contains('|') => {
            values.split('|').map(|value| format!("{before}=\"{value}\"{after}")).collect()
        }
        _ => vec![selector.to_owned()],
    }
}

/// Bookings, a payment, a refund, a mail that is put off, a look at availability, and a reconciliation.
async fn business(stack: &Stack) -> Result<()> {
    stack.mailbox.inject_fault(&json!({ "mode": "451", "next": 1 })).await?;
    for day in 0..3 {
        let booked = stack.book(&format!("b{day}"), &booking_body(DORM, days_from_now(20 + 3 * day), 2, 1)).await?;
        stack.client.wait_for_decision(&booked).await?;
    }
    let (booked, ..) = paid(stack, "paid", days_from_now(60)).await?;
    let cancelled = stack.client.cancel(&booked).await?;
    ensure!(cancelled.status.is_success(), "{cancelled:?}");
    wait_until_refunded(stack, &booked, SHORT_TIMEOUT).await?;
    stack.wait_until_quiet(&Expectations::clean()).await?;
    let (from, until) = (days_from_now(10), days_from_now(12));
    let path = format!("/api/rooms/d6a/availability?property_id={}&from={from}&until={until}", demo::PROPERTY_ID);
    let free = stack.client.get(&path).await?;
    ensure!(free.status.is_success(), "{free:?}");
    stack.pvt_json(&["reconcile", "run", "--json"]).await?;
    Ok(())
}

/// One dead letter and one unroutable message; the second is discarded again.
async fn faults(stack: &Stack, prometheus: &Prometheus) -> Result<()> {
    let (_, unknown) = properties("carrier.pigeon.v1");
    stack.broker.send("emails", unknown, b"{}").await?;
    prometheus.wait_for_alert("DeadLettersPresent").await?;
    let (_, without_queue) = properties("carrier.pigeon.v1");
    let (channel, exchange) = (stack.broker.channel().await?, stack.topology.commands_exchange());
    let options = BasicPublishOptions::default();
    channel.basic_publish(exchange.as_str().into(), "no.such.key".into(), options, b"{}", without_queue).await?.await?;
    prometheus.wait_for_alert("UnroutableMessages").await?;
    let discarded = stack.pvt(&["dead", "discard", "--all", "--unroutable", "--reason", "a test"]).await?;
    ensure!(discarded.status.success(), "{discarded:?}");
    let none_left = || async { Ok((prometheus.values("max(pvt_unroutable_messages)").await? == [0.0]).then_some(())) };
    eventually("no message is unroutable", LONG_TIMEOUT, none_left).await?;
    // The scheduler read the message over a connection of its own, which has ended.
    let connected = prometheus.values("min(pvt_broker_connected)").await?;
    ensure!(connected.iter().all(|connections| *connections >= 1.0), "a connection that ended counts as lost");
    Ok(())
}

/// Waits until each selector finds something, except for those of [`AFTER_A_FAULT`].
async fn check_selectors(prometheus: &Prometheus, expressions: &[String]) -> Result<()> {
    let all = expressions.iter().flat_map(|expression| selectors(expression));
    let all: BTreeSet<String> = all.flat_map(|selector| alternatives(&selector)).collect();
    let excuse = |selector: &str| AFTER_A_FAULT.iter().find(|(metric, _)| selector.starts_with(metric));
    let mut uses: BTreeMap<&str, usize> = AFTER_A_FAULT.iter().map(|(metric, _)| (*metric, 0)).collect();
    ensure!(all.len() > 60, "only {all:?} are found");
    let (excused, asked): (Vec<_>, Vec<_>) = all.iter().partition(|selector| excuse(selector).is_some());
    for (metric, _) in excused.into_iter().filter_map(|selector| excuse(selector)) {
        *uses.entry(metric).or_default() += 1;
    }
    let found = || async {
        let mut absent = Vec::new();
        for selector in &asked {
            if !prometheus.has_series(selector).await? {
                absent.push(selector);
            }
        }
        ensure!(absent.is_empty(), "no series: {absent:#?}");
        Ok(Some(()))
    };
    eventually("every selector has series", SHORT_TIMEOUT, found).await?;
    let unused: Vec<_> = uses.iter().filter(|(_, uses)| **uses == 0).collect();
    ensure!(unused.is_empty(), "nothing asks for {unused:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs promtool and Prometheus: tests/prometheus/run"]
async fn rules_and_dashboard_find_what_the_product_shows() -> Result<()> {
    let workers = [
        ("bookings", &["confirmations", "payments"][..]),
        ("others", &["emails", "analytics", "reconciliation"]),
        ("scheduler", &["scheduler"]),
    ];
    let mut stack =
        StackBuilder::new().paid_online().with("PVT_SCHEDULES", SCHEDULES).workers(&workers).start().await?;
    let mut targets = vec![stack.config()?.metrics_addr];
    for (name, _) in workers {
        let url: url::Url = stack.metrics_url(name)?.parse()?;
        targets.extend(url.socket_addrs(|| None)?);
    }
    let prometheus = Prometheus::start(&stack, &targets).await?;
    business(&stack).await?;

    let rules = prometheus.rules().await?;
    ensure!(rules.len() > 30, "only {} rules were read", rules.len());
    let mut expressions = dashboard()?;
    for rule in &rules {
        expressions.push(rule["query"].as_str().context("a query")?.to_owned());
    }
    // The last of what alerts look at is counted by the scheduler, every 15 s.
    let counted = || async { Ok(prometheus.has_series("pvt_queue_consumers").await?.then_some(())) };
    eventually("the queues are counted", SHORT_TIMEOUT, counted).await?;
    let silent = || async {
        let mut raised = prometheus.alerts("pending").await?;
        raised.extend(prometheus.alerts("firing").await?);
        raised.retain(|alert| alert != PENDING_AT_FIRST);
        ensure!(raised.is_empty(), "nothing is wrong, but {raised:?}");
        Ok(Some(()))
    };
    eventually("no alert is raised", SHORT_TIMEOUT, silent).await?;

    faults(&stack, &prometheus).await?;
    check_selectors(&prometheus, &expressions).await?;
    for expression in &expressions {
        prometheus.values(expression).await?;
    }
    // Its frequent commands would always leave one in a queue.
    stack.program("scheduler")?.stop().await?;
    stack.end(Expectations::clean().dead("emails", 1)).await
}
