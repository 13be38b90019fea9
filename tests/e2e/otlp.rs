//! Spans as a collector receives them, and the product beside a collector that does not.
//!
//! The first ones need external programs and are ignored by default; `tests/otlp/run` installs them.

mod failures;
mod tls;

use crate::harness::{ApiResponse, CONSUMERS, Expectations, SHORT_TIMEOUT, Stack, StackBuilder, booked, ports};
use anyhow::{Context, Result, ensure};
use pvt_testkit::{DORM, booking_body, days_from_now, eventually};
use reqwest::StatusCode;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

/// Longest stop of a process whose collector does not answer: three seconds for spans beside what it needs anyway.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// Rotel, which writes what it has decoded into its log; killed when it is dropped.
struct Collector {
    address: SocketAddr,
    folder: PathBuf,
    _process: Child,
}

impl Collector {
    async fn start() -> Result<Self> {
        let program = std::env::var_os("PVT_OTLP_COLLECTOR").context("run tests/otlp/run")?;
        let (address, grpc) = (ports::free()?, ports::free()?);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("otlp-{}", address.port()));
        std::fs::create_dir_all(&folder)?;
        let log = File::create(folder.join("collector.log"))?;
        let process = Command::new(program)
            .args(["start", "--exporter", "blackhole", "--debug-log", "traces", "--debug-log-verbosity", "detailed"])
            .arg(format!("--otlp-http-endpoint={address}"))
            .arg(format!("--otlp-grpc-endpoint={grpc}"))
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let listens = || async { Ok(tokio::net::TcpStream::connect(address).await.is_ok().then_some(())) };
        eventually("the collector listens", SHORT_TIMEOUT, listens).await?;
        Ok(Self { address, folder, _process: process })
    }

    fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder.join("collector.log"))?)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// A span as the collector has decoded it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seen {
    service: String,
    trace: String,
    id: String,
    /// Empty for the first span of a trace.
    parent: String,
    name: String,
    kind: String,
    status: String,
    attributes: BTreeMap<String, String>,
    /// Traces and spans that it links to.
    links: Vec<(String, String)>,
}

/// The value of a line of the collector's log.
fn value(line: &str) -> String {
    line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

/// `Str(text)`, `Int(5)`: the text between the parentheses.
fn inner(value: &str) -> String {
    let text = value.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    text.unwrap_or(value).to_owned()
}

/// The spans in the collector's log, without the prefix of this test's names.
fn seen(log: &str, prefix: &str) -> Vec<Seen> {
    let mut spans: Vec<Seen> = Vec::new();
    let (mut service, mut of_span) = (String::new(), false);
    for line in log.replace(prefix, "").lines() {
        let (text, indent) = (line.trim(), line.len() - line.trim_start().len());
        if text.starts_with("ResourceSpans #") {
            of_span = false;
        } else if text.starts_with("Span #") {
            of_span = true;
            spans.push(Seen { service: service.clone(), ..Seen::default() });
        } else if let (false, Some(name)) = (of_span, text.strip_prefix("-> service.name: ")) {
            service = inner(name);
        } else if let (true, Some(span)) = (of_span, spans.last_mut()) {
            match text.split(':').next().unwrap_or_default().trim() {
                "Trace ID" => span.trace = value(text),
                "Parent ID" => span.parent = value(text),
                "ID" => span.id = value(text),
                "Name" => span.name = value(text),
                "Kind" => span.kind = value(text),
                "Status code" => span.status = value(text),
                "-> Trace ID" => span.links.push((value(text), String::new())),
                "-> ID" => {
                    if let Some((_, id)) = span.links.last_mut() {
                        *id = value(text);
                    }
                }
                name if indent == 5 && span.links.is_empty() && name.starts_with("-> ") => {
                    let found = text.trim_start_matches("-> ").split_once(": ");
                    let (name, value) = found.map_or((text, ""), |(name, value)| (name, value));
                    span.attributes.insert(name.to_owned(), inner(value));
                }
                _ => {}
            }
        }
    }
    spans
}

/// Every span of the trace as `parent > child`, partitions without their number.
fn edges<'s>(spans: impl Iterator<Item = &'s Seen> + Clone) -> BTreeSet<String> {
    let of_partition = |name: &str| match name.rsplit_once("bookings.") {
        Some((before, _)) if !name.contains("events") => format!("{before}bookings.N"),
        _ => name.to_owned(),
    };
    let parent = |child: &Seen| {
        let parent = spans.clone().find(|span| span.id == child.parent);
        parent.map_or_else(|| child.parent.clone(), |parent| of_partition(&parent.name))
    };
    spans.clone().map(|span| format!("{} > {}", parent(span), of_partition(&span.name))).collect()
}

