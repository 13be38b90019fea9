//! The occupancy grids of a process's properties, cached.
//!
//! The cache is a hint: it is dropped whenever the store may disagree, and no refusal rests on it alone.

use chrono::Days;
use futures_util::future::try_join_all;
use pvt_domain::grid::OccupancyGrid;
use pvt_domain::ids::PropertyId;
use pvt_domain::timestamp::Timestamp;
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A grid older than this is read again, because its first night ages. Other changes (prices, new beds) raise the
/// property's revision, which every batch compares.
const MAX_AGE_MINUTES: i64 = 10;
/// Nights before today that a grid still covers: commands may have waited in the queue through an outage.
const NIGHTS_BACK: u64 = 3;

/// The cached grids.
#[derive(Default)]
pub(super) struct GridCache {
    known: HashMap<PropertyId, OccupancyGrid>,
    read_at: HashMap<PropertyId, Timestamp>,
    /// Read since the batch began.
    fresh: HashSet<PropertyId>,
}

impl GridCache {
    /// Marks all grids as not fresh.
    pub(super) fn begin_batch(&mut self) {
        self.fresh.clear();
    }

    pub(super) fn known(&self) -> &HashMap<PropertyId, OccupancyGrid> {
        &self.known
    }

    pub(super) fn fresh(&self) -> &HashSet<PropertyId> {
        &self.fresh
    }

    /// Drops the grids of these properties.
    pub(super) fn invalidate<'a>(&mut self, properties: impl IntoIterator<Item = &'a PropertyId>) {
        for property in properties {
            self.known.remove(property);
            self.read_at.remove(property);
            self.fresh.remove(property);
        }
    }

    /// Stores the grids as a committed batch left them.
    pub(super) fn replace(&mut self, changed: HashMap<PropertyId, OccupancyGrid>) {
        self.known.extend(changed);
    }

    /// Reads the grids of these properties that are missing, too old, or of an earlier revision of inventory or prices.
    pub(super) async fn load<'a>(
        &mut self,
        mongo: &Mongo,
        properties: impl IntoIterator<Item = &'a PropertyId>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let stale: HashSet<&PropertyId> =
            properties.into_iter().filter(|property| !self.fresh.contains(*property)).collect();
        let (mut to_read, cached): (Vec<&PropertyId>, Vec<&PropertyId>) =
            stale.into_iter().partition(|property| self.is_old(property, now));
        let cached: Vec<PropertyId> = cached.into_iter().cloned().collect();
        let revisions = mongo.inventories().revisions(&cached).await?;
        let is_current = |property: &PropertyId| {
            self.known.get(property).map(|grid| grid.inventory().rev) == revisions.get(property).copied()
        };
        to_read.extend(cached.iter().filter(|property| !is_current(property)));
        let read = try_join_all(to_read.into_iter().map(|property| read(mongo, property, now))).await?;
        for (property, grid) in read {
            // A missing property was looked up just now: its absence is fresh, too.
            self.fresh.insert(property.clone());
            match grid {
                Some(grid) => {
                    self.known.insert(property.clone(), grid);
                    self.read_at.insert(property, now);
                }
                None => self.remove_missing(&property),
            }
        }
        Ok(())
    }

    fn remove_missing(&mut self, property: &PropertyId) {
        self.known.remove(property);
        self.read_at.remove(property);
    }

    fn is_old(&self, property: &PropertyId, now: Timestamp) -> bool {
        self.read_at
            .get(property)
            .is_none_or(|read_at| (now.as_datetime() - read_at.as_datetime()).num_minutes().abs() >= MAX_AGE_MINUTES)
    }
}

async fn read(
    mongo: &Mongo,
    property: &PropertyId,
    now: Timestamp,
) -> Result<(PropertyId, Option<OccupancyGrid>), StoreError> {
    let Some(inventory) = mongo.inventories().find(property).await? else { return Ok((property.clone(), None)) };
    let today = now.local_date(inventory.property.time_zone);
    let origin = today.checked_sub_days(Days::new(NIGHTS_BACK)).unwrap_or(today);
    // After the inventory: prices that changed in between raise its revision, and are then read again.
    let rates = mongo.rates().of_property(property).await?;
    let mut grid = OccupancyGrid::new(Arc::new(inventory), origin).with_rates(Arc::new(rates));
    for (bed, night) in mongo.claims().of_property(property, origin).await? {
        grid.take_night(&bed, night);
    }
    Ok((property.clone(), Some(grid)))
}
