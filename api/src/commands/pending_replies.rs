//! Pending replies: requests that wait for the reply to one command about a stored booking or its payments.
//!
//! Many may change one booking at once, so each waits for the reply to its own command. A reply is a hint that may get
//! lost: the waiting request looks into the store, too, and what is answered is what is stored.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use uuid::Uuid;

/// Commands that may be waited for at once; for further ones the store alone is asked.
const MAX_WAITING: usize = 4_000;

type Senders<R> = HashMap<Uuid, Vec<oneshot::Sender<R>>>;

/// The handle to those who wait for replies of one kind. Cheap to clone.
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

/// A place among the waiting. Dropping it gives the place up.
pub(crate) struct ReplySlot<R> {
    orders: PendingReplies<R>,
    command: Uuid,
    /// The reply, once it is there.
    pub(crate) told: oneshot::Receiver<R>,
}

impl<R: Clone> PendingReplies<R> {
    /// Takes a place among the waiting; `None` when there is none left. Take it before sending the command.
    pub(crate) fn wait_for(&self, command: Uuid) -> Option<ReplySlot<R>> {
        let mut waiting = self.lock();
        if waiting.len() >= MAX_WAITING {
            return None;
        }
        let (tell, told) = oneshot::channel();
        waiting.entry(command).or_default().push(tell);
        Some(ReplySlot { orders: self.clone(), command, told })
    }

    /// A worker has dealt with this command. `false` when nobody waits for it here.
    pub(crate) fn deliver(&self, command: Uuid, reply: &R) -> bool {
        let Some(told) = self.lock().remove(&command) else { return false };
        // Who is no longer there needs no answer.
        told.into_iter().for_each(|one| drop(one.send(reply.clone())));
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
    /// Which command is waited for.
    pub(crate) fn command(&self) -> Uuid {
        self.command
    }
}

impl<R> Drop for ReplySlot<R> {
    fn drop(&mut self) {
        self.told.close();
        let mut waiting = self.orders.lock();
        if let Some(told) = waiting.get_mut(&self.command) {
            told.retain(|one| !one.is_closed());
            if told.is_empty() {
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
        let (orders, reply) = (PendingReplies::default(), |outcome| Reply {
            booking_id: BookingId::from_uuid(Uuid::nil()),
            outcome,
            detail: None,
        });
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (mut first, mut again, mut second) =
            (orders.wait_for(one).unwrap(), orders.wait_for(one).unwrap(), orders.wait_for(other).unwrap());
        assert!(orders.deliver(one, &reply(ReplyOutcome::Stale)));
        assert_eq!((&mut first.told).await.unwrap().outcome, ReplyOutcome::Stale);
        assert_eq!((&mut again.told).await.unwrap().outcome, ReplyOutcome::Stale, "the same command may be sent twice");
        assert!(second.told.try_recv().is_err(), "the other command was not dealt with");
        drop(second);
        assert!(!orders.deliver(other, &reply(ReplyOutcome::Decided)), "a place that was given up is gone");
        assert!(orders.lock().is_empty());
    }
}
