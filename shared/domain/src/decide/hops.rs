//! Hops of commands over their queues, noted in the revisions that they made, for operators.

use super::{BatchOutcome, Change};
use crate::ids::BookingId;
use crate::values::queue_hop::QueueHop;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

impl BatchOutcome {
    /// Notes how commands came to their bookings, by their ids, in the revisions that they made of these.
    pub fn note_hops(&mut self, hops: &HashMap<Uuid, (BookingId, Arc<QueueHop>)>) {
        for Change { stored_rev, booking } in &mut self.changes {
            let stored = stored_rev.unwrap_or_default();
            for entry in booking.history.iter_mut().rev().take_while(|entry| entry.rev > stored) {
                let own = hops.get(&entry.command_id).filter(|(target, _)| *target == booking.id);
                entry.hop = own.map(|(_, hop)| Box::new(QueueHop::clone(hop)));
            }
        }
    }
}
