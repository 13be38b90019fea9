//! Pending replies: requests that wait for the reply to one command about a stored booking or its payments.
//!
//! Many may change one booking at once, so each waits for the reply to its own command. A reply is a hint that may get
//! lost: the waiting request reads the store, too, and what is answered is what is stored.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use uuid::Uuid;

/// Commands that may be waited for at once; of further ones only the store is read.
const MAX_WAITING: usize = 4_000;

type Senders<R> = HashMap<Uuid, Vec<oneshot::Sender<R>>>;

/// The requests that wait for replies of one kind. Cheap to clone.
pub(crate) struct PendingReplies<R>(Arc<Mutex<Senders<R>>>);

impl<R> Clone for PendingReplies<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R> Default for PendingReplies<R> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// The slot of one waiting request, freed when it is dropped.
pub(crate) struct ReplySlot<R> {
    replies: PendingReplies<R>,
    command: Uuid,
    /// The reply, once it is there.
    pub(crate) reply: oneshot::Receiver<R>,
}

impl<R: Clone> PendingReplies<R> {
    /// Takes a slot; `None` when there is none left. Take it before sending the command.
    pub(crate) fn wait_for(&self, command: Uuid) -> Option<ReplySlot<R>> {
        let mut waiting = self.lock();
        if waiting.len() >= MAX_WAITING {
            return None;
        }
        let (sender, reply) = oneshot::channel();
        waiting.entry(command).or_default().push(sender);
        Some(ReplySlot { replies: self.clone(), command, reply })
    }

    /// Delivers the reply to a command. `false` when no request of this instance waits for it.
    pub(crate) fn deliver(&self, command: Uuid, reply: &R) -> bool {
        let Some(senders) = self.lock().remove(&command) else { return false };
        // A request that has ended needs no reply.
        senders.into_iter().for_each(|sender| drop(sender.send(reply.clone())));
        true
    }
}

impl<R> PendingReplies<R> {
    fn lock(&self) -> MutexGuard<'_, Senders<R>> {
        // Nothing that holds it can leave it half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R> ReplySlot<R> {
    /// The command that is waited for.
    pub(crate) fn command(&self) -> Uuid {
        self.command
    }
}

impl<R> Drop for ReplySlot<R> {
    fn drop(&mut self) {
        self.reply.close();
        let mut waiting = self.replies.lock();
        if let Some(senders) = waiting.get_mut(&self.command) {
            senders.retain(|sender| !sender.is_closed());
            if senders.is_empty() {
                waiting.remove(&self.command);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PendingReplies;
    use pvt_domain::ids::BookingId;
    use pvt_domain::messages::{Reply, ReplyOutcome};
    use uuid::Uuid;

    #[tokio::test]
    async fn each_caller_receives_its_own_reply() {
        let (replies, reply) = (PendingReplies::default(), |outcome| Reply {
            booking_id: BookingId::from_uuid(Uuid::nil()),
            outcome,
            detail: None,
        });
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (mut first, mut again, mut second) =
            (replies.wait_for(one).unwrap(), replies.wait_for(one).unwrap(), replies.wait_for(other).unwrap());
        assert!(replies.deliver(one, &reply(ReplyOutcome::Stale)));
        assert_eq!((&mut first.reply).await.unwrap().outcome, ReplyOutcome::Stale);
        assert_eq!(
            (&mut again.reply).await.unwrap().outcome,
            ReplyOutcome::Stale,
            "the same command may be sent twice"
        );
        assert!(second.reply.try_recv().is_err(), "the other command was not dealt with");
        drop(second);
        assert!(!replies.deliver(other, &reply(ReplyOutcome::Decided)), "a slot that was dropped is free");
        assert!(replies.lock().is_empty());
    }
}