/// What one booking is to the collector: who caused whom.
const EXPECTED: [&str; 10] = [
    " > POST /api/bookings",
    "POST /api/bookings > send commands:bookings.N",
    "send commands:bookings.N > process bookings.N",
    "process bookings.N > decide",
    "process bookings.N > send events:booking.confirmed",
    "send events:booking.confirmed > process emails",
    "send events:booking.confirmed > process analytics",
    "process emails > send mail",
    "process emails > send events:notification.sent",
    "send events:notification.sent > process analytics",
];

/// What a mail that the server puts off adds to it.
const PUT_OFF: [&str; 2] =
    ["send events:booking.confirmed > send retry.5s:emails", "send retry.5s:emails > process emails"];

/// The trace and the span in the `traceparent` of an answer.
fn request_of(answer: &ApiResponse) -> Result<(String, String)> {
    let header: Vec<&str> = answer.header("traceparent").split('-').collect();
    let [_, trace, span, _] = header.as_slice() else { anyhow::bail!("no traceparent: {answer:?}") };
    Ok(((*trace).to_owned(), (*span).to_owned()))
}

fn of_trace(spans: &[Seen], trace: &str) -> Vec<Seen> {
    spans.iter().filter(|span| span.trace == trace).cloned().collect()
}

/// The trace of a booking whose mail the server put off once.
fn check_retry(own: &[Seen]) -> Result<()> {
    let failed = |name: &str| -> Vec<&str> {
        let named = own.iter().filter(|span| span.name == name && span.status == "STATUS_CODE_ERROR");
        named.map(|span| span.attributes["error.type"].as_str()).collect()
    };
    ensure!(failed("send mail") == ["later"] && failed("process emails") == ["smtp_refused_for_now"], "{own:#?}");
    let attempts = own.iter().filter(|span| span.name == "process emails");
    let attempts: BTreeSet<&str> = attempts.map(|span| span.attributes["pvt.message.attempt"].as_str()).collect();
    ensure!(attempts == BTreeSet::from(["1", "2"]), "{attempts:?}");
    Ok(())
}

/// The span of the batch in which this one was handled, by its link; the batch must link back to its sending.
fn batch_of<'s>(spans: &'s [Seen], process: &Seen) -> Result<&'s Seen> {
    let (trace, id) = process.links.first().context("a link to its batch")?;
    let batch = spans.iter().find(|span| (&span.trace, &span.id) == (trace, id)).context("the batch is exported")?;
    ensure!(batch.parent.is_empty() && batch.trace != process.trace, "a batch adopts no message: {batch:?}");
    let sending = (process.trace.clone(), process.parent.clone());
    ensure!(batch.links.contains(&sending), "{batch:?} does not link to {sending:?}");
    Ok(batch)
}

