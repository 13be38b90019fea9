//! Payment ledgers, one document a booking. Written by compare-and-set on `rev`, so that concurrent workers never
//! overwrite each other's changes.

use super::{Index, Mongo, SCAN_LIMIT};
use crate::StoreError;
use crate::error::duplicate_positions;
use futures_util::{Stream, TryStreamExt};
use mongodb::bson::{Document, doc, serialize_to_bson};
use pvt_domain::booking::pending_change::hold_ends;
use pvt_domain::booking::{Payment, Status};
use pvt_domain::ids::{BookingId, PropertyId};
use pvt_domain::ledger::{Attention, Ledger};
use pvt_domain::money::Currency;
use pvt_domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

pub(crate) const COLLECTION: &str = "payments";

/// The ledger of a payment, by Stripe's ids and by ours; ledgers with disputes; lists by last change; ledgers that need
/// attention.
pub(crate) const INDEXES: &[Index] = &[
    (COLLECTION, &[("intents.id", 1)], false),
    (COLLECTION, &[("charges.id", 1)], false),
    (COLLECTION, &[("attempts.id", 1)], false),
    (COLLECTION, &[("records.id", 1)], false),
    (COLLECTION, &[("disputes.id", 1)], false),
    (COLLECTION, &[("property_id", 1), ("updated_at", 1), ("_id", 1)], false),
    (COLLECTION, &[("updated_at", 1), ("_id", 1)], false),
    (COLLECTION, &[("attention", 1), ("updated_at", 1), ("_id", 1)], false),
    (COLLECTION, &[("open_refund_since", 1)], false),
];

/// A ledger as stored: with what needs attention, so that it can be queried.
#[derive(Serialize)]
struct Stored<'a> {
    #[serde(flatten)]
    ledger: &'a Ledger,
    attention: Vec<Attention>,
    /// When the oldest refund was instructed that Stripe has not made.
    #[serde(skip_serializing_if = "Option::is_none")]
    open_refund_since: Option<Timestamp>,
}

/// A ledger with a refund that Stripe has not made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OpenRefund {
    /// Its booking.
    #[serde(rename = "_id")]
    pub booking_id: BookingId,
    /// The booking's property.
    pub property_id: PropertyId,
}

/// Filter of a list of ledgers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerFilter {
    /// Of these properties; unset: of all.
    pub properties: Option<Vec<PropertyId>>,
    /// Of these bookings.
    pub bookings: Option<Vec<BookingId>>,
    /// Only those that need attention by staff.
    pub attention: bool,
    /// Only those with a dispute.
    pub disputed: bool,
    /// Not changed after this instant.
    pub until: Option<Timestamp>,
    /// Not changed before this instant.
    pub since: Option<Timestamp>,
    /// Oldest change first: a ledger that changes while pages are read appears again at the end and is never missed.
    pub oldest_first: bool,
}

/// The part of a booking that its ledger needs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct BookingHead {
    /// The booking.
    #[serde(rename = "_id")]
    pub id: BookingId,
    /// Its status.
    pub status: Status,
    /// Its property.
    pub property_id: PropertyId,
    /// Its payment state.
    #[serde(default)]
    pub payment: Payment,
    price: Option<Priced>,
    pending_change: Option<PendingHead>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct PendingHead {
    expires_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Priced {
    currency: Currency,
}

impl BookingHead {
    /// Currency of its price; absent when it was rejected before it was priced.
    pub fn currency(&self) -> Option<Currency> {
        self.price.as_ref().map(|price| price.currency)
    }

    /// When beds are released unless they are paid, as [`pvt_domain::booking::Booking::hold_ends`].
    pub fn hold_ends(&self) -> Option<Timestamp> {
        hold_ends(self.status, &self.payment, self.pending_change.as_ref().map(|pending| pending.expires_at))
    }

    /// The ledger's revision that the booking has applied.
    pub fn ledger_rev(&self) -> u64 {
        self.payment.ledger.as_ref().map_or(0, |ledger| ledger.ledger_rev)
    }
}

/// Payment ledgers, one document a booking.
#[derive(Debug, Clone, Copy)]
pub struct Ledgers<'a>(pub(super) &'a Mongo);

