//! Group commit: the batches that partitions of one process enqueue while a transaction is running, until the next
//! transaction commits them together.
//!
//! It only holds them; it decides nothing. A task that enqueues must drain afterwards, so that no batch is left behind.

use super::ReceivedCommand;
use pvt_domain::failure::Failure;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Most commands of one transaction.
const MAX_COMMANDS: usize = 400;

/// Most bed-nights of one transaction, unless a single command has more: each is a document to write.
const MAX_BED_NIGHTS: usize = 20_000;

/// The size of commands in a transaction.
#[derive(Clone, Copy, Default)]
struct Size {
    commands: usize,
    bed_nights: usize,
}

impl Size {
    fn of(commands: &[ReceivedCommand]) -> Self {
        Self { commands: commands.len(), bed_nights: commands.iter().map(|one| one.command.bed_nights()).sum() }
    }

    fn with(self, other: Self) -> Self {
        Self { commands: self.commands + other.commands, bed_nights: self.bed_nights.saturating_add(other.bed_nights) }
    }

    fn fits(self) -> bool {
        self.commands <= MAX_COMMANDS && self.bed_nights <= MAX_BED_NIGHTS
    }
}

/// The commands in their order, split into runs of one transaction each.
pub(super) fn transaction_runs(commands: &[ReceivedCommand]) -> Vec<&[ReceivedCommand]> {
    let (mut runs, mut begin, mut size) = (Vec::new(), 0, Size::default());
    for (index, command) in commands.iter().enumerate() {
        let one = Size::of(std::slice::from_ref(command));
        if index > begin && !size.with(one).fits() {
            runs.push(&commands[begin..index]);
            (begin, size) = (index, Size::default());
        }
        size = size.with(one);
    }
    runs.push(&commands[begin..]);
    runs
}

/// The result of a batch: an outcome for each command, or the failure of all.
pub(super) type BatchResult = Result<Vec<super::CommandOutcome>, Failure>;

/// A partition's batch that waits to be committed.
pub(super) struct PendingBatch {
    pub(super) commands: Arc<[ReceivedCommand]>,
    owner: oneshot::Sender<BatchResult>,
}

impl PendingBatch {
    /// Hands the result to the owner. One that was cancelled gets its messages redelivered.
    pub(super) fn complete(self, result: BatchResult) {
        let _ = self.owner.send(result);
    }
}

/// The waiting batches.
#[derive(Default)]
pub(super) struct CommitQueue(Mutex<Vec<PendingBatch>>);

impl CommitQueue {
    /// Adds a batch; the task that drains it completes it.
    pub(super) fn enqueue(&self, commands: Arc<[ReceivedCommand]>) -> oneshot::Receiver<BatchResult> {
        let (owner, result) = oneshot::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(PendingBatch { commands, owner });
        result
    }

    /// All waiting batches, in groups of one transaction each.
    pub(super) fn drain(&self) -> Vec<Vec<PendingBatch>> {
        let queue = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut groups: Vec<Vec<PendingBatch>> = Vec::new();
        let mut size = Size::default();
        for pending in queue {
            let own = Size::of(&pending.commands);
            size = size.with(own);
            match groups.last_mut() {
                Some(group) if size.fits() => group.push(pending),
                _ => {
                    size = own;
                    groups.push(vec![pending]);
                }
            }
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::{CommitQueue, transaction_runs};
    use crate::jobs::confirmations::ReceivedCommand;
    use pvt_domain::block::BlockKind;
    use pvt_domain::ids::{BlockId, BookingId};
    use pvt_domain::messages::{BlockBeds, BookingCommand, CancelBooking, CommandHeader};
    use pvt_worker_runtime::{Job, Meta};
    use std::sync::Arc;
    use uuid::Uuid;

    fn received(command: BookingCommand) -> ReceivedCommand {
        ReceivedCommand::of(&Job::new(Arc::new(command), Meta::default()))
    }

    fn pending(count: usize) -> Arc<[ReceivedCommand]> {
        let cancel = CancelBooking {
            header: CommandHeader {
                booking_id: BookingId::from_uuid(Uuid::nil()),
                property_id: "p".into(),
                actor: "".into(),
                reason: None,
                expected_rev: None,
                as_admin: false,
                requested_at: chrono::DateTime::UNIX_EPOCH.into(),
            },
            waive_fee: false,
        };
        vec![received(BookingCommand::Cancel(cancel)); count].into()
    }

    #[tokio::test]
    async fn groups_are_bounded_and_queue_is_drained() {
        let queue = CommitQueue::default();
        let mut owners: Vec<_> = [150, 200, 100, 500, 1].map(|count| queue.enqueue(pending(count))).into();
        let groups = queue.drain();
        let sizes: Vec<Vec<usize>> =
            groups.iter().map(|group| group.iter().map(|pending| pending.commands.len()).collect()).collect();
        assert_eq!(sizes, [vec![150, 200], vec![100], vec![500], vec![1]]);
        assert!(queue.drain().is_empty());
        drop(groups);
        assert!(owners.remove(0).await.is_err(), "the owner of a dropped batch is notified");
    }

    #[test]
    fn run_stays_within_bed_night_limit() {
        let day = |text: &str| text.parse().unwrap();
        let block = |beds: usize| {
            let block = BlockBeds {
                block_id: BlockId::from_uuid(Uuid::nil()),
                property_id: "p".into(),
                kind: BlockKind::Maintenance,
                bed_ids: vec!["b".into(); beds],
                from: day("2027-01-01"),
                until: day("2027-04-11"),
                actor: "".into(),
                reason: None,
                requested_at: chrono::DateTime::UNIX_EPOCH.into(),
            };
            received(BookingCommand::Block(block))
        };
        // A hundred nights each.
        let commands: Vec<ReceivedCommand> = [50, 100, 50, 1, 300, 1].map(block).into();
        let sizes: Vec<usize> = transaction_runs(&commands).iter().map(|run| run.len()).collect();
        assert_eq!(sizes, [3, 1, 1, 1], "in order, oversize commands alone");
        assert_eq!(transaction_runs(&pending(100)).len(), 1);
    }
}
