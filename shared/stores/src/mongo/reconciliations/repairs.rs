//! Repairs of claims. Each checks its owner again inside its transaction, because the owner may have changed since the
//! snapshot, and writes its audit entry in the same transaction.
//!
//! An owner that changes during a repair can leave one claim too many or too few. No bed is sold twice by that, since
//! the unique key of the claim still decides, and the next run finds it.

use super::super::audit::AuditEntry;
use super::super::commit::{CLAIMS, StoredClaim, claim_key};
use super::super::transactions::Attempts;
use super::super::{blocks, bookings};
use super::Reconciliations;
use crate::StoreError;
use chrono::NaiveDate;
use mongodb::ClientSession;
use mongodb::bson::{Bson, DateTime, Document, doc};
use pvt_domain::block::Block;
use pvt_domain::booking::Booking;
use pvt_domain::decide::Owner;
use pvt_domain::ids::{BedId, PropertyId};

/// Outcome of a repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimRepair {
    /// Repaired, with an audit entry.
    Done,
    /// No longer needed.
    NotDue,
    /// The bed-night is claimed by another booking or block.
    Taken,
}

/// A bed-night of a booking or block that has lost its claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimToRestore {
    /// The property.
    pub property_id: PropertyId,
    /// The booking or block.
    pub owner: Owner,
    /// The bed.
    pub bed_id: BedId,
    /// The night.
    pub night: NaiveDate,
}

impl ClaimToRestore {
    fn claim(&self) -> StoredClaim {
        StoredClaim { key: claim_key(&self.property_id, &self.bed_id, self.night), booking: self.owner.to_string() }
    }
}

#[derive(Debug, Clone, Copy)]
enum Work {
    Release,
    Restore,
}

impl Reconciliations<'_> {
    /// Deletes a claim that no active booking or block owns.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn release_orphan_claim(
        self,
        claim: &StoredClaim,
        audit: &AuditEntry,
    ) -> Result<ClaimRepair, StoreError> {
        self.repair(Work::Release, claim.clone(), audit.clone()).await
    }

    /// Inserts the claim of a bed-night that an active booking or block owns.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn restore_claim(self, missing: &ClaimToRestore, audit: &AuditEntry) -> Result<ClaimRepair, StoreError> {
        self.repair(Work::Restore, missing.claim(), audit.clone()).await
    }

    async fn repair(self, work: Work, claim: StoredClaim, audit: AuditEntry) -> Result<ClaimRepair, StoreError> {
        let mongo = self.0.clone();
        // A dropped driver future can leave its session in the middle of a transaction.
        let repaired = tokio::spawn(async move {
            let mut attempts = Attempts::new();
            loop {
                match mongo.reconciliations().repair_once(work, &claim, &audit).await {
                    Err(StoreError::Transient { .. }) if attempts.pause().await => {}
                    // An earlier attempt, or the same run before it was interrupted, has written the audit entry.
                    Err(StoreError::Duplicate(_))
                        if mongo
                            .reconciliations()
                            .owner_of(&claim.key)
                            .await?
                            .is_none_or(|owner| owner == claim.booking) =>
                    {
                        return Ok(ClaimRepair::NotDue);
                    }
                    Err(StoreError::Duplicate(_)) => return Ok(ClaimRepair::Taken),
                    other => return other,
                }
            }
        });
        repaired.await.unwrap_or_else(|lost| Err(StoreError::Broken { store: "mongodb", message: lost.to_string() }))
    }

    async fn repair_once(self, work: Work, claim: &StoredClaim, audit: &AuditEntry) -> Result<ClaimRepair, StoreError> {
        let mut session = self.0.client().start_session().await?;
        session.start_transaction().await?;
        let outcome = match work {
            Work::Release => self.release_in(&mut session, claim).await,
            Work::Restore => self.restore_in(&mut session, claim).await,
        };
        let repaired = outcome.map(|is_due| is_due.then_some(ClaimRepair::Done));
        Ok(self.0.audit_log().end(session, repaired, audit).await?.unwrap_or(ClaimRepair::NotDue))
    }

    /// Deletes the claim; `false` when it has an owner or does not exist.
    async fn release_in(self, session: &mut ClientSession, claim: &StoredClaim) -> Result<bool, StoreError> {
        if self.owner_has(session, claim).await? {
            return Ok(false);
        }
        let orphan = doc! { "_id": &claim.key, "booking": &claim.booking };
        let done = self.0.collection::<StoredClaim>(CLAIMS).delete_one(orphan).session(session).await?;
        Ok(done.deleted_count > 0)
    }

    /// Inserts the claim; `false` when its owner no longer holds the bed-night.
    async fn restore_in(self, session: &mut ClientSession, claim: &StoredClaim) -> Result<bool, StoreError> {
        if !self.owner_has(session, claim).await? {
            return Ok(false);
        }
        // Written, not only read: a concurrent cancellation must conflict with the repair instead of missing its claim.
        let mark = doc! { "$set": { "claims_restored_at": Bson::DateTime(DateTime::now()) } };
        let (collection, id) = match claim.booking.parse() {
            Ok(Owner::Booking(id)) => (bookings::COLLECTION, id.to_string()),
            Ok(Owner::Block(id)) => (blocks::COLLECTION, id.to_string()),
            Err(_) => return Ok(false),
        };
        self.0.collection::<Document>(collection).update_one(doc! { "_id": id }, mark).session(&mut *session).await?;
        self.0.collection::<StoredClaim>(CLAIMS).insert_one(claim).session(session).await?;
        Ok(true)
    }

    /// Whether the claim's owner is active and holds this bed on this night.
    async fn owner_has(self, session: &mut ClientSession, claim: &StoredClaim) -> Result<bool, StoreError> {
        let matches = |property: &PropertyId, bed: &BedId, night| claim_key(property, bed, night) == claim.key;
        match claim.booking.parse() {
            Ok(Owner::Booking(id)) => {
                let found = self
                    .0
                    .collection::<Booking>(bookings::COLLECTION)
                    .find_one(doc! { "_id": id.to_string() })
                    .session(session)
                    .await?;
                Ok(found.is_some_and(|booking| {
                    booking.claims().any(|(bed, night)| matches(&booking.property_id, bed, night))
                }))
            }
            Ok(Owner::Block(id)) => {
                let found = self
                    .0
                    .collection::<Block>(blocks::COLLECTION)
                    .find_one(doc! { "_id": id.to_string() })
                    .session(session)
                    .await?;
                Ok(found
                    .is_some_and(|block| block.claims().any(|(bed, night)| matches(&block.property_id, bed, night))))
            }
            Err(_) => Ok(false),
        }
    }

    async fn owner_of(self, key: &str) -> Result<Option<String>, StoreError> {
        let held = self.0.collection::<StoredClaim>(CLAIMS).find_one(doc! { "_id": key }).await?;
        Ok(held.map(|claim| claim.booking))
    }
}
