//! Export of spans by OTLP over HTTP.
//!
//! A request or a message never waits for it: ended spans go into a bounded queue, which a thread empties in batches.
//! What a full queue or a failing collector costs is counted, and logged once a minute.

use crate::config::{TraceSampler, TraceSettings};
use metrics::{Counter, counter};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_otlp::{Protocol, SpanExporter as OtlpExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor,
};
use reqwest::blocking::{Client, ClientBuilder};
use reqwest::redirect::Policy;
use secrecy::ExposeSecret;
use std::collections::HashMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Counter, label `outcome`: spans that were `exported`, that the collector did not take (`failed`), or that found the
/// queue full (`dropped`).
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
        }
    }

    /// Whether there is room for one more span.
    fn take_place(&self) -> bool {
        let found = self
            .waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| (waiting < QUEUE).then_some(waiting + 1));
        found.is_ok()
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
                self.account.lose(spans, error);
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
    }
}

/// Begins to export spans, if that is configured.
pub(super) fn start(settings: Option<&TraceSettings>, service: &'static str) -> Result<Option<Export>, String> {
    let account = Arc::new(Account::new());
    let Some(settings) = settings else { return Ok(None) };
    let exporter = OtlpExporter::builder()
        .with_http()
        .with_http_client(client(settings)?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(settings.endpoint.as_str())
        .with_timeout(settings.timeout)
        .with_headers(headers(settings))
        .build()
        .map_err(|error| error.to_string())?;
    let provider = SdkTracerProvider::builder()
        .with_span_processor(BoundedProcessor::new(exporter, account.clone()))
        .with_sampler(sampler(settings.sampler))
        .with_max_links_per_span(MAX_LINKS)
        .with_resource(resource(settings, service))
        .build();
    global::set_tracer_provider(provider.clone());
    pvt_traces::start();
    info!(collector = %settings.endpoint, "spans are exported");
    Ok(Some(Export { provider, account }))
}

/// A client of its own: it trusts the configured authority, too.
fn client(settings: &TraceSettings) -> Result<Client, String> {
    // A redirection would carry the headers, which may be credentials, to another host.
    let mut builder = Client::builder().timeout(settings.timeout).redirect(Policy::none());
    if let Some(path) = &settings.certificate {
        let pem = std::fs::read(path)
            .map_err(|error| format!("OTEL_EXPORTER_OTLP_CERTIFICATE {}: {error}", path.display()))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem)
            .map_err(|error| format!("OTEL_EXPORTER_OTLP_CERTIFICATE {}: {error}", path.display()))?;
        builder = certificates.into_iter().fold(builder, ClientBuilder::add_root_certificate);
    }
    // A blocking client has a runtime of its own, which must not be made within another.
    let built = std::thread::spawn(move || builder.build()).join();
    built.map_err(|_| "its client panicked".to_owned())?.map_err(|error| error.to_string())
}

fn headers(settings: &TraceSettings) -> HashMap<String, String> {
    settings.headers.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect()
}

fn sampler(settings: TraceSampler) -> Sampler {
    let own = Sampler::TraceIdRatioBased(settings.share);
    if settings.parent_based { Sampler::ParentBased(Box::new(own)) } else { own }
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
    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
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
