//! Export of spans by OTLP over HTTP.
//!
//! A request or a message never waits for it: ended spans go into a bounded queue, which a thread empties in batches.
//! What a full queue or a failing collector costs is counted, and logged once a minute.

mod client;

use crate::config::{TraceSampler, TraceSettings};
use client::CollectorClient;
use metrics::{Counter, counter};
use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_otlp::{Protocol, SpanExporter as OtlpExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample,
    Span, SpanData, SpanExporter, SpanProcessor,
};
use secrecy::ExposeSecret;
use std::collections::HashMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Counter, label `outcome`: spans that were `exported`, of exports that the collector did not accept (`failed`), or
/// that found the queue full (`dropped`). What it rejects of an export that it accepts counts as exported.
const SPANS: &str = "pvt_trace_spans_total";
/// Spans that may wait for their export. One takes about a kilobyte.
const QUEUE: usize = 2_048;
/// For the spans that are left when a process stops, within the seconds that it has for that.
const FLUSH_LIMIT: Duration = Duration::from_secs(3);
/// Lost spans are logged at once, and then at most this often.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// Links of one span: more than any batch has messages.
const MAX_LINKS: u32 = 1_024;

/// What is known of the export.
#[derive(Debug)]
struct Account {
    waiting: AtomicUsize,
    exported: Counter,
    failed: Counter,
    dropped: Counter,
    unreported: AtomicUsize,
    reported_at: Mutex<Option<Instant>>,
    /// The cause of the failed request that was made last; none after one that was answered.
    cause: Mutex<Option<String>>,
}

impl Account {
    /// An alert compares with the scrape before, so counters begin at 0, not with their first event.
    fn new() -> Self {
        let spans = |outcome| {
            let counter = counter!(SPANS, "outcome" => outcome);
            counter.increment(0);
            counter
        };
        Self {
            waiting: AtomicUsize::new(0),
            exported: spans("exported"),
            failed: spans("failed"),
            dropped: spans("dropped"),
            unreported: AtomicUsize::new(0),
            reported_at: Mutex::new(None),
            cause: Mutex::new(None),
        }
    }

    /// Whether there is room for one more span.
    fn take_place(&self) -> bool {
        let found = self
            .waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| (waiting < QUEUE).then_some(waiting + 1));
        found.is_ok()
    }

    fn note_cause(&self, cause: Option<String>) {
        *self.cause.lock().unwrap_or_else(PoisonError::into_inner) = cause;
    }

    /// The failure of an export, with its cause if that is known.
    fn explained(&self, error: &dyn Display) -> String {
        match self.cause.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        }
    }

    fn lose(&self, spans: usize, reason: &dyn Display) {
        self.unreported.fetch_add(spans, Ordering::Relaxed);
        // Another thread that reports just now reports these too, or the next one does.
        let Ok(mut reported_at) = self.reported_at.try_lock() else { return };
        if reported_at.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
            *reported_at = Some(Instant::now());
            let spans = self.unreported.swap(0, Ordering::Relaxed);
            warn!(spans, %reason, "spans were not exported");
        }
    }
}

/// Counts what becomes of the spans of each batch.
#[derive(Debug)]
struct CountedExporter<E> {
    inner: E,
    account: Arc<Account>,
}

