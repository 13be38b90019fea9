//! Properties with their room types, rooms and rate plans: one document each.
//!
//! A decision needs the whole property at one instant. The document is replaced and read as a whole, so that no reader
//! sees its rooms without its rate plans.

use super::audit::AuditEntry;
use super::transactions::end;
use super::{Mongo, blocks};
use crate::StoreError;
use futures_util::TryStreamExt;
use mongodb::ClientSession;
use mongodb::bson::{Bson, Document, doc};
use pvt_domain::ids::{BlockId, PropertyId};
use pvt_domain::inventory::Inventory;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

pub(super) const PROPERTIES: &str = "properties";

/// A property as stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(rename = "_id")]
    id: PropertyId,
    inventory: Inventory,
}

/// Properties with what they sell, one document each.
#[derive(Debug, Clone, Copy)]
pub struct Inventories<'a>(pub(super) &'a Mongo);

impl Inventories<'_> {
    /// The inventory of a property; `None` when the property does not exist.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn find(self, property_id: &PropertyId) -> Result<Option<Inventory>, StoreError> {
        let found = self.0.collection::<Stored>(PROPERTIES).find_one(doc! { "_id": property_id.as_str() }).await?;
        Ok(found.map(|stored| stored.inventory))
    }

    /// The ids of all properties, in order.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn property_ids(self) -> Result<Vec<PropertyId>, StoreError> {
        let found: Vec<Document> = self
            .0
            .collection::<Document>(PROPERTIES)
            .find(doc! {})
            .projection(doc! { "_id": 1 })
            .sort(doc! { "_id": 1 })
            .await?
            .try_collect()
            .await?;
        Ok(found.iter().filter_map(|property| property.get_str("_id").ok()).map(PropertyId::from).collect())
    }

    /// Revisions of the given properties, as far as they exist.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn revisions(self, properties: &[PropertyId]) -> Result<HashMap<PropertyId, u64>, StoreError> {
        if properties.is_empty() {
            return Ok(HashMap::new());
        }
        let ids: Vec<&str> = properties.iter().map(PropertyId::as_str).collect();
        let wanted = doc! { "_id": { "$in": ids } };
        let found: Vec<Document> = self
            .0
            .collection::<Document>(PROPERTIES)
            .find(wanted)
            .projection(doc! { "inventory.rev": 1 })
            .await?
            .try_collect()
            .await?;
        let read = |property: &Document| {
            let rev = property
                .get_document("inventory")
                .ok()
                .and_then(|inventory| inventory.get_i64("rev").ok())
                .unwrap_or_default();
            Some((PropertyId::from(property.get_str("_id").ok()?), u64::try_from(rev).unwrap_or_default()))
        };
        Ok(found.iter().filter_map(read).collect())
    }

    /// Creates a property; `false` when its id exists already.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn create(self, inventory: &Inventory, entry: &AuditEntry) -> Result<bool, StoreError> {
        self.write(inventory, None, entry, &[]).await
    }

    /// Replaces a property if it still has revision `rev` and all these blocks are still active; else `false`.
    ///
    /// The blocks are written as well, so that a concurrent transaction that lifts one of them conflicts with this one.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn replace(
        self,
        inventory: &Inventory,
        rev: u64,
        entry: &AuditEntry,
        holds: &[BlockId],
    ) -> Result<bool, StoreError> {
        self.write(inventory, Some(rev), entry, holds).await
    }

    async fn write(
        self,
        inventory: &Inventory,
        rev: Option<u64>,
        entry: &AuditEntry,
        holds: &[BlockId],
    ) -> Result<bool, StoreError> {
        let mut session = self.0.client().start_session().await?;
        session.start_transaction().await?;
        let written = self.write_in(&mut session, (inventory, rev), entry, holds).await;
        end(&mut session, written).await
    }

    async fn write_in(
        self,
        session: &mut ClientSession,
        (inventory, rev): (&Inventory, Option<u64>),
        entry: &AuditEntry,
        holds: &[BlockId],
    ) -> Result<bool, StoreError> {
        let id = &inventory.property.id;
        let stored = Stored { id: id.clone(), inventory: inventory.clone() };
        let properties = self.0.collection::<Stored>(PROPERTIES);
        match rev {
            None => drop(properties.insert_one(stored).session(&mut *session).await?),
            Some(rev) => {
                let replaced = properties.replace_one(at_revision(id, rev), stored).session(&mut *session).await?;
                if replaced.matched_count == 0 {
                    return Ok(false);
                }
            }
        }
        for block in holds {
            let active = doc! { "_id": block.to_string(), "status": "active" };
            let used = doc! { "$set": { "used_for_house_rev": revision(inventory.rev) } };
            if self
                .0
                .collection::<Document>(blocks::COLLECTION)
                .update_one(active, used)
                .session(&mut *session)
                .await?
                .matched_count
                == 0
            {
                return Ok(false);
            }
        }
        self.0.audit_log().append_in(session, entry).await?;
        Ok(true)
    }

    /// Stores a property, replacing any stored version.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn save(self, inventory: &Inventory) -> Result<(), StoreError> {
        let id = &inventory.property.id;
        let stored = Stored { id: id.clone(), inventory: inventory.clone() };
        self.0.collection::<Stored>(PROPERTIES).replace_one(doc! { "_id": id.as_str() }, &stored).upsert(true).await?;
        Ok(())
    }
}

/// A revision as stored.
pub(super) fn revision(rev: u64) -> Bson {
    Bson::Int64(i64::try_from(rev).unwrap_or(i64::MAX))
}

/// Matches the property while it has this revision. Properties stored before revisions existed have none.
pub(super) fn at_revision(property: &PropertyId, rev: u64) -> Document {
    let wanted = if rev == 0 {
        doc! { "$in": [revision(0), Bson::Null] }
    } else {
        doc! { "$eq": revision(rev) }
    };
    doc! { "_id": property.as_str(), "inventory.rev": wanted }
}
