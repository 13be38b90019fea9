//! Occupancy cache: the beds taken at each property, from which searches are answered.
//!
//! A property is read from the store when it is first used, and again when it is old; in between events keep it up to
//! date. What has not been used for a while is evicted, and while the cache is empty no events are consumed: each one
//! costs the broker a delivery. It is a hint like the inventory cache: the worker decides on what is stored.

mod event_feed;

use crate::http::metrics::OCCUPANCY_READS;
use crate::http::problem::Problem;
use crate::read_models::inventory::InventoryCache;
use crate::store_call;
use chrono::{Days, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use pvt_domain::availability::{Holding, Occupancy};
use pvt_domain::booking::Action;
use pvt_domain::events::BookingEvent;
use pvt_domain::grid::{HORIZON_NIGHTS, OccupancyGrid};
use pvt_domain::ids::PropertyId;
use pvt_domain::nights::Nights;
use pvt_domain::timestamp::Timestamp;
use pvt_messaging::{Subscriber, Topology};
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Maximum age of a snapshot while events are observed; some changes have no event.
const MAX_AGE: Duration = Duration::from_secs(120);
/// Maximum age while no events are observed.
const MAX_AGE_UNSUBSCRIBED: Duration = Duration::from_secs(1);
/// Age at which a snapshot is renewed ahead of need, so that no request waits for it.
const RENEWAL_AGE: Duration = Duration::from_secs(60);
/// A property that no request has used for this long is evicted.
const IDLE_EVICTION_AGE: Duration = Duration::from_secs(600);
/// Interval between two checks for old snapshots and for properties with another revision.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(1);
/// Properties read at once for one request.
const CONCURRENT_READS: usize = 8;
/// Nights before today that are still known: today differs between time zones.
const NIGHTS_BACK: u64 = 2;

/// The handle to what is known. Cheap to clone.
#[derive(Clone)]
pub(crate) struct OccupancyCache {
    shared: Arc<Shared>,
}

struct Shared {
    mongo: Mongo,
    /// Receives inventories that are newer here than there.
    inventory_cache: InventoryCache,
    slots: RwLock<HashMap<PropertyId, Arc<Slot>>>,
    /// Whether any property is in use.
    wanted: watch::Sender<bool>,
    /// Whether events arrive.
    subscribed: AtomicBool,
}

/// The entry of one property.
#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    /// Held by the request that reads, so that one reads for all.
    reading: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct State {
    known: Option<Known>,
    /// Time of the last use.
    last_used_at: Option<Instant>,
    /// Something changed that events do not describe in full: read again.
    stale: bool,
    /// Events observed since a read began, which may or may not have seen their effects.
    observed: Option<Vec<BookingEvent>>,
}

struct Known {
    occupancy: Arc<Occupancy>,
    read_at: Instant,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds it can leave it half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The snapshot, unless it must be read again.
    fn fresh(&self, max_age: Duration) -> Option<Arc<Occupancy>> {
        let state = self.lock();
        let known = state.known.as_ref().filter(|known| !state.stale && known.read_at.elapsed() < max_age)?;
        Some(known.occupancy.clone())
    }
}

impl OccupancyCache {
    /// Subscribes to events and renews what is known, until `stop`.
    pub(crate) fn start(
        mongo: Mongo,
        inventory_cache: InventoryCache,
        amqp_url: &str,
        topology: Topology,
        stop: &CancellationToken,
    ) -> Self {
        let (wanted, _) = watch::channel(false);
        let shared = Arc::new(Shared {
            mongo,
            inventory_cache,
            slots: RwLock::default(),
            wanted,
            subscribed: AtomicBool::new(false),
        });
        let occupancies = Self { shared };
        let subscriber = Subscriber::start(amqp_url, topology, "pvt-api occupancy");
        tokio::spawn(event_feed::run(subscriber, occupancies.clone(), stop.clone()));
        tokio::spawn(stop.clone().run_until_cancelled_owned(occupancies.clone().renew()));
        occupancies
    }

    /// The occupancy of one property; `None` when there is no such property.
    ///
    /// # Errors
    /// 503 when nothing is known and the store cannot be read.
    pub(crate) async fn of(&self, property: &PropertyId) -> Result<Option<Arc<Occupancy>>, Problem> {
        self.slot(property).lock().last_used_at = Some(Instant::now());
        self.shared.wanted.send_if_modified(|wanted| !std::mem::replace(wanted, true));
        let max_age = if self.shared.subscribed.load(Ordering::Acquire) { MAX_AGE } else { MAX_AGE_UNSUBSCRIBED };
        self.no_older(property, max_age).await
    }

    /// All of these, in their order; those that are not there are left out.
    ///
    /// # Errors
    /// As [`OccupancyCache::of`].
    pub(crate) async fn of_all(&self, properties: Vec<PropertyId>) -> Result<Vec<Arc<Occupancy>>, Problem> {
        let read =
            stream::iter(properties).map(|property| async move { self.of(&property).await }).buffered(CONCURRENT_READS);
        Ok(read.try_collect::<Vec<_>>().await?.into_iter().flatten().collect())
    }

    async fn no_older(&self, property: &PropertyId, max_age: Duration) -> Result<Option<Arc<Occupancy>>, Problem> {
        let slot = self.slot(property);
        if let Some(known) = slot.fresh(max_age) {
            return Ok(Some(known));
        }
        let reading = slot.reading.clone().lock_owned().await;
        if let Some(known) = slot.fresh(max_age) {
            return Ok(Some(known));
        }
        let (shared, place, id) = (self.shared.clone(), slot.clone(), property.clone());
        let read = store_call::read(async move {
            let found = shared.read(&place, &id).await;
            drop(reading);
            found
        });
        match read.await {
            // While the store is unreachable the last snapshot is right: nothing changes without the store.
            Err(problem) => slot.lock().known.as_ref().map(|known| Some(known.occupancy.clone())).ok_or(problem),
            found => found,
        }
    }

    fn slot(&self, property: &PropertyId) -> Arc<Slot> {
        if let Some(slot) = self.existing_slot(property) {
            return slot;
        }
        self.shared.slots.write().unwrap_or_else(PoisonError::into_inner).entry(property.clone()).or_default().clone()
    }

    fn existing_slot(&self, property: &PropertyId) -> Option<Arc<Slot>> {
        self.shared.slots.read().unwrap_or_else(PoisonError::into_inner).get(property).cloned()
    }

    /// A booking has changed.
    fn observed(&self, event: BookingEvent) {
        let Some(slot) = self.existing_slot(&event.property_id) else { return };
        let mut state = slot.lock();
        if let Some(known) = &mut state.known {
            let complete = apply(Arc::make_mut(&mut known.occupancy), &event);
            state.stale |= !complete;
        }
        state.observed.iter_mut().for_each(|observed| observed.push(event.clone()));
    }

    /// Something else of a property has changed.
    pub(crate) fn invalidate(&self, property: &PropertyId) {
        if let Some(slot) = self.existing_slot(property) {
            slot.lock().stale = true;
        }
    }

    /// Records whether events arrive. Those before the subscription were not observed, so all is read again.
    fn set_subscribed(&self, subscribed: bool) {
        if subscribed {
            let slots = self.shared.slots.read().unwrap_or_else(PoisonError::into_inner);
            slots.values().for_each(|slot| slot.lock().stale = true);
        }
        self.shared.subscribed.store(subscribed, Ordering::Release);
    }

    async fn renew(self) {
        let mut ticks = interval(RENEWAL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let known = self.evict_idle();
            if known.is_empty() {
                continue;
            }
            self.compare_revisions(known.clone()).await;
            for property in known {
                if self.no_older(&property, RENEWAL_AGE).await.is_err() {
                    debug!(%property, "the occupancy cannot be read");
                    break;
                }
            }
        }
    }

    /// Evicts properties that were not used for long; returns those that are left.
    fn evict_idle(&self) -> Vec<PropertyId> {
        let mut slots = self.shared.slots.write().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, slot| {
            slot.lock().last_used_at.is_none_or(|last_used_at| last_used_at.elapsed() < IDLE_EVICTION_AGE)
        });
        let left: Vec<PropertyId> = slots.keys().cloned().collect();
        self.shared.wanted.send_if_modified(|wanted| std::mem::replace(wanted, !left.is_empty()) == left.is_empty());
        left
    }

    /// Waits until some property is in use, or none is any more.
    async fn until_wanted(&self, is: bool) {
        // The sender lives as long as we do.
        drop(self.shared.wanted.subscribe().wait_for(|wanted| *wanted == is).await);
    }

    /// Marks properties whose inventory, prices or restrictions have changed, also where the event was lost.
    async fn compare_revisions(&self, properties: Vec<PropertyId>) {
        let mongo = self.shared.mongo.clone();
        let Ok(stored) = store_call::read(async move { mongo.inventories().revisions(&properties).await }).await else {
            return;
        };
        for (property, rev) in stored {
            if let Some(slot) = self.existing_slot(&property) {
                let mut state = slot.lock();
                let read = state.known.as_ref().map(|known| known.occupancy.grid().inventory().rev);
                state.stale |= read.is_some_and(|read| read != rev);
            }
        }
    }
}

