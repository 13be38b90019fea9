//! The one place where bookings and claims are written: a batch of decisions in one transaction.
//!
//! A claim is a document whose `_id` is `property|bed|night`. Its uniqueness is what makes a double booking impossible,
//! by any writer and however late; so claims are never written outside a transaction with the bookings that own them.

use super::former_addresses::{self, StoredAddress};
use super::transactions::{Attempts, abort, commit_until_known};
use super::{Mongo, blocks, bookings, inventory};
use crate::StoreError;
use chrono::NaiveDate;
use mongodb::ClientSession;
use mongodb::bson::{Bson, RawDocumentBuf, doc, serialize_to_bson, serialize_to_raw_document_buf};
use pvt_domain::block::Block;
use pvt_domain::booking::Booking;
use pvt_domain::decide::{BatchOutcome, BedNightClaim, BlockChange, Change, InventoryMarks};
use pvt_domain::ids::{BedId, PropertyId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub(crate) const CLAIMS: &str = "claims";

/// A claim as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredClaim {
    /// `property|bed|night`.
    #[serde(rename = "_id")]
    pub key: String,
    /// The owner: a booking's id, or `block:` and a block's.
    pub booking: String,
}

impl StoredClaim {
    /// The stored form of a claim.
    pub fn of(claim: &BedNightClaim) -> Self {
        Self { key: claim_key(&claim.property_id, &claim.bed_id, claim.night), booking: claim.owner.to_string() }
    }

    /// Bed and night, read back from the key; `None` when the key is not of our making.
    pub fn bed_night(&self) -> Option<(BedId, NaiveDate)> {
        split_key(&self.key)
    }
}

/// The `_id` of a claim.
pub fn claim_key(property_id: &PropertyId, bed_id: &BedId, night: NaiveDate) -> String {
    format!("{property_id}|{bed_id}|{night}")
}

fn split_key(key: &str) -> Option<(BedId, NaiveDate)> {
    let (rest, night) = key.rsplit_once('|')?;
    let (_, bed) = rest.split_once('|')?;
    Some((BedId::from(bed), night.parse().ok()?))
}

/// A batch in the form in which the server takes it, so that repeating the transaction costs no new encoding.
struct Batch {
    inserted: Vec<RawDocumentBuf>,
    updates: Vec<Bson>,
    inserted_blocks: Vec<RawDocumentBuf>,
    block_updates: Vec<Bson>,
    property_updates: Vec<Bson>,
    former_addresses: Vec<RawDocumentBuf>,
    claimed: Vec<RawDocumentBuf>,
    released_keys: Vec<String>,
    released_owners: Vec<String>,
}

impl Batch {
    fn of(decisions: &BatchOutcome) -> Result<Self, StoreError> {
        let broken =
            |error: mongodb::bson::error::Error| StoreError::Broken { store: "mongodb", message: error.to_string() };
        let (new, changed): (Vec<&Change>, Vec<&Change>) =
            decisions.changes.iter().partition(|change| change.stored_rev.is_none());
        let update = |change: &&Change| {
            let replacement = serialize_to_bson(&change.booking)?;
            Ok(Bson::Document(
                doc! { "q": { "_id": change.booking.id.to_string(), "rev": change.stored_rev }, "u": replacement },
            ))
        };
        let (new_blocks, changed_blocks): (Vec<&BlockChange>, Vec<&BlockChange>) =
            decisions.block_changes.iter().partition(|change| change.stored_rev.is_none());
        let block_update = |change: &&BlockChange| {
            let replacement = serialize_to_bson(&change.block)?;
            Ok(Bson::Document(
                doc! { "q": { "_id": change.block.id.to_string(), "rev": change.stored_rev }, "u": replacement },
            ))
        };
        let property_update = |marks: &InventoryMarks| {
            let InventoryMarks { stored_rev, inventory: marked } = marks;
            let rooms = serialize_to_bson(&marked.rooms)?;
            let marked_rev = inventory::revision(marked.rev);
            Ok(Bson::Document(doc! {
                "q": inventory::at_revision(&marked.property.id, *stored_rev),
                "u": { "$set": { "inventory.rooms": rooms, "inventory.rev": marked_rev } },
            }))
        };
        Ok(Self {
            property_updates: decisions.marks.iter().map(property_update).collect::<Result<_, _>>().map_err(broken)?,
            inserted_blocks: new_blocks
                .iter()
                .map(|change| serialize_to_raw_document_buf::<Block>(&change.block))
                .collect::<Result<_, _>>()
                .map_err(broken)?,
            block_updates: changed_blocks.iter().map(block_update).collect::<Result<_, _>>().map_err(broken)?,
            inserted: new
                .iter()
                .map(|change| serialize_to_raw_document_buf::<Booking>(&change.booking))
                .collect::<Result<_, _>>()
                .map_err(broken)?,
            updates: changed.iter().map(update).collect::<Result<_, _>>().map_err(broken)?,
            former_addresses: decisions
                .former_addresses
                .iter()
                .map(|address| serialize_to_raw_document_buf(&StoredAddress::of(address)))
                .collect::<Result<_, _>>()
                .map_err(broken)?,
            claimed: decisions
                .claimed
                .iter()
                .map(|claim| serialize_to_raw_document_buf(&StoredClaim::of(claim)))
                .collect::<Result<_, _>>()
                .map_err(broken)?,
            released_keys: decisions
                .released
                .iter()
                .map(|claim| claim_key(&claim.property_id, &claim.bed_id, claim.night))
                .collect(),
            released_owners: decisions.released.iter().map(|claim| claim.owner.to_string()).collect(),
        })
    }
}

