//! Presence of the processes that send mail, and the rule that no other takes over a mail while it is being sent.

use super::Mongo;
use super::notifications::NotificationStatus;
use crate::StoreError;
use futures_util::TryStreamExt as _;
use mongodb::IndexModel;
use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;
use pvt_domain::timestamp::Timestamp;
use std::collections::HashSet;
use std::time::Duration;

const COLLECTION: &str = "mail_senders";

/// A process that was not seen for this long counts as ended.
const ALIVE_FOR: Duration = Duration::from_secs(15);
/// How often a sending process should renew its presence.
pub const RENEW_EVERY: Duration = Duration::from_secs(5);
/// Rows of ended processes are removed after this.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// A row of a ledger of mails.
pub trait MailRow {
    /// The collection of its ledger.
    const COLLECTION: &'static str;

    /// The last attempt at its mail.
    fn attempt(&self) -> Attempt<'_>;
}

/// The last attempt at a mail, as its row shows it.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// State of the delivery.
    pub status: NotificationStatus,
    /// The process that sends it; absent in rows from before there was any, and once the outcome is unknown.
    pub process: Option<&'a str>,
    /// When the row last changed.
    pub updated_at: Timestamp,
}

/// What the row of a mail means for a sender that finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakeOver {
    /// The mail was sent, or refused for good.
    Completed,
    /// Another sender may be sending it.
    Wait,
    /// The mail can be sent, at the risk of a duplicate if an earlier attempt may have been accepted.
    Claim {
        /// Whether it may have been.
        maybe_duplicate: bool,
    },
}

/// The processes that are alive, of those that some mails name, and the time of which on they can be sending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivingSenders {
    alive: HashSet<String>,
    abandoned_before: Timestamp,
}

impl LivingSenders {
    /// Whether a living process is making this attempt.
    pub fn is_sending(&self, attempt: Attempt<'_>) -> bool {
        may_be_sending(attempt, self.abandoned_before)
            && attempt.process.is_some_and(|process| self.alive.contains(process))
    }

    /// A mail in `sending` belongs to a sender that is running or has crashed. While its process is alive the message
    /// waits; and at its first delivery, in case its process is not known.
    fn take_over(&self, attempt: Attempt<'_>, first_delivery: bool) -> TakeOver {
        match attempt.status {
            NotificationStatus::Sent | NotificationStatus::Failed => TakeOver::Completed,
            NotificationStatus::Sending if first_delivery || self.is_sending(attempt) => TakeOver::Wait,
            NotificationStatus::Sending => TakeOver::Claim { maybe_duplicate: true },
            NotificationStatus::Waiting => TakeOver::Claim { maybe_duplicate: false },
        }
    }
}

/// A sender gives up before that long, so a row that is older is not being sent, even by a living process.
fn may_be_sending(attempt: Attempt<'_>, abandoned_before: Timestamp) -> bool {
    attempt.status == NotificationStatus::Sending && attempt.updated_at >= abandoned_before
}

/// Presence of senders, one row a process. Times are the server's.
#[derive(Debug, Clone, Copy)]
pub struct MailSenders<'a>(pub(super) &'a Mongo);

