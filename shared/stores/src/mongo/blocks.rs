//! Blocks: read-only here, written only by [`super::commit`] together with their claims.

use super::{Index, Mongo};
use crate::StoreError;
use futures_util::TryStreamExt;
use mongodb::bson::doc;
use pvt_domain::block::Block;
use pvt_domain::ids::{BlockId, PropertyId};
use std::collections::HashMap;

pub(crate) const COLLECTION: &str = "blocks";

/// Active blocks of a property; blocks of a property in the order of their ids.
pub(crate) const INDEXES: &[Index] = &[
    (COLLECTION, &[("property_id", 1), ("status", 1)], false),
    (COLLECTION, &[("property_id", 1), ("_id", 1)], false),
];

/// Blocks, read only; they are written by [`Claims::commit`](super::commit::Claims::commit).
#[derive(Debug, Clone, Copy)]
pub struct Blocks<'a>(pub(super) &'a Mongo);

impl Blocks<'_> {
    /// The given blocks, as far as they are stored.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn find_by_ids(
        self,
        ids: impl IntoIterator<Item = BlockId>,
    ) -> Result<HashMap<BlockId, Block>, StoreError> {
        self.0.find_by_ids(COLLECTION, ids, |found: &Block| found.id).await
    }

    /// Blocks of a property ordered by id, after `after`, at most `limit`; all of them or the active ones.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn list(
        self,
        property_id: &PropertyId,
        active: bool,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Block>, StoreError> {
        let mut query = doc! { "property_id": property_id.as_str(), "_id": { "$gt": after.unwrap_or_default() } };
        if active {
            query.insert("status", "active");
        }
        Ok(self
            .0
            .collection::<Block>(COLLECTION)
            .find(query)
            .sort(doc! { "_id": 1 })
            .limit(limit)
            .await?
            .try_collect()
            .await?)
    }
}
