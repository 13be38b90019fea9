//! Ledger of mails about accounts: one row a mail, written before the mail is sent, like the notification ledger of
//! bookings.
//!
//! It never holds an address or the token in a mail.

use super::mail_senders::{Attempt, MailRow, TakeOver};
use super::notifications::NotificationStatus;
use super::{Index, Mongo};
use crate::StoreError;
use mongodb::Collection;
use mongodb::bson::doc;
use pvt_domain::accounts::UserId;
use pvt_domain::messages::AccountMailKind;
use pvt_domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

const COLLECTION: &str = "account_mails";

/// None beyond `_id`: rows are only read by their key.
pub(crate) const INDEXES: &[Index] = &[];

/// One mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountMailRow {
    /// `user|kind|id of the request|hash of the recipient`.
    #[serde(rename = "_id")]
    pub key: String,
    /// The recipient.
    pub user_id: UserId,
    /// Kind of mail.
    pub kind: AccountMailKind,
    /// State of its delivery.
    pub status: NotificationStatus,
    /// `Message-ID` of every attempt, angle brackets included.
    pub message_id: String,
    /// Number of attempts to send it.
    pub attempts: u32,
    /// The process that sends it, as in [`super::notifications::Notification::process`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Why it is not sent. Never an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the first attempt began.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
}

impl MailRow for AccountMailRow {
    const COLLECTION: &'static str = COLLECTION;

    fn attempt(&self) -> Attempt<'_> {
        Attempt { status: self.status, process: self.process.as_deref(), updated_at: self.updated_at }
    }
}

/// Result of claiming a mail for sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountMailClaim {
    /// The caller sends it.
    Claimed,
    /// It was sent, or permanently refused.
    Settled,
    /// Another sender may be sending it.
    InProgress,
}

/// Ledger of mails about accounts, one row a mail.
#[derive(Debug, Clone, Copy)]
pub struct AccountMails<'a>(pub(super) &'a Mongo);

impl AccountMails<'_> {
    /// Inserts the row of a mail, or takes over an unfinished one. `first_delivery`: the message that requests the mail
    /// is handled for the first time. No process sends a mail that it began earlier than `abandoned_before`.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails; then the row may have been written.
    pub async fn begin(
        self,
        row: &AccountMailRow,
        first_delivery: bool,
        abandoned_before: Timestamp,
    ) -> Result<AccountMailClaim, StoreError> {
        match self.rows().insert_one(row).await.map_err(StoreError::from) {
            Ok(_) => return Ok(AccountMailClaim::Claimed),
            Err(StoreError::Duplicate(_)) => {}
            Err(error) => return Err(error),
        }
        let Some(found) = self.rows().find_one(doc! { "_id": &row.key }).await? else {
            return Ok(AccountMailClaim::InProgress);
        };
        let found_for = [(found.attempt(), first_delivery)];
        match self.0.mail_senders().take_over(&found_for, abandoned_before).await?.first() {
            Some(TakeOver::Claim { .. }) => {}
            Some(TakeOver::Completed) => return Ok(AccountMailClaim::Settled),
            Some(TakeOver::Wait) | None => return Ok(AccountMailClaim::InProgress),
        }
        let as_read = doc! { "_id": &row.key, "attempts": found.attempts, "status": { "$in": ["sending", "waiting"] } };
        let change = doc! {
            "$set": { "status": "sending", "process": &row.process, "updated_at": row.updated_at.to_string() },
            "$inc": { "attempts": 1 },
        };
        let taken = self.rows().update_one(as_read, change).await?;
        Ok(if taken.modified_count == 1 { AccountMailClaim::Claimed } else { AccountMailClaim::InProgress })
    }

    /// Records the outcome of an attempt. A row that is `sent` stays `sent`.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails; recording the same outcome again is harmless.
    pub async fn record(
        self,
        key: &str,
        status: NotificationStatus,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let unsent = doc! { "_id": key, "status": { "$ne": "sent" } };
        let change = doc! { "$set": { "status": status.as_str(), "reason": reason, "updated_at": now.to_string() } };
        self.rows().update_one(unsent, change).await?;
        Ok(())
    }

    fn rows(self) -> Collection<AccountMailRow> {
        self.0.collection(COLLECTION)
    }
}
