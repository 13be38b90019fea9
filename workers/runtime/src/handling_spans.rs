//! Spans of one call of a handler: one of each message, and one of the batch that they are handled in.
//!
//! A batch holds messages of many traces, so its span adopts none of them: it begins a trace and links to the sending
//! of each message. The span of a message stays in the trace of that message and links back to the batch, in which the
//! calls of stores are found that serve all of them.

use crate::erased_worker::{BatchOutcome, Outcome, cause};
use crate::spec::{Shape, Spec};
use pvt_domain::failure::Failure;
use pvt_messaging::Delivery;
use pvt_traces::{ReceivedMessage, SentMessage, Span, names};
use std::sync::Arc;

/// [`names::OUTCOME`] of a message that is deferred, which is no error.
const DEFERRED: &str = "deferred";

/// The spans of one call; none while spans are not recorded.
#[derive(Default)]
pub(crate) struct HandlingSpans {
    batch: Span,
    messages: Vec<Span>,
}

impl HandlingSpans {
    pub(crate) fn begin(spec: &Spec, queue: &str, deliveries: &[Delivery]) -> Self {
        if !pvt_traces::is_recording() {
            return Self::default();
        }
        let received = || deliveries.iter().map(|delivery| received(delivery, queue));
        let batch = match spec.shape {
            Shape::Batch { .. } => Span::handle(spec.name, queue, received()),
            Shape::Single { .. } => Span::none(),
        };
        let messages = received().map(|message| Span::process(spec.name, &message, &batch)).collect();
        Self { batch, messages }
    }

    /// The deliveries for the handler: what it emits, and spans that it begins for a message, are children of the
    /// message's span.
    pub(crate) fn hand_over(&self, deliveries: &[Delivery]) -> Vec<Delivery> {
        let mut handed = deliveries.to_vec();
        for (delivery, span) in handed.iter_mut().zip(&self.messages) {
            if let Some(context) = span.context() {
                Arc::make_mut(&mut delivery.envelope).traceparent = Some(context.to_string());
            }
        }
        handed
    }

    /// Runs the call with the span of the batch as the current one, or of the message that is handled alone.
    pub(crate) fn scope<F: Future>(&self, call: F) -> impl Future<Output = F::Output> + use<F> {
        let current = if self.batch.context().is_some() { Some(&self.batch) } else { self.messages.first() };
        current.unwrap_or(&Span::none()).scope(call)
    }

    pub(crate) fn end(&self, attempt: &BatchOutcome) {
        for (span, outcome) in self.messages.iter().zip(&attempt.outcomes) {
            match outcome {
                Outcome::Done(_) => span.end(),
                Outcome::Failed(Failure::Defer(_)) => {
                    span.set(names::OUTCOME, DEFERRED);
                    span.end();
                }
                Outcome::Failed(failure) => span.end_with(cause(failure).map(|cause| cause.class)),
            }
        }
        let shared = attempt.shared_failure.as_ref().and_then(|shared| cause(&shared.failure));
        self.batch.end_with(shared.map(|cause| cause.class));
    }
}

fn received<'a>(delivery: &'a Delivery, queue: &'a str) -> ReceivedMessage<'a> {
    let envelope = &delivery.envelope;
    let sent = SentMessage {
        exchange: &delivery.exchange,
        routing_key: &delivery.routing_key,
        id: envelope.id,
        kind: &envelope.kind,
        conversation: envelope.correlation_id,
        body_bytes: delivery.body.len(),
        traceparent: envelope.traceparent.as_deref(),
    };
    ReceivedMessage { sent, queue, attempt: envelope.attempt }
}
