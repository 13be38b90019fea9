//! Inventory cache: the inventory of every property, as this instance knows it.
//!
//! Intake reads it without a lock and without a store, so it keeps working while MongoDB is unreachable. It is a hint
//! for good error messages: the worker decides on what is stored.

use crate::http::metrics::CACHED_PROPERTIES;
use arc_swap::ArcSwap;
use futures_util::{StreamExt as _, stream};
use pvt_domain::ids::PropertyId;
use pvt_domain::inventory::Inventory;
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// Interval between two refreshes.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5);
/// Minimum interval between two refreshes on request, however many requests there are.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Interval between attempts while nothing is known yet.
const FIRST_LOAD_INTERVAL: Duration = Duration::from_millis(250);
/// Time limit of one refresh.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request waits for a refresh that may find its property.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(4);
/// Properties read at once.
const CONCURRENT_READS: usize = 8;
/// Known properties that one refresh reads again; with more of them, each is read less often.
const REREAD_PER_REFRESH: usize = 32;

type Inventories = BTreeMap<PropertyId, Arc<Inventory>>;

/// The result of a lookup.
pub(crate) enum Lookup {
    /// The property.
    Found(Arc<Inventory>),
    /// There is no such property. Another one, against which the rest of the request can be checked.
    Unknown(Arc<Inventory>),
    /// Nothing is known yet, or the store could not be read.
    Unavailable,
}

/// Numbers of the last refreshes begun and ended; one refresh has the same number in both.
#[derive(Debug, Clone, Copy, Default)]
struct Refreshes {
    begun: u64,
    ended: u64,
    failed: bool,
}

/// The handle to what is known. Cheap to clone.
#[derive(Clone)]
pub(crate) struct InventoryCache {
    known: Arc<ArcSwap<Inventories>>,
    refreshes: watch::Receiver<Refreshes>,
    wanted: Arc<Notify>,
}

impl InventoryCache {
    /// Reads the store now and at intervals until `stop`.
    pub(crate) fn start(mongo: Mongo, stop: CancellationToken) -> Self {
        let (sender, refreshes) = watch::channel(Refreshes::default());
        let cache = Self { known: Arc::default(), refreshes, wanted: Arc::default() };
        let refresher =
            Refresher { mongo, known: cache.known.clone(), refreshes: sender, wanted: cache.wanted.clone(), cursor: 0 };
        tokio::spawn(stop.run_until_cancelled_owned(refresher.run()));
        cache
    }

    /// A cache of these inventories that never reads a store.
    #[cfg(test)]
    pub(crate) fn of(inventories: impl IntoIterator<Item = Inventory>) -> Self {
        let known: Inventories =
            inventories.into_iter().map(|inventory| (inventory.property.id.clone(), Arc::new(inventory))).collect();
        let (_, refreshes) = watch::channel(Refreshes::default());
        Self { known: Arc::new(ArcSwap::from_pointee(known)), refreshes, wanted: Arc::default() }
    }

    /// Everything known, by id.
    pub(crate) fn all(&self) -> Arc<Inventories> {
        self.known.load_full()
    }

    /// Takes this inventory, unless the same or a newer revision is known.
    pub(crate) fn insert_newer(&self, inventory: &Arc<Inventory>) {
        let id = &inventory.property.id;
        let is_newer = |known: &Inventories| known.get(id).is_none_or(|old| old.rev < inventory.rev);
        if is_newer(&self.known.load()) {
            self.known.rcu(|known| {
                let mut known = Inventories::clone(known);
                if is_newer(&known) {
                    known.insert(id.clone(), inventory.clone());
                }
                known
            });
        }
    }

    /// The property of this id. An unknown one is looked up in the store, where it may just have been created.
    pub(crate) async fn find(&self, id: &str) -> Lookup {
        if let Some(inventory) = self.known.load().get(id) {
            return Lookup::Found(inventory.clone());
        }
        let refreshed = timeout(LOOKUP_TIMEOUT, self.refresh_now()).await.unwrap_or(false);
        let known = self.known.load();
        match (known.get(id), known.values().next()) {
            (Some(inventory), _) => Lookup::Found(inventory.clone()),
            (None, Some(any)) if refreshed => Lookup::Unknown(any.clone()),
            _ => Lookup::Unavailable,
        }
    }