#[tokio::test]
#[ignore = "needs a collector: tests/otlp/run"]
async fn booking_with_its_mail_and_mart_row_is_one_trace() -> Result<()> {
    let collector = Collector::start().await?;
    // So long that spans arrive only because each process exports what is left when it stops.
    let stack = StackBuilder::new()
        .workers(&[("workers", CONSUMERS)])
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{}", collector.address))
        .with("OTEL_BSP_SCHEDULE_DELAY", "600000")
        .start()
        .await?;
    let mut body = booking_body(DORM, days_from_now(30), 2, 1);
    body["guest"]["last_name"] = "Unmistakable".into();
    let answer = stack.client.request_booking("one", &body).await?;
    ensure!(answer.status == StatusCode::ACCEPTED, "{answer:?}");
    let booking = booked(&answer)?;
    stack.record_accepted(booking.id);
    let (trace, request) = request_of(&answer)?;
    stack.client.wait_for_decision(&booking).await?;
    stack.wait_until_quiet(&Expectations::clean()).await?;
    stack.mailbox.inject_fault(&json!({ "mode": "451", "next": 1 })).await?;
    let answer = stack.client.request_booking("two", &booking_body(DORM, days_from_now(40), 2, 1)).await?;
    let (put_off, _) = request_of(&answer)?;
    let second = booked(&answer)?;
    stack.record_accepted(second.id);
    stack.client.wait_for_decision(&second).await?;
    let prefix = stack.topology.prefix().to_owned();
    stack.end(Expectations::clean()).await?;

    let names = |edges: &[&str]| -> BTreeSet<String> { edges.iter().map(|edge| (*edge).to_owned()).collect() };
    let (expected, with_retry) = (names(&EXPECTED), names(&[&EXPECTED[..], &PUT_OFF].concat()));
    let arrived = || async {
        let spans = seen(&collector.log()?, &prefix);
        for (trace, expected) in [(&trace, &expected), (&put_off, &with_retry)] {
            let found = edges(of_trace(&spans, trace).iter());
            ensure!(found == *expected, "{found:#?}\nof {spans:#?}");
        }
        Ok(Some(spans))
    };
    let spans = eventually("the traces are complete", SHORT_TIMEOUT, arrived).await?;
    check_retry(&of_trace(&spans, &put_off))?;
    let own = of_trace(&spans, &trace);

    let root = own.iter().find(|span| span.parent.is_empty()).context("a first span")?;
    ensure!(root.id == request, "the answer names another span than {root:?}");
    ensure!(root.attributes["http.route"] == "/api/bookings" && root.attributes["http.response.status_code"] == "202");
    for span in &own {
        let (service, kind) = match span.name.split(' ').next().unwrap_or_default() {
            "POST" => ("pvt-api", "SPAN_KIND_SERVER"),
            "decide" => ("pvt-workers", "SPAN_KIND_INTERNAL"),
            "process" => ("pvt-workers", "SPAN_KIND_CONSUMER"),
            _ if span.name == "send mail" => ("pvt-workers", "SPAN_KIND_CLIENT"),
            _ if span.name.starts_with("send commands") => ("pvt-api", "SPAN_KIND_PRODUCER"),
            _ => ("pvt-workers", "SPAN_KIND_PRODUCER"),
        };
        ensure!((span.service.as_str(), span.kind.as_str()) == (service, kind), "{span:?}");
        ensure!(span.status != "STATUS_CODE_ERROR", "{span:?}");
        if span.kind != "SPAN_KIND_SERVER" && span.name.contains(':') {
            ensure!(span.attributes["messaging.system"] == "rabbitmq", "{span:?}");
            ensure!(span.attributes["messaging.message.conversation_id"] == booking.id.to_string(), "{span:?}");
        }
    }
    let decision = own.iter().find(|span| span.name == "decide").context("the decision")?;
    ensure!(decision.attributes["pvt.outcome"] == "confirmed", "{decision:?}");

    for process in own.iter().filter(|span| span.name.starts_with("process ")) {
        let batch = batch_of(&spans, process)?;
        let within: Vec<&str> = spans.iter().filter(|span| span.parent == batch.id).map(|span| &*span.name).collect();
        let store = match process.name.as_str() {
            "process emails" => continue,
            "process analytics" => "load mart",
            _ => "commit bookings",
        };
        ensure!(within == [store], "{batch:?} has {within:?}");
    }
    let log = collector.log()?;
    let personal = [body["guest"]["email"].as_str().context("an address")?, "Unmistakable", &booking.token];
    for secret in personal {
        ensure!(!log.contains(secret), "a span holds {secret}");
    }
    Ok(())
}

