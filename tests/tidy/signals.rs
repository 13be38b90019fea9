//! Alerting rules, dashboard and runbooks: they name metrics that exist, and each other. Attributes of spans.
//!
//! Whether the expressions find anything is for `tests/prometheus/run`, which asks a real Prometheus.

use super::{assert_documented, assert_none, literals, metrics, product, root};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

const RULES: &str = "ops/deploy/prometheus/rules.yml";
const RULE_TESTS: &str = "ops/deploy/prometheus/rules_test.yml";
const DASHBOARD: &str = "ops/deploy/grafana/pvt.json";
const RUNBOOKS: &str = "docs/runbooks.md";
/// The only names of spans and of their attributes.
const SPAN_NAMES: &str = "shared/traces/src/names.rs";
/// Names of earlier versions, which end with the next release.
const ALIASES: &str = "shared/service/src/telemetry/renamed_metrics.rs";

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The metrics of this version.
fn current_metrics() -> BTreeSet<String> {
    let mut sources = product();
    sources.retain(|(path, _)| path != ALIASES);
    metrics(sources)
}

/// Each alert with its text in the rules, up to the next rule.
fn alerts(rules: &str) -> Vec<(&str, &str)> {
    let rule = |text: &str| text.find("\n      - ").unwrap_or(text.len());
    let alerts = rules.split("- alert: ").skip(1).map(|text| &text[..rule(text)]);
    alerts.map(|text| (text.lines().next().unwrap().trim(), text)).collect()
}

/// The rest of each line that begins with `key`.
fn values<'t>(text: &'t str, key: &str) -> BTreeSet<&'t str> {
    text.lines().filter_map(|line| line.trim().strip_prefix(key)).map(str::trim).collect()
}

/// The names of metrics, recorded ones included, in a text with expressions.
fn named_metrics(text: &str) -> BTreeSet<&str> {
    let of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    text.split(|c| !of_name(c)).filter(|name| name.starts_with("pvt_") || name.starts_with("pvt:")).collect()
}

/// The queries of a dashboard.
fn queries(dashboard: &Value) -> Vec<&str> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.map(|target| target["expr"].as_str().unwrap()).collect()
}

#[test]
fn rules_and_dashboard_use_existing_metrics() {
    let (metrics, rules) = (current_metrics(), read(RULES));
    let recorded = values(&rules, "- record:");
    let exists = |name: &str| {
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        metrics.contains(name) || recorded.contains(name) || of_histogram.is_some_and(|name| metrics.contains(name))
    };
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let queries = queries(&dashboard).join("\n");
    let mut wrong = Vec::new();
    for (path, text) in [(RULES, &rules), (DASHBOARD, &queries), (RULE_TESTS, &read(RULE_TESTS))] {
        let names = named_metrics(text);
        assert!(names.len() > 20, "{path}: only {names:?} are found");
        wrong.extend(names.into_iter().filter(|name| !exists(name)).map(|name| format!("{path}: {name}")));
    }
    assert_none("metrics that do not exist", wrong);
}

#[test]
fn every_metric_is_on_the_dashboard() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let queries = queries(&dashboard).join("\n");
    let shown = named_metrics(&queries);
    let is_shown = |name: &str| shown.iter().any(|shown| shown.starts_with(name));
    let absent = current_metrics().into_iter().filter(|name| !is_shown(name));
    assert_none("metrics without a panel", absent.collect());
}

#[test]
fn every_alert_says_how_urgent_it_is_and_what_to_do() {
    let (rules, runbooks) = (read(RULES), read(RUNBOOKS));
    let alerts = alerts(&rules);
    assert!(alerts.len() > 20, "only {} alerts are found", alerts.len());
    let sections = values(&runbooks, "## ");
    let mut wrong = Vec::new();
    for (name, text) in &alerts {
        let url = format!("runbook_url: {RUNBOOKS}#{}", name.to_lowercase());
        let severities = ["labels: { severity: critical }", "labels: { severity: warning }"];
        let parts = [
            ("its summary", text.contains("summary: ")),
            ("its description", text.contains("description: ")),
            (
                "the value in its description",
                text.split_once("description: ").is_some_and(|(_, text)| text.contains("$value")),
            ),
            ("its severity", severities.iter().any(|severity| text.contains(severity))),
            ("the address of its runbook", text.contains(&format!("{url}\n")) || text.trim_end().ends_with(&url)),
            ("its section of the runbooks", sections.contains(name)),
        ];
        wrong.extend(parts.iter().filter(|(_, is_there)| !is_there).map(|(part, _)| format!("{name}: {part}")));
    }
    let names: BTreeSet<&str> = alerts.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), alerts.len(), "an alert has two rules");
    wrong.extend(sections.difference(&names).map(|section| format!("{RUNBOOKS}: {section} is no alert")));
    assert_none("what alerts lack", wrong);
}

#[test]
fn every_alert_is_tested_silent_and_firing() {
    let (rules, tests) = (read(RULES), read(RULE_TESTS));
    let mut blocks = tests.split("\n  - name: ").skip(1);
    let healthy = blocks.next().unwrap();
    assert!(healthy.starts_with("a busy and healthy day\n"), "the first test is the healthy day");
    let faulty = blocks.collect::<Vec<_>>().join("\n");
    let mut wrong = Vec::new();
    for (name, _) in alerts(&rules) {
        let count = |tests: &str, expected: &str| {
            let checks = tests.split("alertname: ").filter_map(|check| check.strip_prefix(name));
            let of_alert = checks.filter(|check| !check.starts_with(|c: char| c.is_alphanumeric()));
            of_alert.filter(|check| check.contains(expected)).count()
        };
        // The healthy day alone says nothing about thresholds and times.
        let (on_healthy_day, silent) = (count(healthy, "exp_alerts: []"), count(&faulty, "exp_alerts: []"));
        let fires = count(&faulty, "exp_annotations:");
        if on_healthy_day == 0 || silent == 0 || fires == 0 {
            wrong.push(format!("{name}: silent {on_healthy_day} and {silent} times, firing {fires} times"));
        }
    }
    assert_none("alerts that are not tested on healthy, early and faulty series", wrong);
}

#[test]
fn every_attribute_of_spans_is_documented_and_named_in_one_place() {
    let is_attribute = |text: &str| {
        text.contains('.')
            && text.chars().all(|c| c.is_ascii_lowercase() || c == '.' || c == '_')
            && !text.ends_with('.')
    };
    let names = read(SPAN_NAMES);
    let names: BTreeSet<String> = literals(&names).filter(|text| is_attribute(text)).map(str::to_owned).collect();
    assert!(names.len() > 15, "only {names:?} are found");
    let mut wrong = Vec::new();
    for (path, text) in product().into_iter().filter(|(path, _)| path != SPAN_NAMES) {
        let named = literals(&text).filter(|text| names.contains(*text)).map(|name| format!("{path}: {name}"));
        wrong.extend(named);
    }
    assert_none("attributes that are named outside of the module of names", wrong);
    assert_documented("attributes of spans", names);
}
