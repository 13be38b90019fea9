//! Spans in a process that records all of them.

#![allow(clippy::unwrap_used)]

use opentelemetry::global;
use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use pvt_traces::{ReceivedMessage, SentMessage, Span, names};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

const RECORDED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const NOT_RECORDED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// Keeps what ends.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(spans);
        Ok(())
    }
}

impl Kept {
    fn only(&self) -> SpanData {
        let [span] = <[SpanData; 1]>::try_from(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        span
    }
}

fn attribute(span: &SpanData, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
    found.map(|attribute| attribute.value.to_string())
}

fn message(is_reply: bool, traceparent: Option<&'static str>) -> SentMessage<'static> {
    SentMessage {
        exchange: "",
        routing_key: "queue-of-a-caller",
        id: Uuid::from_u128(1),
        kind: "booking.reply.v1",
        conversation: None,
        body_bytes: 2,
        is_reply,
        traceparent,
    }
}

/// One test, because a process begins to record once.
#[test]
fn spans_have_few_names_and_links_to_what_is_recorded() {
    let kept = Kept::default();
    global::set_tracer_provider(SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build());
    pvt_traces::start(true);

    Span::send(&message(true, None)).end();
    let reply = kept.only();
    assert_eq!(reply.name, "send (anonymous)");
    assert_eq!(attribute(&reply, names::MESSAGING_DESTINATION_ANONYMOUS).as_deref(), Some("true"));
    assert!(!format!("{reply:?}").contains("queue-of-a-caller"), "{reply:?}");

    Span::send(&message(false, None)).end();
    let replay = kept.only();
    assert_eq!(replay.name, "send queue-of-a-caller");
    assert_eq!(attribute(&replay, names::MESSAGING_ROUTING_KEY).as_deref(), Some("queue-of-a-caller"));

    let headers = [Some(RECORDED), Some(NOT_RECORDED), None];
    let received =
        headers.map(|header| ReceivedMessage { sent: message(false, header), queue: "bookings.0", attempt: 1 });
    Span::handle("confirmations", "bookings.0", received.into_iter()).end();
    let batch = kept.only();
    let links: Vec<String> = batch.links.iter().map(|link| link.span_context.trace_id().to_string()).collect();
    assert_eq!(links, [&RECORDED[3..35]]);
    assert_eq!(batch.span_kind, SpanKind::Consumer, "the sampler knows a batch by it");

    Span::request("GET", None, Some(RECORDED)).end();
    let request = kept.only();
    assert_eq!(request.span_context.trace_id().to_string(), RECORDED[3..35], "callers decide here");
    assert!(request.links.is_empty());
}
