//! Spans of messages: sending, processing, and handling of a batch.

use crate::names;
use crate::span::{Parent, Span, remote};
use opentelemetry::KeyValue;
use opentelemetry::trace::{Link, SpanBuilder, SpanContext, SpanKind};
use std::borrow::Cow;
use std::fmt::Display;
use uuid::Uuid;

/// RabbitMQ docs, "Server-named Queues": names that the broker gives begin like this.
const BROKER_NAMED: &str = "amq.";

/// A message that is sent.
#[derive(Debug, Clone, Copy)]
pub struct SentMessage<'a> {
    /// Full name of the exchange; empty for the default one.
    pub exchange: &'a str,
    /// Routing key.
    pub routing_key: &'a str,
    /// Its id.
    pub id: Uuid,
    /// Its wire name.
    pub kind: &'a str,
    /// Correlation id.
    pub conversation: Option<Uuid>,
    /// Bytes of its body.
    pub body_bytes: usize,
    /// The header of the span that causes it.
    pub traceparent: Option<&'a str>,
}

/// A message that was received.
#[derive(Debug, Clone, Copy)]
pub struct ReceivedMessage<'a> {
    /// As it was sent.
    pub sent: SentMessage<'a>,
    /// Full name of the queue.
    pub queue: &'a str,
    /// The attempt, counted from 1.
    pub attempt: u32,
}

impl Span {
    /// The sending of a message, until the broker's confirm: a child of what caused it. The message carries this span.
    pub fn send(message: &SentMessage<'_>) -> Self {
        Self::begin(Parent::Header(message.traceparent), || {
            let is_anonymous = message.exchange.is_empty() && message.routing_key.starts_with(BROKER_NAMED);
            let destination = if is_anonymous {
                Cow::Borrowed(names::ANONYMOUS)
            } else {
                Cow::Owned(joined([message.exchange, message.routing_key, ""]))
            };
            let mut attributes = of_operation("send", "send");
            attributes.extend(of_message(message));
            attributes.push(KeyValue::new(names::MESSAGING_DESTINATION_NAME, destination.clone().into_owned()));
            if is_anonymous {
                attributes.push(KeyValue::new(names::MESSAGING_DESTINATION_ANONYMOUS, true));
            }
            SpanBuilder::from_name(format!("send {destination}"))
                .with_kind(SpanKind::Producer)
                .with_attributes(attributes)
        })
    }

    /// The handling of a batch. It belongs to none of its messages, so it begins a trace and is linked to what sent
    /// each of them.
    pub fn handle<'a>(
        worker: &'static str,
        queue: &str,
        messages: impl ExactSizeIterator<Item = ReceivedMessage<'a>>,
    ) -> Self {
        Self::begin(Parent::None, || {
            let mut attributes = of_operation("handle", "process");
            attributes.push(KeyValue::new(names::WORKER, worker));
            attributes.push(KeyValue::new(names::MESSAGING_DESTINATION_NAME, queue.to_owned()));
            let count = i64::try_from(messages.len()).unwrap_or(i64::MAX);
            attributes.push(KeyValue::new(names::MESSAGING_BATCH_COUNT, count));
            let links = messages.filter_map(|message| {
                let id = KeyValue::new(names::MESSAGING_MESSAGE_ID, text(message.sent.id));
                Some(link(remote(message.sent.traceparent?)?, vec![id]))
            });
            SpanBuilder::from_name(format!("handle {queue}"))
                .with_kind(SpanKind::Consumer)
                .with_attributes(attributes)
                .with_links(links.collect())
        })
    }

    /// The processing of one message: a child of its sending, linked to the `batch` in which it was handled.
    pub fn process(worker: &'static str, message: &ReceivedMessage<'_>, batch: &Self) -> Self {
        let ReceivedMessage { sent, queue, attempt } = message;
        Self::begin(Parent::Header(sent.traceparent), || {
            let mut attributes = of_operation("process", "process");
            attributes.extend(of_message(sent));
            attributes.push(KeyValue::new(names::WORKER, worker));
            attributes.push(KeyValue::new(names::MESSAGE_ATTEMPT, i64::from(*attempt)));
            let destination = joined([sent.exchange, sent.routing_key, queue]);
            attributes.push(KeyValue::new(names::MESSAGING_DESTINATION_NAME, destination));
            SpanBuilder::from_name(format!("process {queue}"))
                .with_kind(SpanKind::Consumer)
                .with_attributes(attributes)
                .with_links(batch.span_context().map(|batch| link(batch, Vec::new())).into_iter().collect())
        })
    }
}

fn of_operation(name: &'static str, kind: &'static str) -> Vec<KeyValue> {
    vec![
        KeyValue::new(names::MESSAGING_SYSTEM, names::RABBITMQ),
        KeyValue::new(names::MESSAGING_OPERATION_NAME, name),
        KeyValue::new(names::MESSAGING_OPERATION_TYPE, kind),
    ]
}

fn of_message(message: &SentMessage<'_>) -> impl Iterator<Item = KeyValue> {
    let bytes = i64::try_from(message.body_bytes).unwrap_or(i64::MAX);
    let always = [
        KeyValue::new(names::MESSAGING_MESSAGE_ID, text(message.id)),
        KeyValue::new(names::MESSAGE_TYPE, message.kind.to_owned()),
        KeyValue::new(names::MESSAGING_ROUTING_KEY, message.routing_key.to_owned()),
        KeyValue::new(names::MESSAGING_BODY_SIZE, bytes),
    ];
    let conversation = message.conversation.map(|id| KeyValue::new(names::MESSAGING_CONVERSATION_ID, text(id)));
    always.into_iter().chain(conversation)
}

fn link(context: SpanContext, attributes: Vec<KeyValue>) -> Link {
    Link::new(context, attributes, 0)
}

fn text(id: impl Display) -> String {
    id.to_string()
}

/// The parts that are not empty, with colons between them. The queue of a work queue's own key is named once.
fn joined(parts: [&str; 3]) -> String {
    let mut kept: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    kept.dedup();
    kept.join(":")
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn destinations_leave_out_what_is_empty() {
        assert_eq!(joined(["commands", "bookings.2", ""]), "commands:bookings.2");
        assert_eq!(joined(["events", "booking.held", "emails"]), "events:booking.held:emails");
        assert_eq!(joined(["", "emails", "emails"]), "emails");
    }
}
