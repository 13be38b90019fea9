//! A span that is being measured, or none while the process records none.

use crate::names;
use crate::trace_context::TraceParent;
use futures_util::future::Either;
use opentelemetry::global::{self, BoxedTracer};
use opentelemetry::trace::{
    FutureExt as _, Link, SpanBuilder, SpanContext, SpanId, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _,
};
use opentelemetry::{Context, KeyValue, Value};
use std::sync::OnceLock;

/// Name of the instrumentation scope of all spans.
const SCOPE: &str = "pvt";

/// Set once: a process records spans from its start, or never.
static RECORDING: OnceLock<Recording> = OnceLock::new();

struct Recording {
    tracer: BoxedTracer,
    callers_decide: bool,
}

/// Begins to record spans with the global tracer provider, which must be set before. Unless `callers_decide` what of
/// theirs is recorded, their requests begin traces of their own: a sampler of shares goes by the id of the trace, which
/// a caller can choose as well as the flag.
pub fn start(callers_decide: bool) {
    RECORDING.get_or_init(|| Recording { tracer: global::tracer(SCOPE), callers_decide });
}

/// Whether spans are recorded. What is costly to make of them is made only then.
pub fn is_recording() -> bool {
    RECORDING.get().is_some()
}

/// A copy of this `traceparent` header for a span that is to be made later; none while spans are not recorded.
pub fn kept(header: Option<&str>) -> Option<String> {
    if is_recording() { header.map(str::to_owned) } else { None }
}

/// One span. It ends when [`Span::end`] is called, or when its last clone is dropped.
#[derive(Debug, Clone, Default)]
#[must_use = "a span that is dropped has ended"]
pub struct Span(Option<Context>);

impl Span {
    /// No span, which costs nothing.
    pub fn none() -> Self {
        Self(None)
    }

    /// Begins the span that `builder` makes; it is called only while spans are recorded.
    pub(crate) fn begin(parent: Parent<'_>, builder: impl FnOnce() -> SpanBuilder) -> Self {
        let Some(recording) = RECORDING.get() else { return Self::none() };
        let span = recording.tracer.build_with_context(builder(), &parent.context());
        Self(Some(Context::new().with_span(span)))
    }

    /// Begins the span of what a caller asks for, within the trace of this header if callers decide what is recorded;
    /// otherwise in a trace of its own, linked to the caller's.
    pub(crate) fn begin_for_caller(header: Option<&str>, builder: impl FnOnce() -> SpanBuilder) -> Self {
        if RECORDING.get().is_none_or(|recording| recording.callers_decide) {
            return Self::begin(Parent::Header(header), builder);
        }
        let caller = header.and_then(remote).map(|caller| Link::new(caller, Vec::new(), 0));
        Self::begin(Parent::None, || builder().with_links(caller.into_iter().collect()))
    }

    /// Its place in its trace, for headers; none while spans are not recorded.
    pub fn context(&self) -> Option<TraceParent> {
        let context = self.0.as_ref()?;
        let span = context.span();
        span.span_context().is_valid().then(|| trace_parent(span.span_context()))
    }

    /// Sets an attribute.
    pub fn set(&self, name: &'static str, value: impl Into<Value>) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new(name, value));
        }
    }

    /// Marks it as failed with this class of error.
    pub fn fail(&self, class: &str) {
        if let Some(context) = &self.0 {
            let span = context.span();
            span.set_attribute(KeyValue::new(names::ERROR_TYPE, class.to_owned()));
            // The text of an error may quote what a guest wrote, so it stays in the logs.
            span.set_status(Status::error(""));
        }
    }

    /// Ends it, as failed if there is a class of error.
    pub fn end_with(&self, class: Option<&str>) {
        if let Some(class) = class {
            self.fail(class);
        }
        self.end();
    }

    /// Ends it now. Whatever happens to it later is lost.
    pub fn end(&self) {
        if let Some(context) = &self.0 {
            context.span().end();
        }
    }

    /// Runs `future` with this span as the current one, the parent of spans that name none. Without a span, the one
    /// before stays current.
    pub fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        match &self.0 {
            Some(context) => Either::Left(future.with_context(context.clone())),
            None => Either::Right(future),
        }
    }

    pub(crate) fn span_context(&self) -> Option<SpanContext> {
        self.0.as_ref().map(|context| context.span().span_context().clone())
    }
}

/// Runs `future`, in whatever task, with the span that is current now.
pub fn in_current<F: Future>(future: F) -> impl Future<Output = F::Output> + use<F> {
    if is_recording() { Either::Left(future.with_current_context()) } else { Either::Right(future) }
}

/// The parent of a span.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Parent<'a> {
    /// It begins a trace.
    None,
    /// The span that is current now.
    Current,
    /// The span in this `traceparent` header; one that is malformed counts as absent.
    Header(Option<&'a str>),
}

impl Parent<'_> {
    fn context(self) -> Context {
        match self {
            Self::None => Context::new(),
            Self::Current => Context::current(),
            Self::Header(header) => match header.and_then(remote) {
                Some(parent) => Context::new().with_remote_span_context(parent),
                None => Context::new(),
            },
        }
    }
}

/// The span of another process that this header names.
pub(crate) fn remote(header: &str) -> Option<SpanContext> {
    let parent: TraceParent = header.parse().ok()?;
    let flags = if parent.sampled() { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (trace_id, span_id) = parent.ids();
    Some(SpanContext::new(TraceId::from(trace_id), SpanId::from(span_id), flags, true, TraceState::default()))
}

fn trace_parent(context: &SpanContext) -> TraceParent {
    let trace_id = u128::from_be_bytes(context.trace_id().to_bytes());
    let span_id = u64::from_be_bytes(context.span_id().to_bytes());
    TraceParent::of_ids(trace_id, span_id, context.is_sampled())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn context_of_a_header_is_the_same_header() {
        assert_eq!(trace_parent(&remote(HEADER).unwrap()).to_string(), HEADER);
        let unsampled = HEADER.replace("-01", "-00");
        assert_eq!(trace_parent(&remote(&unsampled).unwrap()).to_string(), unsampled);
        assert!(remote("00-x").is_none());
    }

    #[test]
    fn nothing_is_made_while_no_span_is_recorded() {
        let span = Span::begin(Parent::Current, || unreachable!("no builder is asked for"));
        assert!(!is_recording() && span.context().is_none());
        span.set(names::WORKER, "emails");
        span.end_with(Some("class"));
    }
}
