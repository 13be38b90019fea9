//! Price calendars: one document a room type and rate plan, read by property.
//!
//! A change of calendars is a change of the property: it raises the revision of the property in the same transaction,
//! so that caches of prices notice it. No other module writes calendars.

use super::Mongo;
use super::audit::AuditEntry;
use super::inventory::{PROPERTIES, at_revision, revision};
use super::transactions::end;
use crate::StoreError;
use futures_util::TryStreamExt;
use mongodb::ClientSession;
use mongodb::bson::{Document, doc};
use pvt_domain::ids::{PropertyId, RatePlanId, RoomTypeId};
use pvt_domain::rates::{RateCalendar, Rates};
use serde::{Deserialize, Serialize};

pub(crate) const COLLECTION: &str = "rates";

/// A calendar as stored; its key is `property|plan|type`.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(rename = "_id")]
    key: String,
    calendar: RateCalendar,
}

fn key(property: &PropertyId, plan: &RatePlanId, room_type: &RoomTypeId) -> String {
    format!("{property}|{plan}|{room_type}")
}

/// Price calendars by property.
#[derive(Debug, Clone, Copy)]
pub struct PropertyRates<'a>(pub(super) &'a Mongo);

impl PropertyRates<'_> {
    /// Every calendar of a property, in one read.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn of_property(self, property: &PropertyId) -> Result<Rates, StoreError> {
        // No id contains `|` or `}`, and `}` is the character after `|`.
        let range = doc! { "_id": { "$gte": format!("{property}|"), "$lt": format!("{property}}}") } };
        let found: Vec<Stored> = self.0.collection::<Stored>(COLLECTION).find(range).await?.try_collect().await?;
        Ok(Rates::new(found.into_iter().map(|stored| stored.calendar)))
    }

    /// Replaces these calendars if the property still has revision `rev`, and raises it; `false` when it has another
    /// revision.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn save(
        self,
        property: &PropertyId,
        rev: u64,
        calendars: &[RateCalendar],
        entry: &AuditEntry,
    ) -> Result<bool, StoreError> {
        let mut session = self.0.client().start_session().await?;
        session.start_transaction().await?;
        let written = self.write(&mut session, (property, rev), calendars, entry).await;
        end(&mut session, written).await
    }

    async fn write(
        self,
        session: &mut ClientSession,
        (property, rev): (&PropertyId, u64),
        calendars: &[RateCalendar],
        entry: &AuditEntry,
    ) -> Result<bool, StoreError> {
        let raise = doc! { "$set": { "inventory.rev": revision(rev + 1) } };
        let raised = self
            .0
            .collection::<Document>(PROPERTIES)
            .update_one(at_revision(property, rev), raise)
            .session(&mut *session)
            .await?;
        if raised.matched_count == 0 {
            return Ok(false);
        }
        for calendar in calendars {
            let key = key(property, &calendar.rate_plan_id, &calendar.room_type_id);
            let stored = Stored { key: key.clone(), calendar: calendar.clone() };
            self.0
                .collection::<Stored>(COLLECTION)
                .replace_one(doc! { "_id": key }, stored)
                .upsert(true)
                .session(&mut *session)
                .await?;
        }
        self.0.audit_log().append_in(session, entry).await?;
        Ok(true)
    }
}
