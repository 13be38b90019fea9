//! Revisions of a booking: its earlier states, and the changes between two of them.

use super::history::{
    Action, Changes, HistoryEntry, PaymentChange, PriceChange, RatePlanChange, RevisionState, StayChange,
};
use super::{Booking, stay_id};
use crate::values::stay::Stay;
use uuid::Uuid;

/// The stays of `before` that are not among those of `after`, each with its id.
pub fn left_out(before: &[Stay], after: &[Stay]) -> Vec<Stay> {
    let kept: Vec<u32> = (0..after.len()).map(|index| stay_id(after, index)).collect();
    let numbered = before.iter().enumerate().map(|(index, stay)| (stay_id(before, index), stay));
    let dropped = numbered.filter(|(id, _)| !kept.contains(id));
    dropped.map(|(id, stay)| Stay { id: Some(id), ..stay.clone() }).collect()
}

impl Booking {
    /// The entry that this command made, if it was applied before.
    pub fn entry_of(&self, command_id: Uuid) -> Option<&HistoryEntry> {
        self.history.iter().find(|entry| entry.command_id == command_id)
    }

    /// The booking right after revision `rev`, by reverting the changes of later revisions.
    pub fn state_at(&self, rev: u32) -> RevisionState {
        let mut state = RevisionState {
            stays: self.stays.clone(),
            price: self.price.clone(),
            rate_plan_id: self.rate_plan_id.clone(),
            payment: self.payment.clone(),
        };
        for entry in self.history.iter().rev().take_while(|entry| entry.rev > rev) {
            if let Some(changes) = &entry.changes {
                changes.undo(&mut state);
            }
        }
        state
    }

    /// The stays that the latest revision dropped because the change that made it left them out; none of a revision
    /// that is no change.
    pub fn dropped_stays(&self) -> Vec<Stay> {
        let last = self.history.last().filter(|entry| entry.action == Action::Modify && entry.rev > 1);
        let changes_stays = |entry: &&HistoryEntry| {
            entry.changes.iter().flat_map(|changes| &changes.stays).any(|change| change.before.is_some())
        };
        let Some(entry) = last.filter(changes_stays) else { return Vec::new() };
        left_out(&self.state_at(entry.rev - 1).stays, &self.stays)
    }

    /// What differs from an earlier state of the same booking; `None` when nothing does.
    pub fn changes_since(&self, before: &Self) -> Option<Box<Changes>> {
        let count = before.stays.len().max(self.stays.len());
        let differing = (0..count).filter(|index| before.stays.get(*index) != self.stays.get(*index));
        let stays = differing
            .map(|index| StayChange {
                index,
                before: before.stays.get(index).cloned(),
                after: self.stays.get(index).cloned(),
            })
            .collect();
        let changes = Changes {
            stays,
            price: (before.price != self.price)
                .then(|| PriceChange { before: before.price.clone(), after: self.price.clone() }),
            rate_plan: (before.rate_plan_id != self.rate_plan_id)
                .then(|| RatePlanChange { before: before.rate_plan_id.clone(), after: self.rate_plan_id.clone() }),
            payment: (before.payment != self.payment)
                .then(|| PaymentChange { before: before.payment.clone(), after: self.payment.clone() }),
            guest: before.guest != self.guest,
            // Names that only followed their guests change with the stays.
            rooming_list: before.rooming_list != self.rooming_list && before.stays == self.stays,
            links_revoked: before.token_epoch != self.token_epoch,
            change_released: before.pending_change.as_deref().is_some_and(|pending| self.has_dropped(pending)),
        };
        (changes != Changes::default()).then(|| Box::new(changes))
    }
}
