//! Watch on bookings that are not decided yet.
//!
//! However many requests wait, one task queries the store for all of them, soon after they arrived and then ever less
//! often. A worker's reply only makes it query at once: what is answered is always what is stored.

use crate::http::metrics::DECISION_WAITERS;
use pvt_domain::booking::Booking;
use pvt_domain::ids::BookingId;
use pvt_domain::messages::ReplyOutcome;
use pvt_stores::mongo::Mongo;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Requests that may wait at once; further ones are answered with what is known now.
const MAX_WAITERS: usize = 2_000;
/// Bookings read by one query.
const MAX_QUERY: usize = 500;
/// First pause between two queries for one booking; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE: Duration = Duration::from_millis(500);
/// First pause where a worker's reply is expected and the query is only there in case it gets lost.
const PAUSE_WITH_REPLY: Duration = Duration::from_millis(250);
/// For one query.
const QUERY_TIMEOUT: Duration = Duration::from_secs(3);

/// What is awaited of a booking.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Awaited {
    pub(crate) id: BookingId,
    /// The revision that is waited for.
    pub(crate) rev: u32,
    /// Whether a worker will reply to this instance.
    pub(crate) reply_expected: bool,
}

struct Waiter {
    rev: u32,
    notify: oneshot::Sender<Arc<Booking>>,
}

/// The requests that wait for one booking.
struct Watched {
    waiters: Vec<Waiter>,
    due: Instant,
    pause: Duration,
    /// A worker refused: whatever revision is stored is the answer.
    refused: bool,
}

/// Everything that is waited for.
#[derive(Default)]
struct Watches {
    bookings: HashMap<BookingId, Watched>,
    /// The time of the next query unless one is due sooner; `None` while none is due.
    next: Option<Instant>,
}

/// The handle. Cheap to clone.
#[derive(Clone)]
pub(crate) struct BookingWatch {
    shared: Arc<Shared>,
}

struct Shared {
    mongo: Mongo,
    watched: Mutex<Watches>,
    /// Something is due earlier than the task expects.
    sooner: Notify,
    stop: CancellationToken,
}

/// The slot of one waiting request, freed when it is dropped.
pub(crate) struct PendingDecision {
    decided: oneshot::Receiver<Arc<Booking>>,
    stop: CancellationToken,
}

impl PendingDecision {
    /// The booking once it has the awaited revision; `None` when that takes too long, or the process stops.
    pub(crate) async fn until(self, deadline: Instant) -> Option<Arc<Booking>> {
        let decided = timeout_at(deadline, self.decided);
        self.stop.run_until_cancelled(decided).await?.ok()?.ok()
    }
}

impl BookingWatch {
    /// Starts the task that queries.
    pub(crate) fn start(mongo: Mongo, stop: CancellationToken) -> Self {
        let shared = Arc::new(Shared { mongo, watched: Mutex::default(), sooner: Notify::new(), stop: stop.clone() });
        tokio::spawn(stop.run_until_cancelled_owned(shared.clone().run()));
        Self { shared }
    }

    /// Whether the process is stopping, so that no request is notified any more.
    pub(crate) fn is_stopping(&self) -> bool {
        self.shared.stop.is_cancelled()
    }

    /// Takes a slot; `None` when there is none left. Take it before sending what will be decided.
    pub(crate) fn wait_for(&self, awaited: Awaited) -> Option<PendingDecision> {
        let (notify, decided) = oneshot::channel();
        let mut watch = self.shared.lock();
        if watch.bookings.len() >= MAX_WAITERS {
            return None;
        }
        let pause = if awaited.reply_expected { PAUSE_WITH_REPLY } else { FIRST_PAUSE };
        let due = Instant::now() + pause;
        let entry = watch.bookings.entry(awaited.id).or_insert_with(|| Watched {
            waiters: Vec::new(),
            due,
            pause,
            refused: false,
        });
        if entry.waiters.len() >= MAX_WAITERS {
            return None;
        }
        entry.waiters.push(Waiter { rev: awaited.rev, notify });
        (entry.due, entry.pause) = (entry.due.min(due), entry.pause.min(pause));
        let sooner = watch.next.is_none_or(|next| due < next);
        drop(watch);
        if sooner {
            self.shared.sooner.notify_one();
        }
        Some(PendingDecision { decided, stop: self.shared.stop.clone() })
    }

    /// A worker has dealt with a command about this booking.
    pub(crate) fn replied(&self, id: BookingId, outcome: ReplyOutcome) {
        let mut watch = self.shared.lock();
        let Some(entry) = watch.bookings.get_mut(&id) else { return };
        entry.due = Instant::now();
        entry.refused |= outcome != ReplyOutcome::Decided;
        drop(watch);
        self.shared.sooner.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Watches> {
        // Nothing that holds it can leave it half-changed.
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self: Arc<Self>) {
        let waiting = metrics::gauge!(DECISION_WAITERS);
        loop {
            let (due, next) = self.due();
            waiting.set(u32::try_from(self.lock().bookings.len()).map_or(f64::MAX, f64::from));
            if due.is_empty() {
                let sooner = self.sooner.notified();
                match next {
                    Some(next) => tokio::select! { () = sooner => {}, () = sleep_until(next) => {} },
                    None => sooner.await,
                }
                continue;
            }
            let mongo = self.mongo.clone();
            let query = tokio::spawn(async move { mongo.bookings().find_by_ids(due).await });
            match timeout(QUERY_TIMEOUT, query).await {
                Ok(Ok(Ok(found))) => self.notify(found),
                // The requests go on waiting; their next query is due already.
                Ok(Ok(Err(error))) => debug!(%error, "bookings that are waited for cannot be read"),
                Ok(Err(_)) | Err(_) => debug!("bookings that are waited for cannot be read"),
            }
        }
    }

    /// The bookings to query now, with their next turn set, and the time when the next one is due. Removes those that
    /// no request waits for.
    fn due(&self) -> (Vec<BookingId>, Option<Instant>) {
        let now = Instant::now();
        let mut due = Vec::new();
        let mut next: Option<Instant> = None;
        let mut watch = self.lock();
        watch.bookings.retain(|id, entry| {
            if entry.due <= now {
                entry.waiters.retain(|waiter| !waiter.notify.is_closed());
                if entry.waiters.is_empty() {
                    return false;
                }
                if due.len() < MAX_QUERY {
                    due.push(*id);
                    entry.due = now + entry.pause;
                    entry.pause = (entry.pause * 2).min(MAX_PAUSE);
                }
            }
            next = Some(next.map_or(entry.due, |next| next.min(entry.due)));
            true
        });
        watch.next = next;
        (due, next)
    }

    fn notify(&self, found: HashMap<BookingId, Booking>) {
        let mut watch = self.lock();
        for (id, booking) in found {
            let Some(entry) = watch.bookings.get_mut(&id) else { continue };
            let booking = Arc::new(booking);
            let refused = entry.refused;
            for waiter in entry.waiters.extract_if(.., |waiter| refused || waiter.rev <= booking.rev) {
                // A request that has ended needs no answer.
                drop(waiter.notify.send(booking.clone()));
            }
            if entry.waiters.is_empty() {
                watch.bookings.remove(&id);
            }
        }
    }
}
