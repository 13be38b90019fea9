//! The end of a message: publish what follows from it, wait for the confirms, and only then acknowledge.

use crate::fault;
use crate::line::{Line, Settled};
use crate::route::{self, Route};
use crate::unit::Verdict;
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
struct Consignment {
    items: Vec<(Delivery, usize)>,
    outgoing: Vec<Outgoing>,
}

impl Line {
    /// Publishes, confirms, acknowledges. Returns without acknowledging only when the channel is lost: then all of it
    /// comes again.
    pub(crate) async fn settle(&self, settled: Vec<Settled>) {
        if settled.is_empty() {
            return;
        }
        fault::point(fault::AFTER_HANDLE_BEFORE_PUBLISH);
        let mut consignment = self.consign(settled);
        if !self.confirm(&mut consignment).await {
            return;
        }
        fault::point(fault::AFTER_PUBLISH_BEFORE_ACK);
        let tags: Vec<u64> = consignment.items.iter().map(|(delivery, _)| delivery.tag).collect();
        self.acknowledge(&tags).await;
    }

    fn consign(&self, settled: Vec<Settled>) -> Consignment {
        let mut consignment =
            Consignment { items: Vec::with_capacity(settled.len()), outgoing: Vec::with_capacity(settled.len()) };
        let mut handled = 0;
        for (delivery, verdict) in settled {
            match verdict {
                Verdict::Done(outbox) => {
                    handled += 1;
                    consignment.outgoing.extend(outbox);
                }
                Verdict::Failed(failure) => consignment.outgoing.push(self.dispose(&delivery, failure)),
            }
            consignment.items.push((delivery, consignment.outgoing.len()));
        }
        self.crew.meters.ok.increment(handled);
        consignment
    }

    /// The message that moves a failed one to where it belongs, with the one log line of its failure.
    fn dispose(&self, delivery: &Delivery, failure: Failure) -> Outgoing {
        let spec = &self.crew.unit.spec;
        let envelope = &delivery.envelope;
        let route = route::choose(failure, envelope.attempt, route::deferrals(delivery), spec.ladder);
        let meters = &self.crew.meters;
        let (class, error, onto) = match &route {
            Route::Retry(rung, cause) => {
                meters.retry(cause.class);
                (cause.class, cause.message.as_str(), rung.base_name())
            }
            Route::Defer(rung) => {
                meters.deferred.increment(1);
                debug!(worker = spec.name, message_id = %envelope.id, onto = rung.base_name(), "deferred");
                return route::message(&route, delivery, &self.queue.name, spec.name, Utc::now());
            }
            Route::Dead(cause) => {
                meters.dead_letter(cause.class);
                (cause.class, cause.message.as_str(), "dead")
            }
        };
        let trace_id = envelope.traceparent.as_deref().and_then(trace_id_of).unwrap_or_default();
        warn!(worker = spec.name, queue = %self.queue.name, message_id = %envelope.id, kind = %envelope.kind,
            attempt = envelope.attempt, class, error, onto, trace_id, "message failed");
        self.crew.status.note_error(format!("{class}: {error}"));
        route::message(&route, delivery, &self.queue.name, spec.name, Utc::now())
    }

    /// Publishes until the broker has confirmed everything; the ids never change. False when the channel was lost
    /// meanwhile.
    async fn confirm(&self, consignment: &mut Consignment) -> bool {
        let mut backoff = Backoff::new(PUBLISH_BACKOFF_FIRST, PUBLISH_BACKOFF_CAP);
        let mut screened = false;
        while !consignment.outgoing.is_empty() {
            let Err(error) = self.crew.publisher.publish_all(&consignment.outgoing).await else { return true };
            self.crew.status.note_error(error.to_string());
            if matches!(error, PublishError::Invalid(_)) && !screened {
                screened = true;
                self.screen(consignment);
                continue;
            }
            warn!(worker = self.crew.unit.spec.name, queue = %self.queue.name, class = error.class(), %error,
                "not confirmed; publishing again");
            tokio::select! {
                () = self.lost.cancelled() => return false,
                () = tokio::time::sleep(backoff.step()) => {}
            }
        }
        true
    }

    /// Replaces the messages of every item that emitted something no broker can take by one dead letter of the item.
    fn screen(&self, consignment: &mut Consignment) {
        let mut sound = Vec::with_capacity(consignment.outgoing.len());
        let mut begin = 0;
        for (delivery, end) in &mut consignment.items {
            let own = consignment.outgoing.get(begin..*end).unwrap_or_default();
            begin = *end;
            match own.iter().find_map(|message| self.crew.publisher.check(message).err()) {
                None => sound.extend_from_slice(own),
                Some(error) => sound.push(self.dispose(delivery, Failure::Reject(Cause::new(error.class(), error)))),
            }
            *end = sound.len();
        }
        consignment.outgoing = sound;
    }

    /// Acknowledges these deliveries. An error means that the channel is gone and they come again.
    pub(crate) async fn acknowledge(&self, tags: &[u64]) {
        let _turn = self.ack_turn.lock().await;
        let acks = self.outstanding.lock().unwrap_or_else(PoisonError::into_inner).settle(tags);
        if let Err(error) = self.acks.send(&acks).await {
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
        let mut consignment = Consignment { items, outgoing };
        if self.confirm(&mut consignment).await {
            let tags: Vec<u64> = consignment.items.iter().map(|(delivery, _)| delivery.tag).collect();
            self.acknowledge(&tags).await;
        }
    }
}
