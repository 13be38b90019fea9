//! Spans of messages that are published together, in a process that records all of them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};
use opentelemetry::global;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use pvt_messaging::{Outgoing, PublishError, Publisher, Target, Topology};
use pvt_testkit::{TestTopology, eventually};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

const SOON: Duration = Duration::from_secs(20);

/// Keeps what ends.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(spans);
        Ok(())
    }
}

/// Why a span failed, if it did.
fn error_type(span: &SpanData) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == pvt_traces::names::ERROR_TYPE);
    found.map(|attribute| attribute.value.to_string())
}

fn note(queue: &str, id: u128) -> Outgoing {
    Outgoing::raw(Target::Queue, queue.to_owned(), Uuid::from_u128(id), "note.take.v1", "{}")
}

/// One test, because a process begins to record once.
#[tokio::test]
async fn refused_message_says_nothing_of_the_others_of_its_chunk() {
    const OTHERS: u128 = 1_000;
    let kept = Kept::default();
    global::set_tracer_provider(SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build());
    pvt_traces::start(true);
    let topology = TestTopology::new("ms", 50).await.unwrap();
    let url = &topology.urls().amqp;
    let connection = lapin::Connection::connect(url, lapin::ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let mut limits = FieldTable::default();
    limits.insert("x-max-length".into(), AMQPValue::LongInt(1));
    limits.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
    let full = channel.queue_declare("".into(), options, limits).await.unwrap();
    let other = channel.queue_declare("".into(), options, FieldTable::default()).await.unwrap();
    let (full, other) = (full.name().as_str(), other.name().as_str());
    let publisher = Publisher::start(url, Topology::clone(&topology), "test");
    publisher.publish(note(full, 1)).await.unwrap();
    kept.0.lock().unwrap().clear();

    let chunk: Vec<Outgoing> = [note(full, 2)].into_iter().chain((3..3 + OTHERS).map(|id| note(other, id))).collect();
    assert!(matches!(publisher.publish_all(chunk).await, Err(PublishError::Nacked)));
    let answered = || async {
        let ended = kept.0.lock().unwrap().clone();
        Ok((ended.len() > usize::try_from(OTHERS)?).then_some(ended))
    };
    let ended = eventually("each span ends with the broker's answer", SOON, answered).await.unwrap();
    let refused: Vec<&SpanData> = ended.iter().filter(|span| error_type(span).is_some()).collect();
    assert_eq!(refused.len(), 1, "{:?}", refused.iter().take(3).collect::<Vec<_>>());
    assert_eq!(error_type(refused[0]).as_deref(), Some(PublishError::Nacked.class()));
    publisher.close(SOON).await;
}