/// A collector that takes every connection and answers each request with 503, or never.
async fn failing_collector(answers: bool) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if !answers {
                kept.push(stream);
                continue;
            }
            tokio::spawn(async move {
                let mut request = vec![0; 65_536];
                while matches!(stream.read(&mut request).await, Ok(1..)) {
                    let refusal = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
                    drop(stream.write_all(refusal).await);
                }
            });
        }
    });
    Ok(address)
}

/// A counter of spans at this address.
async fn spans_counted(stack: &Stack, metrics: &str, outcome: &str) -> Result<f64> {
    let shown = stack.client.http().get(metrics).send().await?.text().await?;
    let name = format!("pvt_trace_spans_total{{outcome=\"{outcome}\"}} ");
    let value = shown.lines().find_map(|line| line.strip_prefix(&name)).with_context(|| shown.clone())?;
    Ok(value.trim().parse()?)
}

#[tokio::test]
async fn collector_that_is_down_silent_or_refusing_costs_only_spans() -> Result<()> {
    let collectors = [
        ("api", failing_collector(false).await?),
        ("bookings", ports::free()?),
        ("others", failing_collector(true).await?),
    ];
    let mut stack = StackBuilder::new()
        .workers(&[
            ("bookings", &["confirmations", "payments"]),
            ("others", &["emails", "analytics", "reconciliation"]),
        ])
        .with("OTEL_BSP_SCHEDULE_DELAY", "100")
        .prepare()
        .await?;
    stack.run(&["mail-sink"]).await?;
    let started = Instant::now();
    for (name, collector) in collectors {
        let endpoint = format!("http://{collector}");
        // The silent one still holds an export when its process is stopped.
        let timeout_ms = if name == "api" { "30000" } else { "500" };
        let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_EXPORTER_OTLP_TIMEOUT", timeout_ms)];
        stack.program(name)?.start(&settings)?;
    }
    for (name, _) in collectors {
        stack.ready(name).await?;
    }
    // Its mail is put off once, which makes a log line.
    stack.mailbox.inject_fault(&json!({ "mode": "451", "next": 1 })).await?;
    let begun = Instant::now();
    let answer = stack.client.request_booking("one", &booking_body(DORM, days_from_now(30), 2, 1)).await?;
    let booking = booked(&answer)?;
    stack.record_accepted(booking.id);
    stack.client.wait_for_decision(&booking).await?;
    stack.wait_until_quiet(&Expectations::clean()).await?;
    ensure!(begun.elapsed() < SHORT_TIMEOUT, "a collector delayed a booking");
    let (trace, _) = request_of(&answer)?;
    let log = stack.program("others")?.log();
    let is_of_mail = |line: &&str| line.contains("mail not accepted") && line.contains(&trace);
    ensure!(log.lines().any(|line| is_of_mail(&line)), "no line names the trace {trace}: {log}");
    for name in ["bookings", "others"] {
        let metrics = stack.metrics_url(name)?;
        let failed = || async { Ok((spans_counted(&stack, &metrics, "failed").await? > 0.0).then_some(())) };
        eventually(&format!("spans of {name} are counted as failed"), SHORT_TIMEOUT, failed).await?;
        ensure!(spans_counted(&stack, &metrics, "exported").await? == 0.0);
        let log = stack.program(name)?.log();
        let (lines, minutes) =
            (log.matches("spans were not exported").count() as u64, started.elapsed().as_secs() / 60);
        ensure!((1..=1 + minutes).contains(&lines), "{lines} lines about lost spans in {minutes} minutes: {log}");
    }
    for (name, _) in collectors {
        let begun = Instant::now();
        stack.program(name)?.stop().await?;
        ensure!(begun.elapsed() < STOP_LIMIT, "{name} stopped after {:?}", begun.elapsed());
    }
    let log = stack.program("api")?.log();
    ensure!(log.contains("spans were left at the end"), "{log}");
    stack.end(Expectations::clean()).await
}
