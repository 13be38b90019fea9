//! The end of a message: publish what follows from it, wait for the confirms, and only then acknowledge.

use crate::consumer_session::{ConsumerSession, HandledDelivery};
use crate::disposition::{self, Disposition};
use crate::erased_worker::Outcome;
use crate::failpoint;
use chrono::Utc;
use pvt_domain::failure::{Cause, Failure};
use pvt_messaging::trace_context::trace_id_of;
use pvt_messaging::{Backoff, Delivery, Outgoing, PublishError};
use std::sync::PoisonError;
use std::time::Duration;
use tracing::{debug, warn};

const PUBLISH_BACKOFF_FIRST: Duration = Duration::from_millis(100);
const PUBLISH_BACKOFF_CAP: Duration = Duration::from_secs(5);

/// Deliveries with what follows from each; `end` is where a delivery's messages end in `outgoing`.
struct Settlement {
    items: Vec<(Delivery, usize)>,
    outgoing: Vec<Outgoing>,
}

impl ConsumerSession {
    /// Publishes, confirms, acknowledges. Returns without acknowledging only when the channel is lost: then all of it
    /// comes again.
    pub(crate) async fn publish_and_acknowledge(&self, settled: Vec<HandledDelivery>) {
        if settled.is_empty() {
            return;
        }
        failpoint::hit(failpoint::AFTER_HANDLE_BEFORE_PUBLISH);
        let mut settlement = self.prepare_settlement(settled);
        if !self.publish_confirmed(&mut settlement).await {
            return;
        }
        failpoint::hit(failpoint::AFTER_PUBLISH_BEFORE_ACK);
        let tags: Vec<u64> = settlement.items.iter().map(|(delivery, _)| delivery.tag).collect();
        self.acknowledge(&tags).await;
    }

    fn prepare_settlement(&self, settled: Vec<HandledDelivery>) -> Settlement {
        let mut settlement =
            Settlement { items: Vec::with_capacity(settled.len()), outgoing: Vec::with_capacity(settled.len()) };
        let mut handled = 0;
        for (delivery, outcome) in settled {
            match outcome {
                Outcome::Done(outbox) => {
                    handled += 1;
                    settlement.outgoing.extend(outbox);
                }
                Outcome::Failed(failure) => settlement.outgoing.push(self.redirect(&delivery, failure)),
            }
            settlement.items.push((delivery, settlement.outgoing.len()));
        }
        self.context.metrics.ok.increment(handled);
        settlement
    }

    /// The message that moves a failed one to where it belongs, with the one log line of its failure.
    fn redirect(&self, delivery: &Delivery, failure: Failure) -> Outgoing {
        let spec = &self.context.unit.spec;
        let envelope = &delivery.envelope;
        let disposition =
            disposition::choose(failure, envelope.attempt, disposition::deferrals(delivery), spec.retry_schedule);
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

    /// Publishes until the broker has confirmed everything; the ids never change. False when the channel was lost
    /// meanwhile.
    async fn publish_confirmed(&self, settlement: &mut Settlement) -> bool {
        let mut backoff = Backoff::new(PUBLISH_BACKOFF_FIRST, PUBLISH_BACKOFF_CAP);
        let mut replaced = false;
        while !settlement.outgoing.is_empty() {
            let Err(error) = self.context.publisher.publish_all(&settlement.outgoing).await else { return true };
            self.context.status.record_error(error.to_string());
            if matches!(error, PublishError::Invalid(_)) && !replaced {
                replaced = true;
                self.replace_invalid(settlement);
                continue;
            }
            warn!(worker = self.context.unit.spec.name, queue = %self.queue.name, class = error.class(), %error,
                "not confirmed; publishing again");
            tokio::select! {
                () = self.lost.cancelled() => return false,
                () = tokio::time::sleep(backoff.step()) => {}
            }
        }
        true
    }

    /// Replaces the messages of every item that emitted something no broker can take by one dead letter of the item.
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

    /// Acknowledges these deliveries. An error means that the channel is gone and they come again.
    pub(crate) async fn acknowledge(&self, tags: &[u64]) {
        let _turn = self.ack_turn.lock().await;
        let acks = self.unacked.lock().unwrap_or_else(PoisonError::into_inner).acknowledge(tags);
        if let Err(error) = self.acker.send(&acks).await {
            debug!(queue = %self.queue.name, %error, "not acknowledged; these come again");
        }
    }

    /// Puts these back at the end of their queue as if they had just been sent: same ids, but the broker counts anew.
    pub(crate) async fn republish(&self, deliveries: Vec<Delivery>) {
        let outgoing = deliveries
            .iter()
            .map(|delivery| delivery.republish(pvt_messaging::Target::Queue, &*self.queue.name))
            .collect();
        let items = deliveries.into_iter().enumerate().map(|(place, delivery)| (delivery, place + 1)).collect();
        let mut settlement = Settlement { items, outgoing };
        if self.publish_confirmed(&mut settlement).await {
            let tags: Vec<u64> = settlement.items.iter().map(|(delivery, _)| delivery.tag).collect();
            self.acknowledge(&tags).await;
        }
    }
}
