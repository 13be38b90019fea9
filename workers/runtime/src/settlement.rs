//! Settlement of handled messages: publish what follows from them, wait for the confirms, only then acknowledge.

use crate::consumer_session::{ConsumerSession, HandledDelivery};
use crate::disposition::{self, Disposition};
use crate::erased_worker::Outcome;
use crate::failpoint;
use crate::waiting;
use backon::{BackoffBuilder as _, ExponentialBuilder};
use chrono::Utc;
use pvt_domain::failure::{Cause, Failure};
use pvt_messaging::trace_context::trace_id_of;
use pvt_messaging::{Delivery, Outgoing, PublishError};
use std::sync::PoisonError;
use std::time::Duration;
use tracing::{debug, warn};

const REPUBLISH_MAX_DELAY: Duration = Duration::from_millis(2_500);
/// 50–100 ms, doubling to 2.5–5 s with jitter.
const REPUBLISH: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(50))
    .with_max_delay(REPUBLISH_MAX_DELAY)
    .with_jitter()
    .without_max_times();

/// Deliveries with the messages that follow from them; each number is where a delivery's messages end in `outgoing`.
struct Settlement {
    items: Vec<(Delivery, usize)>,
    outgoing: Vec<Outgoing>,
}

impl ConsumerSession {
    /// Publishes, waits for the confirms and acknowledges. Returns without acknowledging only when the channel is lost:
    /// then all of it is delivered again.
    pub(crate) async fn publish_and_acknowledge(&self, handled: Vec<HandledDelivery>) {
        if handled.is_empty() {
            return;
        }
        failpoint::hit(failpoint::AFTER_HANDLE_BEFORE_PUBLISH);
        let mut settlement = self.prepare_settlement(handled);
        if !self.publish_confirmed(&mut settlement).await {
            return;
        }
        failpoint::hit(failpoint::AFTER_PUBLISH_BEFORE_ACK);
        let tags: Vec<u64> = settlement.items.iter().map(|(delivery, _)| delivery.tag).collect();
        self.acknowledge(&tags).await;
    }

    fn prepare_settlement(&self, handled: Vec<HandledDelivery>) -> Settlement {
        let mut settlement =
            Settlement { items: Vec::with_capacity(handled.len()), outgoing: Vec::with_capacity(handled.len()) };
        let mut succeeded = 0;
        for (delivery, outcome) in handled {
            match outcome {
                Outcome::Done(outbox) => {
                    succeeded += 1;
                    settlement.outgoing.extend(outbox);
                }
                Outcome::Failed(failure) => settlement.outgoing.push(self.redirect(&delivery, failure)),
            }
            settlement.items.push((delivery, settlement.outgoing.len()));
        }
        self.context.metrics.ok.increment(succeeded);
        settlement
    }

    /// The message that moves a failed one to a retry delay or the dead letters; logs the failure.
    fn redirect(&self, delivery: &Delivery, failure: Failure) -> Outgoing {
        let spec = &self.context.worker.spec;
        let envelope = &delivery.envelope;
        let disposition = match failure {
            Failure::Unavailable(cause) => {
                let (operation, now) = (cause.operation.unwrap_or_default(), Utc::now());
                let waits = waiting::since(envelope, operation);
                let since = waits.or_else(|| self.context.status.unavailable_since(operation, now));
                Disposition::Wait(waiting::delay(since, now), cause)
            }
            failure => {
                disposition::choose(failure, envelope.attempt, disposition::deferrals(delivery), spec.retry_schedule)
            }
        };
        let metrics = &self.context.metrics;
        let (class, error, onto) = match &disposition {
            Disposition::Retry(delay, cause) => {
                metrics.retry(cause.class);
                (cause.class, cause.message.as_str(), delay.base_name())
            }
            Disposition::Defer(delay) => {
                metrics.deferred.increment(1);
                debug!(worker = spec.name, message_id = %envelope.id, onto = delay.base_name(), "deferred");
                return disposition::message(&disposition, delivery, &self.queue.name, spec.name, Utc::now());
            }
            Disposition::Wait(delay, cause) => {
                metrics.waiting.increment(1);
                debug!(worker = spec.name, message_id = %envelope.id, class = cause.class,
                    operation = cause.operation, onto = delay.base_name(), "waiting for an unavailable operation");
                return disposition::message(&disposition, delivery, &self.queue.name, spec.name, Utc::now());
            }
            Disposition::Dead(cause) => {
                metrics.dead_letter(cause.class);
                (cause.class, cause.message.as_str(), "dead")
            }
        };
        let trace_id = envelope.traceparent.as_deref().and_then(trace_id_of).unwrap_or_default();
        warn!(worker = spec.name, queue = %self.queue.name, message_id = %envelope.id, kind = %envelope.kind,
            attempt = envelope.attempt, class, error, onto, trace_id, "message failed");
        self.context.status.record_error(format!("{class}: {error}"));
        disposition::message(&disposition, delivery, &self.queue.name, spec.name, Utc::now())
    }

