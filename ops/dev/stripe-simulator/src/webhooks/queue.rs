//! Bounded queue of deliveries by due time. A delivery that finds it full is dropped, like one lost in transit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Most waiting deliveries.
const MAX_QUEUED: usize = 200_000;

/// A delivery of an event to an endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) event: String,
    pub(crate) kind: String,
    pub(crate) body: Arc<str>,
    /// Index in the list of endpoints.
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

/// Waiting deliveries in the order of their due time.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    /// Notified when a delivery becomes due before those that wait.
    pub(crate) changed: Notify,
    quiet: Notify,
}

/// The next step of the delivery loop.
pub(crate) enum Next {
    Send(Delivery),
    WaitUntil(Instant),
    Nothing,
}

impl Queue {
    /// Adds a delivery; false when the queue is full. `order` decides among those that are due at the same time.
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

    /// Takes a due delivery. The caller calls [`Self::done`] afterwards.
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

    /// Ends a delivery that was taken, or lets it wait again.
    pub(crate) fn done(&self) {
        let mut inner = self.lock();
        inner.in_flight = inner.in_flight.saturating_sub(1);
        if inner.in_flight == 0 && inner.due.is_empty() {
            drop(inner);
            self.quiet.notify_waiters();
        }
    }

    /// Deliveries that wait or are in flight.
    pub(crate) fn outstanding(&self) -> usize {
        let inner = self.lock();
        inner.due.len() + inner.in_flight
    }

    /// Waits until no delivery is outstanding.
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

    /// No panic can happen while it is held, so a poisoned lock is still consistent.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
