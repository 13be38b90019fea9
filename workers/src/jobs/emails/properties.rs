//! Short-lived cache of properties: every mail needs one, and they hardly ever change.

use pvt_domain::ids::PropertyId;
use pvt_domain::inventory::Inventory;
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A changed name or check-in time shows in mails after at most this long.
const MAX_AGE: Duration = Duration::from_secs(60);
/// Most properties cached.
const MAX_ENTRIES: usize = 512;

/// The cache.
#[derive(Default)]
pub(super) struct Properties {
    entries: Mutex<HashMap<PropertyId, (Instant, Arc<Inventory>)>>,
}

impl Properties {
    /// The requested properties, as far as they exist.
    pub(super) async fn load<'a>(
        &self,
        mongo: &Mongo,
        ids: impl Iterator<Item = &'a PropertyId>,
    ) -> Result<HashMap<PropertyId, Arc<Inventory>>, StoreError> {
        let mut found = HashMap::new();
        for id in ids.collect::<HashSet<_>>() {
            if let Some(inventory) = self.get(id) {
                found.insert(id.clone(), inventory);
            } else if let Some(inventory) = mongo.inventories().find(id).await? {
                let inventory = Arc::new(inventory);
                self.insert(id, &inventory);
                found.insert(id.clone(), inventory);
            }
        }
        Ok(found)
    }

    fn get(&self, id: &PropertyId) -> Option<Arc<Inventory>> {
        self.lock().get(id).filter(|(since, _)| since.elapsed() < MAX_AGE).map(|(_, inventory)| inventory.clone())
    }

    fn insert(&self, id: &PropertyId, inventory: &Arc<Inventory>) {
        let mut entries = self.lock();
        if entries.len() >= MAX_ENTRIES {
            entries.retain(|_, (since, _)| since.elapsed() < MAX_AGE);
        }
        if entries.len() < MAX_ENTRIES || entries.contains_key(id) {
            entries.insert(id.clone(), (Instant::now(), inventory.clone()));
        }
    }

    /// Never held across an await; nothing can panic while it is.
    fn lock(&self) -> MutexGuard<'_, HashMap<PropertyId, (Instant, Arc<Inventory>)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