    /// Waits for a refresh that begins after now. `false` when it failed.
    async fn refresh_now(&self) -> bool {
        let mut refreshes = self.refreshes.clone();
        let next = refreshes.borrow().begun + 1;
        self.wanted.notify_one();
        match refreshes.wait_for(|refreshes| refreshes.ended >= next).await {
            Ok(refreshes) => !refreshes.failed,
            // The refresher is gone: the process is stopping, and what is known is all there is.
            Err(_) => true,
        }
    }
}

struct Refresher {
    mongo: Mongo,
    known: Arc<ArcSwap<Inventories>>,
    refreshes: watch::Sender<Refreshes>,
    wanted: Arc<Notify>,
    /// Position among the known properties at which the next refresh continues.
    cursor: usize,
}

impl Refresher {
    async fn run(mut self) {
        let properties = metrics::gauge!(CACHED_PROPERTIES);
        loop {
            let begun = Instant::now();
            self.refreshes.send_modify(|refreshes| refreshes.begun += 1);
            let result = timeout(REFRESH_TIMEOUT, self.refresh()).await;
            let failed = !matches!(result, Ok(Ok(())));
            match result {
                Ok(Ok(())) => {}
                Ok(Err(error)) => warn!(%error, "properties could not be read, keeping the known ones"),
                Err(_) => warn!("properties could not be read in time, keeping the known ones"),
            }
            let count = self.known.load().len();
            properties.set(u32::try_from(count).map_or(f64::MAX, f64::from));
            self.refreshes.send_modify(|refreshes| (refreshes.ended, refreshes.failed) = (refreshes.begun, failed));
            if count == 0 {
                sleep(FIRST_LOAD_INTERVAL).await;
                continue;
            }
            tokio::select! {
                () = sleep_until(begun + REFRESH_INTERVAL) => {}
                () = self.wanted.notified() => sleep_until(begun + MIN_INTERVAL).await,
            }
        }
    }

    /// Reads which properties there are, all new ones, and some of the known ones in turn.
    async fn refresh(&mut self) -> Result<(), StoreError> {
        let ids = self.mongo.inventories().property_ids().await?;
        let before = self.known.load_full();
        let (known, new): (Vec<&PropertyId>, Vec<&PropertyId>) = ids.iter().partition(|id| before.contains_key(*id));
        let again = known.iter().cycle().skip(self.cursor.min(known.len())).take(known.len().min(REREAD_PER_REFRESH));
        let wanted: Vec<PropertyId> = new.iter().chain(again).map(|id| (*id).clone()).collect();
        self.cursor = if known.is_empty() { 0 } else { (self.cursor + REREAD_PER_REFRESH) % known.len() };
        let mut after: Inventories =
            known.iter().filter_map(|id| before.get(*id).map(|inventory| ((*id).clone(), inventory.clone()))).collect();
        let mongo = &self.mongo;
        let mut read = stream::iter(wanted)
            .map(|id| async move {
                let found = mongo.inventories().find(&id).await;
                (id, found)
            })
            .buffer_unordered(CONCURRENT_READS);
        while let Some(result) = read.next().await {
            let (id, found) = match result {
                (id, Ok(found)) => (id, found),
                // One property that cannot be read must not hide the others.
                (id, Err(StoreError::Broken { message, .. })) => {
                    warn!(property = %id, %message, "property cannot be read, keeping what is known of it");
                    continue;
                }
                (_, Err(error)) => return Err(error),
            };
            match found {
                // Unchanged ones stay as they are, shared with requests that hold them.
                Some(inventory) if after.get(&id).is_some_and(|old| **old == inventory) => {}
                Some(inventory) => drop(after.insert(id, Arc::new(inventory))),
                None => drop(after.remove(&id)),
            }
        }
        drop(read);
        if before.is_empty() && !after.is_empty() {
            info!(properties = after.len(), "ready to take bookings");
        }
        debug!(properties = after.len(), new = new.len(), "properties read");
        self.known.rcu(|now| merge_inserted(&after, &before, now));
        Ok(())
    }
}

/// The inventories that were read, or newer ones that were inserted meanwhile.
fn merge_inserted(read: &Inventories, before: &Inventories, now: &Inventories) -> Inventories {
    let mut known = read.clone();
    for (id, inventory) in now {
        let inserted = !before.get(id).is_some_and(|old| Arc::ptr_eq(old, inventory));
        if inserted && known.get(id).is_none_or(|read| read.rev < inventory.rev) {
            known.insert(id.clone(), inventory.clone());
        }
    }
    known
}