impl<E: SpanExporter> SpanExporter for CountedExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.inner.export(batch).await;
        self.account.waiting.fetch_sub(spans, Ordering::Relaxed);
        match &result {
            Ok(()) => self.account.exported.increment(spans as u64),
            Err(error) => {
                self.account.failed.increment(spans as u64);
                self.account.lose(spans, &self.account.explained(error));
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, limit: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(limit)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Admits as many spans as the queue of the batches has room for, so that it never refuses one uncounted.
#[derive(Debug)]
struct BoundedProcessor {
    inner: BatchSpanProcessor,
    account: Arc<Account>,
}

impl BoundedProcessor {
    fn new(exporter: impl SpanExporter + 'static, account: Arc<Account>) -> Self {
        let exporter = CountedExporter { inner: exporter, account: account.clone() };
        let batches = BatchConfigBuilder::default().with_max_queue_size(QUEUE).build();
        Self { inner: BatchSpanProcessor::builder(exporter).with_batch_config(batches).build(), account }
    }
}

impl SpanProcessor for BoundedProcessor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if self.account.take_place() {
            self.inner.on_end(span);
        } else {
            self.account.dropped.increment(1);
            self.account.lose(1, &"the queue of spans is full");
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, limit: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(limit)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// The export of a process, from its start to its end.
pub(super) struct Export {
    provider: SdkTracerProvider,
    account: Arc<Account>,
}

impl Export {
    /// Exports what is left, within [`FLUSH_LIMIT`]. Blocks its thread meanwhile.
    pub(super) fn flush(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH_LIMIT) {
            let spans = self.account.waiting.load(Ordering::Relaxed);
            warn!(spans, %error, "spans were left at the end");
        }
        let spans = self.account.unreported.swap(0, Ordering::Relaxed);
        if spans > 0 {
            warn!(spans, "spans were not exported since the last line about it");
        }
    }
}

/// Begins to export spans, if that is configured.
pub(super) fn start(settings: Option<&TraceSettings>, service: &'static str) -> Result<Option<Export>, String> {
    let account = Arc::new(Account::new());
    let Some(settings) = settings else { return Ok(None) };
    let exporter = OtlpExporter::builder()
        .with_http()
        .with_http_client(CollectorClient::new(settings, account.clone())?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(settings.endpoint.as_str())
        .with_timeout(settings.timeout)
        .with_headers(headers(settings))
        .build()
        .map_err(|error| error.to_string())?;
    let provider = SdkTracerProvider::builder()
        .with_span_processor(BoundedProcessor::new(exporter, account.clone()))
        .with_sampler(LinkedSampler::new(settings.sampler))
        .with_max_links_per_span(MAX_LINKS)
        .with_resource(resource(settings, service))
        .build();
    global::set_tracer_provider(provider.clone());
    pvt_traces::start(settings.sampler.parent_based);
    info!(collector = %settings.endpoint, "spans are exported");
    Ok(Some(Export { provider, account }))
}

fn headers(settings: &TraceSettings) -> HashMap<String, String> {
    settings.headers.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect()
}

/// The configured sampler, and every batch with a message whose trace is recorded: alone, the trace of a batch would
/// be one of a share of its own.
#[derive(Debug, Clone)]
struct LinkedSampler {
    configured: Sampler,
    /// Whether anything is recorded at all.
    records: bool,
}

impl LinkedSampler {
    fn new(settings: TraceSampler) -> Self {
        let own = Sampler::TraceIdRatioBased(settings.share);
        let configured = if settings.parent_based { Sampler::ParentBased(Box::new(own)) } else { own };
        Self { configured, records: settings.parent_based || settings.share > 0.0 }
    }
}

impl ShouldSample for LinkedSampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let mut result = self.configured.should_sample(parent, trace_id, name, kind, attributes, links);
        let is_batch = *kind == SpanKind::Consumer && parent.is_none_or(|parent| !parent.has_active_span());
        if self.records && is_batch && links.iter().any(|link| link.span_context.is_sampled()) {
            result.decision = SamplingDecision::RecordAndSample;
        }
        result
    }
}

/// OpenTelemetry's semantic conventions, "Resource": the process that makes the spans.
fn resource(settings: &TraceSettings, service: &'static str) -> Resource {
    let named = settings.resource_attributes.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    let own = [
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", format!("{:032x}", rand::random::<u128>())),
    ];
    // The name that is set goes first, also over one among the attributes.
    let is_named = settings.resource_attributes.iter().any(|(name, _)| name == "service.name");
    let name = settings.service_name.clone().or_else(|| (!is_named).then(|| service.to_owned()));
    let name = name.map(|name| KeyValue::new("service.name", name));
    Resource::builder().with_attributes(own.into_iter().chain(named).chain(name)).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::telemetry::metrics_handle;
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceState, Tracer as _, TracerProvider as _};
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, channel};

    /// Takes no batch until the other end of its channel is dropped.
    #[derive(Debug)]
    struct Stalled(Mutex<Receiver<()>>);

    impl SpanExporter for Stalled {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().recv().unwrap_err();
            Ok(())
        }
    }

    #[test]
    fn spans_beyond_the_queue_are_dropped_and_counted() {
        let metrics = metrics_handle().unwrap();
        let (release, stalled) = channel();
        let account = Arc::new(Account::new());
        let processor = BoundedProcessor::new(Stalled(Mutex::new(stalled)), account.clone());
        let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
        let tracer = provider.tracer("test");
        let begun = Instant::now();
        (0..QUEUE + 100).for_each(|_| drop(tracer.start("span")));
        assert!(begun.elapsed() < FLUSH_LIMIT, "ending a span waits for the collector");
        assert_eq!(account.waiting.load(Ordering::Relaxed), QUEUE);
        let shown = |outcome: &str, spans: usize| {
            let line = format!("{SPANS}{{outcome=\"{outcome}\"}} {spans}\n");
            let shown = metrics.render();
            assert!(shown.contains(&line), "{line}{shown}");
        };
        shown("dropped", 100);
        shown("exported", 0);
        drop(release);
        provider.shutdown().unwrap();
        shown("exported", QUEUE);
        assert_eq!(account.waiting.load(Ordering::Relaxed), 0);
    }

    fn settings(pairs: &[(&str, &str)]) -> TraceSettings {
        Config::from_pairs(pairs.iter().copied()).unwrap().traces.unwrap()
    }

    /// Keeps what ends.
    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Kept {
        async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(spans);
            Ok(())
        }
    }

    const CALLER: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn header(flags: &str) -> String {
        format!("00-{CALLER}-00f067aa0ba902b7-{flags}")
    }

    /// The only test here that begins to record spans, because a process does so once.
    #[test]
    fn callers_do_not_decide_where_the_sampler_is_not_based_on_parents() {
        let kept = Kept::default();
        let sampler = LinkedSampler::new(TraceSampler { parent_based: false, share: 1.0 });
        let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).with_sampler(sampler).build();
        global::set_tracer_provider(provider);
        pvt_traces::start(false);
        for flags in ["00", "01"] {
            let request = pvt_traces::Span::request("GET", Some("/api/properties"), Some(&header(flags)));
            let made = request.context().unwrap();
            assert!(made.sampled() && made.trace_id() != CALLER, "{made}");
            // What it causes stays in its trace.
            let decision = pvt_traces::Span::decide(Some(&made.to_string()));
            assert_eq!(decision.context().unwrap().trace_id(), made.trace_id());
            request.end();
            let spans = std::mem::take(&mut *kept.0.lock().unwrap());
            let request = spans.iter().find(|span| span.span_kind == SpanKind::Server).unwrap();
            let links: Vec<String> =
                request.links.iter().map(|link| link.span_context.trace_id().to_string()).collect();
            assert_eq!(links, [CALLER], "it is linked to its caller");
        }
    }

    #[test]
    fn sampler_follows_callers_only_where_it_is_based_on_parents_and_batches_follow_their_messages() {
        let decision = |parent_based, share, parent: Option<&str>, kind, links: &[&str]| {
            let context = |flags: &str| {
                let flags = if flags == "01" { TraceFlags::SAMPLED } else { TraceFlags::default() };
                let trace = TraceId::from_hex(CALLER).unwrap();
                SpanContext::new(trace, SpanId::from(1_u64), flags, true, TraceState::default())
            };
            let parent = parent.map(|flags| Context::new().with_remote_span_context(context(flags)));
            let links: Vec<Link> = links.iter().map(|flags| Link::new(context(flags), Vec::new(), 0)).collect();
            let sampler = LinkedSampler::new(TraceSampler { parent_based, share });
            let trace = TraceId::from_hex(CALLER).unwrap();
            sampler.should_sample(parent.as_ref(), trace, "name", &kind, &[], &links).decision
        };
        let (yes, no) = (SamplingDecision::RecordAndSample, SamplingDecision::Drop);
        assert_eq!(decision(true, 0.0, Some("01"), SpanKind::Server, &[]), yes);
        assert_eq!(decision(true, 1.0, Some("00"), SpanKind::Server, &[]), no);
        assert_eq!(decision(false, 0.0, Some("01"), SpanKind::Server, &[]), no);
        assert_eq!(decision(false, 1.0, Some("00"), SpanKind::Server, &[]), yes);
        assert_eq!(decision(true, 0.0, None, SpanKind::Consumer, &["01"]), yes, "a batch with a recorded message");
        assert_eq!(decision(true, 0.0, None, SpanKind::Consumer, &[]), no);
        assert_eq!(decision(false, 0.0, None, SpanKind::Consumer, &["01"]), no, "nothing is recorded");
        assert_eq!(decision(false, 0.000_1, None, SpanKind::Consumer, &["01"]), yes);
        assert_eq!(decision(false, 0.000_1, None, SpanKind::Server, &["01"]), no, "the link is of a caller");
        assert_eq!(decision(true, 1.0, Some("00"), SpanKind::Consumer, &["01"]), no, "a message has a parent");
    }

    #[test]
    fn redirection_is_not_followed_with_the_headers() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        other.set_nonblocking(true).unwrap();
        let collector = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", collector.local_addr().unwrap());
        let answer = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n",
            other.local_addr().unwrap()
        );
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = collector.accept().unwrap();
            assert!(stream.read(&mut [0; 4_096]).unwrap() > 0);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let found = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_EXPORTER_OTLP_TIMEOUT", "5000")];
        let client = client::client(&settings(&found)).unwrap();
        let response = client.post(&endpoint).header("x-api-key", "secret").body("spans").send().unwrap();
        assert_eq!(response.status().as_u16(), 307);
        answering.join().unwrap();
        assert_eq!(other.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "nothing was sent there");
    }

    #[test]
    fn certificate_that_cannot_be_read_is_an_error() {
        let config = Config::from_pairs([
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:4318"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"),
        ]);
        let error = start(config.unwrap().traces.as_ref(), "pvt-test").err().unwrap();
        assert!(error.contains("OTEL_EXPORTER_OTLP_CERTIFICATE /nowhere/ca.pem"), "{error}");
    }

    #[test]
    fn name_that_is_set_goes_before_the_attributes_and_the_program() {
        let name = |pairs: &[(&str, &str)]| {
            let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
            let config = Config::from_pairs(pairs.iter().copied().chain([endpoint])).unwrap();
            let resource = resource(&config.traces.unwrap(), "pvt-api");
            resource.get(&"service.name".into()).unwrap().to_string()
        };
        let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=of-attributes,host.name=a");
        assert_eq!(name(&[]), "pvt-api");
        assert_eq!(name(&[attributes]), "of-attributes");
        assert_eq!(name(&[attributes, ("OTEL_SERVICE_NAME", "own")]), "own");
    }
}