    /// Publishes until the broker has confirmed everything, always with the same ids. False when the channel is lost
    /// first.
    async fn publish_confirmed(&self, settlement: &mut Settlement) -> bool {
        let mut delays = REPUBLISH.build();
        let mut replaced = false;
        while !settlement.outgoing.is_empty() {
            let Err(error) = self.context.publisher.publish_all(&settlement.outgoing).await else { return true };
            self.context.status.record_error(error.to_string());
            if matches!(error, PublishError::Invalid(_)) && !replaced {
                replaced = true;
                self.replace_invalid(settlement);
                continue;
            }
            warn!(worker = self.context.worker.spec.name, queue = %self.queue.name, class = error.class(), %error,
                "not confirmed, publishing again");
            tokio::select! {
                () = self.lost.cancelled() => return false,
                () = tokio::time::sleep(delays.next().unwrap_or(REPUBLISH_MAX_DELAY)) => {}
            }
        }
        true
    }

    /// Replaces the messages of each delivery that emitted an invalid one by a dead letter of that delivery.
    fn replace_invalid(&self, settlement: &mut Settlement) {
        let mut valid = Vec::with_capacity(settlement.outgoing.len());
        let mut begin = 0;
        for (delivery, end) in &mut settlement.items {
            let own = settlement.outgoing.get(begin..*end).unwrap_or_default();
            begin = *end;
            match own.iter().find_map(|message| self.context.publisher.check(message).err()) {
                None => valid.extend_from_slice(own),
                Some(error) => valid.push(self.redirect(delivery, Failure::Reject(Cause::new(error.class(), error)))),
            }
            *end = valid.len();
        }
        settlement.outgoing = valid;
    }

    /// Acknowledges these deliveries. After an error the channel is lost and they are delivered again.
    pub(crate) async fn acknowledge(&self, tags: &[u64]) {
        let _turn = self.ack_turn.lock().await;
        let acks = self.unacked.lock().unwrap_or_else(PoisonError::into_inner).acknowledge(tags);
        if let Err(error) = self.acker.send(&acks).await {
            debug!(queue = %self.queue.name, %error, "not acknowledged, the broker will deliver again");
        }
    }

    /// Moves these to the end of their queue with the same ids and attempts, and a delivery count of zero.
    pub(crate) async fn republish(&self, deliveries: Vec<Delivery>) {
        let worker = self.context.worker.spec.name;
        let returned = |delivery: &Delivery| disposition::returned(delivery, &self.queue.name, worker);
        let outgoing = deliveries.iter().map(returned).collect();
        let items = deliveries.into_iter().enumerate().map(|(index, delivery)| (delivery, index + 1)).collect();
        let mut settlement = Settlement { items, outgoing };
        if self.publish_confirmed(&mut settlement).await {
            let tags: Vec<u64> = settlement.items.iter().map(|(delivery, _)| delivery.tag).collect();
            self.acknowledge(&tags).await;
        }
    }
}
