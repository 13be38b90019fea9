//! What is to be sent and when. Bounded; a delivery that finds no place is given up, as if it had been lost on the way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Most deliveries that may wait.
const MAX_QUEUED: usize = 200_000;

/// One event on its way to one endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) event: String,
    pub(crate) kind: String,
    pub(crate) body: Arc<str>,
    /// Place in the list of endpoints.
    pub(crate) endpoint: usize,
    /// From 1.
    pub(crate) attempt: u32,
    /// 0 is the event itself, the others are duplicates.
    pub(crate) copy: u32,
}

#[derive(Debug, Default)]
struct Inner {
    due: BTreeMap<(Instant, u64), Delivery>,
    next: u64,
    in_flight: usize,
}

/// The deliveries that wait, in the order in which they are due.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    /// Something became due sooner than what was there.
    pub(crate) changed: Notify,
    quiet: Notify,
}

/// What to do next.
pub(crate) enum Next {
    Send(Delivery),
    WaitUntil(Instant),
    Nothing,
}

impl Queue {
    /// Adds one; false when there is no place. `order` decides among those that are due at the same time.
    pub(crate) fn add(&self, delivery: Delivery, at: Instant, order: Option<u64>) -> bool {
        let mut inner = self.lock();
        if inner.due.len() >= MAX_QUEUED {
            return false;
        }
        inner.next += 1;
        let mut place = (at, order.unwrap_or(inner.next));
        while inner.due.contains_key(&place) {
            place.1 = place.1.wrapping_add(1);
        }
        inner.due.insert(place, delivery);
        drop(inner);
        self.changed.notify_one();
        true
    }

    /// Takes what is due. Whoever gets one says [`Self::done`] afterwards.
    pub(crate) fn next(&self, now: Instant) -> Next {
        let mut inner = self.lock();
        let Some((&(at, order), _)) = inner.due.first_key_value() else { return Next::Nothing };
        if at > now {
            return Next::WaitUntil(at);
        }
        let Some(delivery) = inner.due.remove(&(at, order)) else { return Next::Nothing };
        inner.in_flight += 1;
        Next::Send(delivery)
    }

    /// One that was taken has its end, or waits again.
    pub(crate) fn done(&self) {
        let mut inner = self.lock();
        inner.in_flight = inner.in_flight.saturating_sub(1);
        if inner.in_flight == 0 && inner.due.is_empty() {
            drop(inner);
            self.quiet.notify_waiters();
        }
    }

    /// Deliveries that wait or are under way.
    pub(crate) fn outstanding(&self) -> usize {
        let inner = self.lock();
        inner.due.len() + inner.in_flight
    }

    /// Waits until nothing is to be sent.
    pub(crate) async fn until_idle(&self) {
        loop {
            let quiet = self.quiet.notified();
            tokio::pin!(quiet);
            quiet.as_mut().enable();
            if self.outstanding() == 0 {
                return;
            }
            quiet.await;
        }
    }

    /// Nothing can panic while it is held.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