/// Bed-night claims, and the transaction that writes them together with bookings and blocks.
#[derive(Debug, Clone, Copy)]
pub struct Claims<'a>(pub(super) &'a Mongo);

impl Claims<'_> {
    /// The claimed nights of a property from `from` on, for building a view.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn of_property(
        self,
        property_id: &PropertyId,
        from: NaiveDate,
    ) -> Result<Vec<(BedId, NaiveDate)>, StoreError> {
        // Ids only: answered from the index on `_id` alone.
        let range = doc! { "_id": { "$gte": format!("{property_id}|"), "$lt": format!("{property_id}}}") } };
        let mut found = self.0.collection::<RawDocumentBuf>(CLAIMS).find(range).projection(doc! { "_id": 1 }).await?;
        let mut nights = Vec::new();
        while found.advance().await? {
            let bed_night = found.current().get_str("_id").ok().and_then(split_key);
            nights.extend(bed_night.filter(|(_, night)| *night >= from));
        }
        Ok(nights)
    }

    /// How many of the bed-nights that a booking must own it has claimed.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn count_of(self, booking: &Booking) -> Result<u64, StoreError> {
        let keys: Vec<String> =
            booking.claims().map(|(bed, night)| claim_key(&booking.property_id, bed, night)).collect();
        let owned = doc! { "_id": { "$in": keys }, "booking": booking.id.to_string() };
        Ok(self.0.collection::<StoredClaim>(CLAIMS).count_documents(owned).await?)
    }

    /// Stores a batch of decisions, all or nothing: releases, changed bookings, marks of beds, new bookings, addresses
    /// that bookings no longer have, new claims, in this order.
    ///
    /// Conflicts, elections and an unknown outcome of the commit are tried again for up to ten seconds.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when a claim exists already: the decision was made on an old view.
    /// [`StoreError::BookingExists`] when a booking that was decided as new does. [`StoreError::Stale`] when a changed
    /// booking, or a property whose beds are marked, is no longer at the revision that was decided upon. All of them
    /// mean that nothing was stored **by this attempt**; an earlier attempt whose answer was lost may have stored the
    /// batch.
    pub async fn commit(self, decisions: &BatchOutcome) -> Result<(), StoreError> {
        if decisions.is_empty() {
            return Ok(());
        }
        let batch = Arc::new(Batch::of(decisions)?);
        let mongo = self.0.clone();
        // A dropped driver future can leave its session in the middle of a transaction, so a caller that gives up must
        // not drop it.
        let stored = tokio::spawn(async move { mongo.claims().store_batch(&batch).await }).await;
        stored.unwrap_or_else(|lost| Err(StoreError::Broken { store: "mongodb", message: lost.to_string() }))
    }

    async fn store_batch(self, batch: &Batch) -> Result<(), StoreError> {
        let mut attempts = Attempts::new();
        loop {
            let mut session = self.0.client().start_session().await?;
            let outcome = match self.write_batch(&mut session, batch).await {
                Ok(()) => commit_until_known(&mut session, attempts.started()).await,
                Err(error) => {
                    abort(&mut session).await;
                    Err(error)
                }
            };
            match outcome {
                Err(StoreError::Transient { .. }) if attempts.pause().await => {}
                other => return other,
            }
        }
    }

    async fn write_batch(self, session: &mut ClientSession, batch: &Batch) -> Result<(), StoreError> {
        session.start_transaction().await?;
        if !batch.released_keys.is_empty() {
            let owned = doc! { "_id": { "$in": &batch.released_keys }, "booking": { "$in": &batch.released_owners } };
            self.0.collection::<RawDocumentBuf>(CLAIMS).delete_many(owned).session(&mut *session).await?;
        }
        self.replace_all(session, bookings::COLLECTION, &batch.updates).await?;
        self.replace_all(session, blocks::COLLECTION, &batch.block_updates).await?;
        self.replace_all(session, inventory::PROPERTIES, &batch.property_updates).await?;
        if !batch.inserted.is_empty() {
            let inserted = self
                .0
                .collection::<RawDocumentBuf>(bookings::COLLECTION)
                .insert_many(&batch.inserted)
                .session(&mut *session)
                .await;
            inserted.map_err(|error| match StoreError::from(error) {
                StoreError::Duplicate(message) => StoreError::BookingExists(message),
                other => other,
            })?;
        }
        if !batch.inserted_blocks.is_empty() {
            self.0
                .collection::<RawDocumentBuf>(blocks::COLLECTION)
                .insert_many(&batch.inserted_blocks)
                .session(&mut *session)
                .await?;
        }
        if !batch.former_addresses.is_empty() {
            self.0
                .collection::<RawDocumentBuf>(former_addresses::COLLECTION)
                .insert_many(&batch.former_addresses)
                .session(&mut *session)
                .await?;
        }
        if !batch.claimed.is_empty() {
            self.0.collection::<RawDocumentBuf>(CLAIMS).insert_many(&batch.claimed).session(&mut *session).await?;
        }
        Ok(())
    }

    /// Changes documents that are still at the revision that was decided upon.
    async fn replace_all(
        self,
        session: &mut ClientSession,
        collection: &str,
        updates: &[Bson],
    ) -> Result<(), StoreError> {
        if updates.is_empty() {
            return Ok(());
        }
        let command = doc! { "update": collection, "updates": updates, "ordered": true };
        let reply = self.0.database().run_command(command).session(session).await?;
        let matched = reply.get_i32("n").unwrap_or(0);
        if usize::try_from(matched).ok() != Some(updates.len()) {
            return Err(StoreError::Stale(format!("{matched} of {} {collection} were as expected", updates.len())));
        }
        Ok(())
    }
}