impl Shared {
    /// Reads one property anew; events that arrive meanwhile are applied afterwards.
    async fn read(&self, slot: &Slot, property: &PropertyId) -> Result<Option<Arc<Occupancy>>, StoreError> {
        let read_at = Instant::now();
        {
            let mut state = slot.lock();
            (state.observed, state.stale) = (Some(Vec::new()), false);
        }
        metrics::counter!(OCCUPANCY_READS).increment(1);
        let read = occupancy(&self.mongo, property).await;
        let mut state = slot.lock();
        let observed = state.observed.take().unwrap_or_default();
        let Some(mut occupancy) = read.inspect_err(|_| state.stale = true)? else {
            state.known = None;
            return Ok(None);
        };
        for event in &observed {
            state.stale |= !apply(&mut occupancy, event);
        }
        self.inventory_cache.insert_newer(occupancy.grid().inventory());
        let occupancy = Arc::new(occupancy);
        state.known = Some(Known { occupancy: occupancy.clone(), read_at });
        Ok(Some(occupancy))
    }
}

/// Sets the beds of the event's booking; returns whether the event describes all of them. It does not describe those
/// of a pending change.
fn apply(occupancy: &mut Occupancy, event: &BookingEvent) -> bool {
    let had_pending = occupancy.has_pending_change(event.booking_id);
    occupancy.hold(Holding::from(event));
    !had_pending && event.action != Some(Action::HoldChange)
}

async fn occupancy(mongo: &Mongo, property: &PropertyId) -> Result<Option<Occupancy>, StoreError> {
    let Some(inventory) = mongo.inventories().find(property).await? else { return Ok(None) };
    let today = Timestamp::from(Utc::now()).local_date(inventory.property.time_zone);
    let origin = today.checked_sub_days(Days::new(NIGHTS_BACK)).unwrap_or(today);
    // After the inventory: prices newer than its revision are read again once a changed revision is noticed.
    let rates = mongo.rates().of_property(property).await?;
    let mut occupancy = Occupancy::new(OccupancyGrid::new(Arc::new(inventory), origin).with_rates(Arc::new(rates)));
    let end = origin.checked_add_days(Days::new(u64::try_from(HORIZON_NIGHTS).unwrap_or(u64::MAX))).unwrap_or(origin);
    for block in mongo.occupancy().blocks_within(property, Nights::new(origin, end)).await? {
        occupancy.block(&block.bed_ids, block.nights());
    }
    mongo.occupancy().holdings(property, origin).await?.iter().for_each(|stored| occupancy.hold(Holding::from(stored)));
    Ok(Some(occupancy))
}
