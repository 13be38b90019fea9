//! Properties with their room types, rooms and rate plans: one document each.
//!
//! A decision needs all of a property at one instant. A single document is replaced and read whole, so that nobody ever sees a house
//! whose rooms are there and whose prices are not.

use super::Mongo;
use crate::StoreError;
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use pvt_domain::ids::PropertyId;
use pvt_domain::inventory::Inventory;
use serde::{Deserialize, Serialize};

const PROPERTIES: &str = "properties";

/// A property as stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(rename = "_id")]
    id: PropertyId,
    inventory: Inventory,
}

impl Mongo {
    /// Everything about one property; `None` when there is no such property.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn inventory(&self, property_id: &PropertyId) -> Result<Option<Inventory>, StoreError> {
        let found = self.collection::<Stored>(PROPERTIES).find_one(doc! { "_id": property_id.as_str() }).await?;
        Ok(found.map(|stored| stored.inventory))
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

    /// Writes a property whole, replacing what was there.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn save_inventory(&self, inventory: &Inventory) -> Result<(), StoreError> {
        let id = &inventory.property.id;
        let stored = Stored { id: id.clone(), inventory: inventory.clone() };
        self.collection::<Stored>(PROPERTIES).replace_one(doc! { "_id": id.as_str() }, &stored).upsert(true).await?;
        Ok(())
    }
}
