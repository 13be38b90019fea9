//! What the partitions of one process bring while a transaction is under way, until the next transaction takes it
//! along.
//!
//! It only holds; it decides nothing. Whoever joins must take afterwards, so that nothing is left behind.

use super::Addressed;
use pvt_domain::failure::Failure;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Most commands of one transaction.
const LOAD_MAX: usize = 400;

/// Most bed-nights of one transaction, unless a single command has more: each is a document that the store writes
/// before it ends.
const LOAD_BED_NIGHTS: usize = 20_000;

/// How much commands are for one transaction.
#[derive(Clone, Copy, Default)]
struct Size {
    commands: usize,
    bed_nights: usize,
}

impl Size {
    fn of(commands: &[Addressed]) -> Self {
        Self { commands: commands.len(), bed_nights: commands.iter().map(|(_, command)| command.bed_nights()).sum() }
    }

    fn with(self, other: Self) -> Self {
        Self { commands: self.commands + other.commands, bed_nights: self.bed_nights.saturating_add(other.bed_nights) }
    }

    fn fits(self) -> bool {
        self.commands <= LOAD_MAX && self.bed_nights <= LOAD_BED_NIGHTS
    }
}

/// Commands in their order, in runs for one transaction each.
pub(super) fn runs(commands: &[Addressed]) -> Vec<&[Addressed]> {
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
        let mut size = Size::default();
        for portion in waiting {
            let own = Size::of(&portion.commands);
            size = size.with(own);
            match loads.last_mut() {
                Some(load) if size.fits() => load.push(portion),
                _ => {
                    size = own;
                    loads.push(vec![portion]);
                }
            }
        }
        loads
    }
}

#[cfg(test)]
mod tests {
    use super::{Waiting, runs};
    use crate::jobs::confirmations::Addressed;
    use pvt_domain::block::BlockKind;
    use pvt_domain::ids::{BlockId, BookingId};
    use pvt_domain::messages::{BlockBeds, BookingCommand, CancelBooking, Order};
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
        let sizes: Vec<Vec<usize>> =
            loads.iter().map(|load| load.iter().map(|portion| portion.commands.len()).collect()).collect();
        assert_eq!(sizes, [vec![150, 200], vec![100], vec![500], vec![1]]);
        assert!(waiting.take().is_empty());
        drop(loads);
        assert!(owners.remove(0).await.is_err(), "an owner learns that nobody will answer");
    }

    #[test]
    fn a_run_has_no_more_bed_nights_than_a_transaction_takes() {
        let day = |text: &str| text.parse().unwrap();
        let block = |beds: usize| {
            let block = BlockBeds {
                block_id: BlockId::from_uuid(Uuid::nil()),
                property_id: "p".into(),
                kind: BlockKind::Maintenance,
                bed_ids: vec!["b".into(); beds],
                from: day("2027-01-01"),
                until: day("2027-04-11"),
                actor: String::new(),
                reason: None,
                requested_at: chrono::DateTime::UNIX_EPOCH.into(),
            };
            (Uuid::nil(), Arc::new(BookingCommand::Block(block)))
        };
        // A hundred nights each.
        let commands: Vec<Addressed> = [50, 100, 50, 1, 300, 1].map(block).into();
        let sizes: Vec<usize> = runs(&commands).iter().map(|run| run.len()).collect();
        assert_eq!(sizes, [3, 1, 1, 1], "in order, and what is too large alone");
        assert_eq!(runs(&portion(100)).len(), 1);
    }
}
