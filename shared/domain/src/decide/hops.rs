//! Hops of commands over their queues, noted in the revisions that they made, for operators.

use super::{BatchOutcome, Change};
use crate::ids::BookingId;
use crate::values::queue_hop::QueueHop;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

impl BatchOutcome {
    /// Notes how commands came to their bookings, by their ids, in the revisions that they made of these. Of a command
    /// that came twice, the first had the effect.
    pub fn note_hops(&mut self, hops: impl IntoIterator<Item = (Uuid, BookingId, Arc<QueueHop>)>) {
        let mut first = HashMap::new();
        for (command, target, hop) in hops {
            first.entry((command, target)).or_insert(hop);
        }
        for Change { stored_rev, booking } in &mut self.changes {
            let stored = stored_rev.unwrap_or_default();
            for entry in booking.history.iter_mut().rev().take_while(|entry| entry.rev > stored) {
                let own = first.get(&(entry.command_id, booking.id));
                entry.hop = own.map(|hop| Box::new(QueueHop::clone(hop)));
            }
        }
    }
}
