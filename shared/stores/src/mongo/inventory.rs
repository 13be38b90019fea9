//! Properties with their room types, rooms and rate plans.
//!
//! Each kind has its own collection keyed by `property|id`; a property is read whole, because every decision needs it whole.

use super::Mongo;
use crate::StoreError;
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::options::ReplaceOptions;
use pvt_domain::ids::PropertyId;
use pvt_domain::inventory::{Inventory, Property};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const PROPERTIES: &str = "properties";
const ROOM_TYPES: &str = "room_types";
const ROOMS: &str = "rooms";
const RATE_PLANS: &str = "rate_plans";

/// A part of a property's inventory as stored.
#[derive(Serialize, Deserialize)]
struct Part<T> {
    #[serde(rename = "_id")]
    key: String,
    property_id: PropertyId,
    /// Position within the property, so that beds keep the order in which staff count them.
    position: u32,
    part: T,
}

impl Mongo {
    /// Everything about one property; `None` when there is no such property.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn inventory(&self, property_id: &PropertyId) -> Result<Option<Inventory>, StoreError> {
        let Some(property) = self.collection::<Property>(PROPERTIES).find_one(doc! { "_id": property_id.as_str() }).await? else { return Ok(None) };
        let (room_types, rooms, rate_plans) =
            tokio::try_join!(self.parts(ROOM_TYPES, property_id), self.parts(ROOMS, property_id), self.parts(RATE_PLANS, property_id))?;
        Ok(Some(Inventory { property, room_types, rooms, rate_plans }))
    }

    /// The ids of all properties, in order.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn property_ids(&self) -> Result<Vec<PropertyId>, StoreError> {
        let found: Vec<Document> =
            self.collection::<Document>(PROPERTIES).find(doc! {}).projection(doc! { "_id": 1 }).sort(doc! { "_id": 1 }).await?.try_collect().await?;
        Ok(found.iter().filter_map(|property| property.get_str("_id").ok()).map(PropertyId::from).collect())
    }

    /// Writes a property whole, replacing what was there. Parts that are no longer listed are removed.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn save_inventory(&self, inventory: &Inventory) -> Result<(), StoreError> {
        let id = &inventory.property.id;
        self.save_parts(ROOM_TYPES, id, &inventory.room_types, |part| part.id.as_str()).await?;
        self.save_parts(ROOMS, id, &inventory.rooms, |part| part.id.as_str()).await?;
        self.save_parts(RATE_PLANS, id, &inventory.rate_plans, |part| part.id.as_str()).await?;
        // The property last: whoever sees it sees all its parts.
        let upsert = ReplaceOptions::builder().upsert(true).build();
        self.collection::<Property>(PROPERTIES).replace_one(doc! { "_id": id.as_str() }, &inventory.property).with_options(upsert).await?;
        Ok(())
    }

    async fn parts<T: DeserializeOwned + Send + Sync>(&self, collection: &str, property_id: &PropertyId) -> Result<Vec<T>, StoreError> {
        let found = self.collection::<Part<T>>(collection).find(part_keys(property_id)).await?;
        let mut parts: Vec<Part<T>> = found.try_collect().await?;
        parts.sort_by_key(|part| part.position);
        Ok(parts.into_iter().map(|part| part.part).collect())
    }

    async fn save_parts<T: Serialize + Clone + Send + Sync>(
        &self,
        collection: &str,
        property_id: &PropertyId,
        parts: &[T],
        id: impl Fn(&T) -> &str,
    ) -> Result<(), StoreError> {
        let collection = self.collection::<Part<T>>(collection);
        collection.delete_many(part_keys(property_id)).await?;
        if parts.is_empty() {
            return Ok(());
        }
        let stored = (0_u32..).zip(parts).map(|(position, part)| Part {
            key: format!("{property_id}|{}", id(part)),
            property_id: property_id.clone(),
            position,
            part: part.clone(),
        });
        collection.insert_many(stored).await?;
        Ok(())
    }
}

/// All keys `property|…`; served by the index on `_id`. (`}` is the character after `|`.)
fn part_keys(property_id: &PropertyId) -> Document {
    doc! { "_id": { "$gte": format!("{property_id}|"), "$lt": format!("{property_id}}}") } }
}
