//! The ledger of mails about accounts: one row a mail, written before it leaves, as the notification ledger has it for
//! bookings.
//!
//! It never holds an address, and never the token that a mail carries.

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

/// None beyond `_id`: rows are only ever read by their key.
pub(crate) const INDEXES: &[Index] = &[];

/// One mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountMailRow {
    /// `user|kind|id of the wish|hash of the recipient`.
    #[serde(rename = "_id")]
    pub key: String,
    /// To whom.
    pub user_id: UserId,
    /// Which mail.
    pub kind: AccountMailKind,
    /// How far it has come.
    pub status: NotificationStatus,
    /// `Message-ID` of every attempt, angle brackets included.
    pub message_id: String,
    /// How often sending has begun.
    pub attempts: u32,
    /// Why it is not sent, if it is not. Never an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When sending first began.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
}

/// Who sends a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountMailTurn {
    /// The caller.
    Ours,
    /// Nobody: it was sent, or refused for good.
    Settled,
    /// Perhaps somebody else at this moment.
    UnderWay,
}

/// Ledger of mails about accounts, one row a mail.
#[derive(Debug, Clone, Copy)]
pub struct AccountMails<'a>(pub(super) &'a Mongo);

impl AccountMails<'_> {
    /// Writes the row of a mail, or takes an unfinished one over. `first_sight`: the message that asks for it was never
    /// handled before.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails; then the row may have been written.
    pub async fn begin(self, row: &AccountMailRow, first_sight: bool) -> Result<AccountMailTurn, StoreError> {
        match self.rows().insert_one(row).await.map_err(StoreError::from) {
            Ok(_) => return Ok(AccountMailTurn::Ours),
            Err(StoreError::Duplicate(_)) => {}
            Err(error) => return Err(error),
        }
        let Some(found) = self.rows().find_one(doc! { "_id": &row.key }).await? else {
            return Ok(AccountMailTurn::UnderWay);
        };
        match found.status {
            NotificationStatus::Sent | NotificationStatus::Failed => return Ok(AccountMailTurn::Settled),
            // Its sender is at work or dead: giving way once is long enough for a living one.
            NotificationStatus::Sending if first_sight => return Ok(AccountMailTurn::UnderWay),
            NotificationStatus::Sending | NotificationStatus::Waiting => {}
        }
        let as_read = doc! { "_id": &row.key, "attempts": found.attempts, "status": { "$in": ["sending", "waiting"] } };
        let change = doc! { "$set": { "status": "sending", "updated_at": row.updated_at.to_string() },
        "$inc": { "attempts": 1 } };
        let taken = self.rows().update_one(as_read, change).await?;
        Ok(if taken.modified_count == 1 { AccountMailTurn::Ours } else { AccountMailTurn::UnderWay })
    }

    /// Records what became of an attempt. A row that is `sent` stays so.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails; recording the same again is harmless.
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
