//! Notification ledger: one row a mail, written before the mail is sent.
//!
//! The row keeps a redelivered message from sending a mail twice: the process that inserts it, or claims an unfinished
//! one, is the only sender. It never holds an address; the key contains a hash of it.

use super::mail_senders::{Attempt, MailRow};
use super::{Index, Mongo};
use crate::StoreError;
use crate::error::duplicate_positions;
use futures_util::TryStreamExt;
use mongodb::bson::error::Error as BsonError;
use mongodb::bson::{Document, doc, serialize_to_bson};
use pvt_domain::QueueHop;
use pvt_domain::ids::{BookingId, PropertyId, uuid_text};
use pvt_domain::messages::NotificationKind;
use pvt_domain::timestamp::Timestamp;
use pvt_domain::wire_enum;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

pub(crate) const COLLECTION: &str = "notifications";

/// None beyond `_id`, which begins with the booking: a range of it serves the queries that are not by whole keys.
pub(crate) const INDEXES: &[Index] = &[];

wire_enum! {
    /// State of the delivery of a mail.
    pub enum NotificationStatus {
        /// Being sent, or its sender crashed while sending: whether it was accepted is unknown.
        Sending = "sending",
        /// Certainly not accepted yet; its message is redelivered.
        Waiting = "waiting",
        /// The server accepted it.
        Sent = "sent",
        /// The server refused it permanently.
        Failed = "failed",
    }
}

impl NotificationStatus {
    /// Whether nothing more will be sent.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Sent | Self::Failed)
    }
}

/// One mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// `booking|kind|version|hash of the recipient`; a mail requested by staff has the request's id in place of the
    /// version.
    #[serde(rename = "_id")]
    pub key: String,
    /// The booking it is about.
    pub booking_id: BookingId,
    /// The booking's property.
    pub property_id: PropertyId,
    /// Kind of mail.
    pub kind: NotificationKind,
    /// The booking's revision that it reports.
    pub version: u32,
    /// The booking's revision whose state the last attempt showed; absent in rows from before it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<u32>,
    /// State of its delivery.
    pub status: NotificationStatus,
    /// `Message-ID` of every attempt, angle brackets included.
    pub message_id: String,
    /// Number of attempts to send it.
    pub attempts: u32,
    /// Number of attempts that began while it was unknown whether an earlier one had been accepted.
    pub maybe_duplicate: u32,
    /// The sender while it is being sent: one run of a batch.
    #[serde(with = "uuid_text")]
    pub sender: Uuid,
    /// The process that sends it, in `mail_senders`; absent in rows from before there was any, and once the outcome of
    /// an attempt is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Why it is not sent. Never an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How the message came that caused the last attempt; absent in rows from before it was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hop: Option<QueueHop>,
    /// When the first attempt began.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
}

impl Notification {
    /// The booking's revision whose state it shows. Rows without it showed the one that they reported, or a later one.
    pub fn shown_rev(&self) -> u32 {
        self.shown.unwrap_or(self.version)
    }
}

impl MailRow for Notification {
    const COLLECTION: &'static str = COLLECTION;

    fn attempt(&self) -> Attempt<'_> {
        Attempt { status: self.status, process: self.process.as_deref(), updated_at: self.updated_at }
    }
}

/// An unfinished row that a sender wants to take over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationClaim {
    /// The row.
    pub key: String,
    /// The booking's revision that this attempt reports.
    pub version: u32,
    /// The booking's revision that this attempt shows.
    pub shown: u32,
    /// Its attempts as read; the claim fails if another sender has begun one since.
    pub attempts: u32,
    /// How the message came that causes this attempt.
    pub hop: QueueHop,
    /// Whether an earlier attempt may have been accepted.
    pub maybe_duplicate: bool,
}

/// Outcome of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationOutcome {
    /// The row.
    pub key: String,
    /// `Sent`, `Failed` or `Waiting`.
    pub status: NotificationStatus,
    /// Why it is not sent.
    pub reason: Option<String>,
}

/// Ledger of mails about bookings, one row a mail.
#[derive(Debug, Clone, Copy)]
pub struct Notifications<'a>(pub(super) &'a Mongo);

