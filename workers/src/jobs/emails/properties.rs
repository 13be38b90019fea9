//! Properties kept for a short time, because every mail needs one and they hardly ever change.

use pvt_domain::ids::PropertyId;
use pvt_domain::inventory::Inventory;
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A changed name or check-in time shows in mails after at most so long.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// Properties kept at once.
const MAX_KEPT: usize = 512;

/// The cache.
#[derive(Default)]
pub(super) struct Properties {
    kept: Mutex<HashMap<PropertyId, (Instant, Arc<Inventory>)>>,
}

impl Properties {
    /// Those of the wanted properties that exist.
    pub(super) async fn load<'a>(
        &self,
        mongo: &Mongo,
        wanted: impl Iterator<Item = &'a PropertyId>,
    ) -> Result<HashMap<PropertyId, Arc<Inventory>>, StoreError> {
        let mut found = HashMap::new();
        for id in wanted.collect::<HashSet<_>>() {
            if let Some(inventory) = self.get(id) {
                found.insert(id.clone(), inventory);
            } else if let Some(inventory) = mongo.inventories().find(id).await? {
                let inventory = Arc::new(inventory);
                self.keep(id, &inventory);
                found.insert(id.clone(), inventory);
            }
        }
        Ok(found)
    }

    fn get(&self, id: &PropertyId) -> Option<Arc<Inventory>> {
        self.lock().get(id).filter(|(since, _)| since.elapsed() < KEPT_FOR).map(|(_, inventory)| inventory.clone())
    }

    fn keep(&self, id: &PropertyId, inventory: &Arc<Inventory>) {
        let mut kept = self.lock();
        if kept.len() >= MAX_KEPT {
            kept.retain(|_, (since, _)| since.elapsed() < KEPT_FOR);
        }
        if kept.len() < MAX_KEPT || kept.contains_key(id) {
            kept.insert(id.clone(), (Instant::now(), inventory.clone()));
        }
    }

    /// Never held across an await; nothing can panic while it is.
    fn lock(&self) -> MutexGuard<'_, HashMap<PropertyId, (Instant, Arc<Inventory>)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