impl Ledgers<'_> {
    /// The ledger of a booking.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn find(self, booking: BookingId) -> Result<Option<Ledger>, StoreError> {
        Ok(self.0.collection::<Ledger>(COLLECTION).find_one(doc! { "_id": booking.to_string() }).await?)
    }

    /// Ledgers of the given bookings, as far as they have one.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn find_by_ids(
        self,
        bookings: impl IntoIterator<Item = BookingId>,
    ) -> Result<HashMap<BookingId, Ledger>, StoreError> {
        self.0.find_by_ids(COLLECTION, bookings, |found: &Ledger| found.booking_id).await
    }

    /// The ledger of a payment: our own id of an attempt or a record, or Stripe's `pi_…`.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn find_by_payment(self, payment: &str) -> Result<Option<Ledger>, StoreError> {
        let field = if payment.starts_with("pi_") { vec!["intents.id"] } else { vec!["attempts.id", "records.id"] };
        for field in field {
            if let Some(found) = self.0.collection::<Ledger>(COLLECTION).find_one(doc! { field: payment }).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Bookings of these payments (`pi_…`), as far as known.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn bookings_of_intents(self, intents: &[&str]) -> Result<HashMap<String, BookingId>, StoreError> {
        self.bookings_of("intents", intents).await
    }

    /// Bookings of these charges (`ch_…`, `py_…`), as far as known.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn bookings_of_charges(self, charges: &[&str]) -> Result<HashMap<String, BookingId>, StoreError> {
        self.bookings_of("charges", charges).await
    }

    /// Bookings whose ledgers have one of these objects of Stripe (sessions, payment intents, charges, refunds,
    /// disputes), events of Stripe, or attempts or recorded payments of ours; at most `limit`. For operators: partly
    /// without an index, so it gives up after two seconds.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails or the search takes too long.
    pub async fn bookings_of_objects(self, ids: &[&str], limit: i64) -> Result<Vec<BookingId>, StoreError> {
        let objects = ["intents.id", "charges.id", "disputes.id", "sessions.id", "refunds.id"];
        let fields = objects.into_iter().chain(["attempts.id", "records.id", "events"]);
        let holds: Vec<Document> = fields.map(|field| doc! { field: { "$in": ids } }).collect();
        let ledgers = self.0.collection::<Document>(COLLECTION);
        let found = ledgers.find(doc! { "$or": holds });
        let found = found.projection(doc! { "_id": 1 }).limit(limit).max_time(SCAN_LIMIT).await?;
        let owners: Vec<Document> = found.try_collect().await?;
        Ok(owners.iter().filter_map(|owner| owner.get_str("_id").ok()?.parse().ok()).collect())
    }

    /// Bookings whose ledgers have objects with these ids in `field`.
    async fn bookings_of(self, field: &str, ids: &[&str]) -> Result<HashMap<String, BookingId>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let path = format!("{field}.id");
        let found = self
            .0
            .collection::<Document>(COLLECTION)
            .find(doc! { &path: { "$in": ids } })
            .projection(doc! { &path: 1 })
            .await?;
        let owners: Vec<Document> = found.try_collect().await?;
        let objects = |owner: &Document| {
            let booking = owner.get_str("_id").ok()?.parse::<BookingId>().ok()?;
            let objects = owner.get_array(field).ok()?.iter();
            let ids =
                objects.filter_map(|object| Some((object.as_document()?.get_str("id").ok()?.to_owned(), booking)));
            Some(ids.collect::<Vec<_>>())
        };
        Ok(owners.iter().filter_map(objects).flatten().collect())
    }

    /// The parts of these bookings that their ledgers need.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn booking_heads(
        self,
        ids: impl IntoIterator<Item = BookingId>,
    ) -> Result<HashMap<BookingId, BookingHead>, StoreError> {
        let ids: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let fields = doc! { "status": 1, "property_id": 1, "payment": 1, "price.currency": 1,
        "pending_change.expires_at": 1 };
        let found = self
            .0
            .collection::<BookingHead>(super::bookings::COLLECTION)
            .find(doc! { "_id": { "$in": ids } })
            .projection(fields)
            .await?;
        Ok(found.map_ok(|head| (head.id, head)).try_collect().await?)
    }

    /// Stores ledgers whose `rev` was raised by one since they were read; those with revision 1 are new. `false` when a
    /// concurrent change was faster with some of them: the caller then reads and applies all of them again, which
    /// changes nothing in those that were stored.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails; then any of them may have been stored.
    pub async fn save(self, ledgers: &[Ledger]) -> Result<bool, StoreError> {
        let broken =
            |error: mongodb::bson::error::Error| StoreError::Broken { store: "mongodb", message: error.to_string() };
        let stored = |ledger: &Ledger| {
            let attention = ledger.attention().into_iter().collect();
            let open_refund_since = ledger.open_instructions().map(|instruction| instruction.instructed_at).min();
            serialize_to_bson(&Stored { ledger, attention, open_refund_since }).map_err(broken)
        };
        let (new, changed): (Vec<&Ledger>, Vec<&Ledger>) = ledgers.iter().partition(|ledger| ledger.rev == 1);
        let mut all = true;
        if !new.is_empty() {
            let documents = new
                .into_iter()
                .map(|ledger| stored(ledger).map(|value| value.as_document().cloned().unwrap_or_default()));
            let documents: Vec<Document> = documents.collect::<Result<_, _>>()?;
            all &= duplicate_positions(
                self.0.collection::<Document>(COLLECTION).insert_many(documents).ordered(false).await,
            )?
            .is_empty();
        }
        if !changed.is_empty() {
            let update = |ledger: &&Ledger| {
                let before = i64::try_from(ledger.rev).unwrap_or(i64::MAX) - 1;
                Ok(doc! { "q": { "_id": ledger.booking_id.to_string(), "rev": before }, "u": stored(ledger)? })
            };
            let updates: Vec<Document> = changed.iter().map(update).collect::<Result<_, StoreError>>()?;
            let refused = |message| StoreError::Unavailable { store: "mongodb", message };
            all &= self.0.update_each(COLLECTION, updates, refused).await? == changed.len();
        }
        Ok(all)
    }

    /// Ledgers with a refund that was instructed until this instant and that Stripe has not made, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn open_refunds(self, until: Timestamp, limit: i64) -> Result<Vec<OpenRefund>, StoreError> {
        let found = self
            .0
            .collection::<OpenRefund>(COLLECTION)
            .find(doc! { "open_refund_since": { "$lte": until.to_string() } })
            .projection(doc! { "property_id": 1 })
            .sort(doc! { "open_refund_since": 1 })
            .limit(limit)
            .await?;
        Ok(found.try_collect().await?)
    }

    /// Ledgers that changed last between these instants and whose bookings do not know their totals, the oldest change
    /// first.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn ahead_of_bookings(
        self,
        since: Timestamp,
        until: Timestamp,
        limit: i64,
    ) -> Result<Vec<Ledger>, StoreError> {
        let known = doc! { "$ifNull": [{ "$first": "$booking.payment.ledger.ledger_rev" }, 0] };
        let pipeline = [
            doc! { "$match": { "updated_at": { "$gte": since.to_string(), "$lte": until.to_string() } } },
            // An index has this order.
            doc! { "$sort": { "updated_at": 1 } },
            doc! { "$lookup": { "from": super::bookings::COLLECTION, "localField": "_id", "foreignField": "_id",
            "as": "booking", "pipeline": [{ "$project": { "payment.ledger.ledger_rev": 1 } }] } },
            doc! { "$match": { "booking": { "$ne": [] }, "$expr": { "$gt": ["$sums_rev", known] } } },
            doc! { "$limit": limit },
            doc! { "$unset": "booking" },
        ];
        let found = self.0.collection::<Ledger>(COLLECTION).aggregate(pipeline).await?.with_type::<Ledger>();
        Ok(found.try_collect().await?)
    }

    /// Every ledger that changed at this instant or later, one by one, in no order.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn changed_since(
        self,
        since: Timestamp,
    ) -> Result<impl Stream<Item = Result<Ledger, StoreError>> + Unpin, StoreError> {
        let query = doc! { "updated_at": { "$gte": since.to_string() } };
        Ok(self.0.collection::<Ledger>(COLLECTION).find(query).await?.map_err(StoreError::from))
    }

    /// Ledgers by their last change, newest first unless the filter says otherwise, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn list(self, filter: &LedgerFilter, limit: i64) -> Result<Vec<Ledger>, StoreError> {
        let mut query = Document::new();
        if let Some(properties) = &filter.properties {
            query.insert("property_id", doc! { "$in": properties.iter().map(PropertyId::as_str).collect::<Vec<_>>() });
        }
        if let Some(bookings) = &filter.bookings {
            query.insert("_id", doc! { "$in": bookings.iter().map(ToString::to_string).collect::<Vec<_>>() });
        }
        if filter.attention {
            query.insert("attention", doc! { "$gt": "" });
        }
        if filter.disputed {
            query.insert("disputes.id", doc! { "$gt": "" });
        }
        let mut changed = Document::new();
        changed.extend(filter.until.map(|until| ("$lte".to_owned(), until.to_string().into())));
        changed.extend(filter.since.map(|since| ("$gte".to_owned(), since.to_string().into())));
        if !changed.is_empty() {
            query.insert("updated_at", changed);
        }
        let direction = if filter.oldest_first { 1 } else { -1 };
        let found = self
            .0
            .collection::<Ledger>(COLLECTION)
            .find(query)
            .sort(doc! { "updated_at": direction, "_id": direction })
            .limit(limit)
            .await?;
        Ok(found.try_collect().await?)
    }
}