impl Notifications<'_> {
    /// Inserts the rows that do not exist yet and returns, by key, those that do. The caller sends the mails of the
    /// others.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails; then any of the rows may have been inserted.
    pub async fn begin(self, rows: &[Notification]) -> Result<HashMap<String, Notification>, StoreError> {
        if rows.is_empty() {
            return Ok(HashMap::new());
        }
        let existing = duplicate_positions(self.rows().insert_many(rows).ordered(false).await)?;
        if existing.is_empty() {
            return Ok(HashMap::new());
        }
        let existing: Vec<&str> =
            existing.into_iter().filter_map(|position| rows.get(position)).map(|row| row.key.as_str()).collect();
        let found = self.rows().find(doc! { "_id": { "$in": existing } }).await?;
        Ok(found.map_ok(|row| (row.key.clone(), row)).try_collect().await?)
    }

    /// Claims unfinished rows for a sender of this process and returns the keys it claimed; other senders were faster
    /// with the rest.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails; then any of the rows may have been claimed.
    pub async fn claim(
        self,
        claims: &[NotificationClaim],
        (sender, process): (Uuid, &str),
        now: Timestamp,
    ) -> Result<HashSet<String>, StoreError> {
        if claims.is_empty() {
            return Ok(HashSet::new());
        }
        let (sender, now) = (sender.to_string(), now.to_string());
        let statement = |claim: &NotificationClaim| -> Result<Document, BsonError> {
            Ok(doc! {
                "q": { "_id": &claim.key, "attempts": claim.attempts, "status": { "$in": ["sending", "waiting"] } },
                "u": {
                    "$set": { "status": "sending", "version": claim.version, "shown": claim.shown,
                    "sender": &sender, "process": process, "hop": serialize_to_bson(&claim.hop)?, "updated_at": &now },
                    "$inc": { "attempts": 1, "maybe_duplicate": i32::from(claim.maybe_duplicate) },
                },
            })
        };
        let broken = |error: BsonError| StoreError::Broken { store: "mongodb", message: error.to_string() };
        let statements: Vec<Document> = claims.iter().map(statement).collect::<Result<_, _>>().map_err(broken)?;
        self.update_rows(statements.into_iter()).await?;
        // The reply of a bulk update does not say which statements matched, so the rows are read.
        let keys: Vec<&str> = claims.iter().map(|claim| claim.key.as_str()).collect();
        let mine = self
            .0
            .collection::<Document>(COLLECTION)
            .find(doc! { "_id": { "$in": keys }, "sender": sender })
            .projection(doc! { "_id": 1 })
            .await?;
        let mine: Vec<Document> = mine.try_collect().await?;
        Ok(mine.iter().filter_map(|row| row.get_str("_id").ok()).map(str::to_owned).collect())
    }

    /// Records the outcomes of attempts in one command: one statement for all rows with the same outcome, which costs
    /// the server a fraction of one statement a row. A row that is `sent` stays `sent`.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails; recording the same outcomes again is harmless.
    pub async fn record(self, outcomes: &[NotificationOutcome], now: Timestamp) -> Result<(), StoreError> {
        if outcomes.is_empty() {
            return Ok(());
        }
        let mut same: HashMap<(&str, Option<&str>), Vec<&str>> = HashMap::new();
        for outcome in outcomes {
            same.entry((outcome.status.as_str(), outcome.reason.as_deref())).or_default().push(&outcome.key);
        }
        let now = now.to_string();
        self.update_rows(same.into_iter().map(|((status, reason), keys)| {
            doc! {
                "q": { "_id": { "$in": keys }, "status": { "$ne": "sent" } },
                "u": { "$set": { "status": status, "reason": reason, "updated_at": &now } },
                "multi": true,
            }
        }))
        .await
    }

    /// All mails about a booking.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn of_booking(self, booking: BookingId) -> Result<Vec<Notification>, StoreError> {
        self.of_bookings([booking]).await
    }

    /// All mails about these bookings.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn of_bookings(
        self,
        bookings: impl IntoIterator<Item = BookingId>,
    ) -> Result<Vec<Notification>, StoreError> {
        // `}` is the character after `|`.
        let range = |booking| doc! { "_id": { "$gte": format!("{booking}|"), "$lt": format!("{booking}}}") } };
        let ranges: Vec<Document> = bookings.into_iter().map(range).collect();
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.rows().find(doc! { "$or": ranges }).await?.try_collect().await?)
    }

    /// Whether a mail of this kind was begun for this request of staff.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn has_requested(
        self,
        booking: BookingId,
        kind: NotificationKind,
        request: Uuid,
    ) -> Result<bool, StoreError> {
        let mail = format!("{booking}|{kind}|{request}");
        let range = doc! { "_id": { "$gte": format!("{mail}|"), "$lt": format!("{mail}}}") } };
        Ok(self.rows().find_one(range).await?.is_some())
    }

    fn rows(self) -> mongodb::Collection<Notification> {
        self.0.collection(COLLECTION)
    }

    /// A statement that fails is worth another attempt of all.
    async fn update_rows(self, statements: impl Iterator<Item = Document>) -> Result<(), StoreError> {
        let refused = |error| StoreError::Transient {
            store: "mongodb",
            message: format!("updating the notification ledger: {error}"),
        };
        self.0.update_each(COLLECTION, statements.collect(), refused).await?;
        Ok(())
    }
}