impl MailSenders<'_> {
    /// Records that the process is alive now.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn renew(self, process: &str) -> Result<(), StoreError> {
        let now = vec![doc! { "$set": { "seen_at": "$$NOW" } }];
        self.rows().update_one(doc! { "_id": process }, now).upsert(true).await?;
        Ok(())
    }

    /// What rows that were found mean for the messages that ask for their mails; each with whether its message is
    /// delivered for the first time. Nothing that was begun earlier than `abandoned_before` is still being sent.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn take_over(
        self,
        found: &[(Attempt<'_>, bool)],
        abandoned_before: Timestamp,
    ) -> Result<Vec<TakeOver>, StoreError> {
        let undecided = found.iter().filter(|(_, first_delivery)| !first_delivery).map(|(attempt, _)| *attempt);
        let living = self.living(undecided, abandoned_before).await?;
        Ok(found.iter().map(|(attempt, first_delivery)| living.take_over(*attempt, *first_delivery)).collect())
    }

    /// The senders of these attempts that are alive.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails.
    pub async fn living(
        self,
        attempts: impl Iterator<Item = Attempt<'_>>,
        abandoned_before: Timestamp,
    ) -> Result<LivingSenders, StoreError> {
        let sending = attempts.filter(|attempt| may_be_sending(*attempt, abandoned_before));
        let alive = self.alive(sending.filter_map(|attempt| attempt.process).collect()).await?;
        Ok(LivingSenders { alive, abandoned_before })
    }

    /// Records that the process no longer sends these mails and does not know whether they were accepted.
    ///
    /// # Errors
    /// [`StoreError`] when MongoDB fails; then others wait until the process ends.
    pub async fn abandon<R: MailRow>(self, keys: &[&str], process: &str) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let own = doc! { "_id": { "$in": keys }, "process": process, "status": "sending" };
        let rows = self.0.collection::<Document>(R::COLLECTION);
        rows.update_many(own, doc! { "$unset": { "process": "" } }).await?;
        Ok(())
    }

    /// Those of these processes that are alive.
    async fn alive(self, processes: HashSet<&str>) -> Result<HashSet<String>, StoreError> {
        if processes.is_empty() {
            return Ok(HashSet::new());
        }
        let processes: Vec<&str> = processes.into_iter().collect();
        let oldest = doc! { "$subtract": ["$$NOW", i64::try_from(ALIVE_FOR.as_millis()).unwrap_or(i64::MAX)] };
        let seen = doc! { "_id": { "$in": processes }, "$expr": { "$gte": ["$seen_at", oldest] } };
        let found: Vec<Document> = self.rows().find(seen).await?.try_collect().await?;
        Ok(found.iter().filter_map(|row| row.get_str("_id").ok()).map(str::to_owned).collect())
    }

    pub(super) async fn create_expiry_index(self) -> Result<(), StoreError> {
        let options = IndexOptions::builder().expire_after(KEPT_FOR).build();
        let index = IndexModel::builder().keys(doc! { "seen_at": 1 }).options(options).build();
        self.rows().create_index(index).await?;
        Ok(())
    }

    fn rows(self) -> mongodb::Collection<Document> {
        self.0.collection(COLLECTION)
    }
}

#[cfg(test)]
mod tests {
    use super::NotificationStatus::{self, Failed, Sending, Sent, Waiting};
    use super::TakeOver::{Claim, Completed, Wait};
    use super::{Attempt, LivingSenders, TakeOver};
    use pvt_domain::timestamp::Timestamp;

    fn second(second: i64) -> Timestamp {
        chrono::DateTime::from_timestamp(second, 0).unwrap().into()
    }

    #[test]
    fn mail_is_taken_over_unless_a_living_sender_may_have_it() {
        let living = LivingSenders { alive: ["alive".to_owned()].into(), abandoned_before: second(100) };
        let take_over = |status: NotificationStatus, process, at, first_delivery| -> TakeOver {
            living.take_over(Attempt { status, process, updated_at: second(at) }, first_delivery)
        };
        let (alive, ended) = (Some("alive"), Some("ended"));
        let table = [
            (Sent, alive, 100, false, Completed),
            (Failed, None, 100, true, Completed),
            (Waiting, alive, 100, true, Claim { maybe_duplicate: false }),
            (Sending, alive, 100, false, Wait),
            (Sending, alive, 99, false, Claim { maybe_duplicate: true }),
            (Sending, ended, 100, false, Claim { maybe_duplicate: true }),
            (Sending, None, 100, false, Claim { maybe_duplicate: true }),
            (Sending, ended, 100, true, Wait),
            (Sending, None, 99, true, Wait),
        ];
        for (status, process, at, first_delivery, expected) in table {
            let found = take_over(status, process, at, first_delivery);
            assert_eq!(found, expected, "{status:?} {process:?} {at} {first_delivery}");
        }
    }
}
