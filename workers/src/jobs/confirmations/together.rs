//! What the partitions of one process bring while a transaction is under way, until the next transaction takes it along.
//!
//! It only holds; it decides nothing. Whoever joins must take afterwards, so that nothing is left behind.

use super::Addressed;
use pvt_domain::failure::Failure;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Most commands of one transaction, unless a single portion has more.
const LOAD_MAX: usize = 400;

/// What became of a portion: one settlement a command, or the failure of all.
pub(super) type Answer = Result<Vec<super::Settled>, Failure>;

/// The commands that one partition's batch brought.
pub(super) struct Portion {
    pub(super) commands: Arc<[Addressed]>,
    owner: oneshot::Sender<Answer>,
}

impl Portion {
    /// Tells its owner. An owner that is gone will see its messages again.
    pub(super) fn answer(self, settled: Answer) {
        let _ = self.owner.send(settled);
    }
}

/// Portions that wait.
#[derive(Default)]
pub(super) struct Waiting(Mutex<Vec<Portion>>);

impl Waiting {
    /// Leaves a portion; whoever takes it answers.
    pub(super) fn join(&self, commands: Arc<[Addressed]>) -> oneshot::Receiver<Answer> {
        let (owner, settled) = oneshot::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Portion { commands, owner });
        settled
    }

    /// Everything that waits, in loads for one transaction each.
    pub(super) fn take(&self) -> Vec<Vec<Portion>> {
        let waiting = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut loads: Vec<Vec<Portion>> = Vec::new();
        let mut size = 0;
        for portion in waiting {
            size += portion.commands.len();
            match loads.last_mut() {
                Some(load) if size <= LOAD_MAX => load.push(portion),
                _ => {
                    size = portion.commands.len();
                    loads.push(vec![portion]);
                }
            }
        }
        loads
    }
}

#[cfg(test)]
mod tests {
    use super::Waiting;
    use crate::jobs::confirmations::Addressed;
    use pvt_domain::ids::BookingId;
    use pvt_domain::messages::{BookingCommand, CancelBooking, Order};
    use std::sync::Arc;
    use uuid::Uuid;

    fn portion(count: usize) -> Arc<[Addressed]> {
        let cancel = CancelBooking {
            order: Order {
                booking_id: BookingId::from_uuid(Uuid::nil()),
                property_id: "p".into(),
                actor: String::new(),
                reason: None,
                expected_rev: None,
                as_admin: false,
                requested_at: chrono::DateTime::UNIX_EPOCH.into(),
            },
            waive_fee: false,
        };
        vec![(Uuid::nil(), Arc::new(BookingCommand::Cancel(cancel))); count].into()
    }

    #[tokio::test]
    async fn loads_are_bounded_and_nothing_is_left_behind() {
        let waiting = Waiting::default();
        let mut owners: Vec<_> = [150, 200, 100, 500, 1].map(|count| waiting.join(portion(count))).into();
        let loads = waiting.take();
        let sizes: Vec<Vec<usize>> = loads.iter().map(|load| load.iter().map(|portion| portion.commands.len()).collect()).collect();
        assert_eq!(sizes, [vec![150, 200], vec![100], vec![500], vec![1]]);
        assert!(waiting.take().is_empty());
        drop(loads);
        assert!(owners.remove(0).await.is_err(), "an owner learns that nobody will answer");
    }
}
