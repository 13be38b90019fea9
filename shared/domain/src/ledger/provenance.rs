//! Provenance of a ledger: which of Stripe's events changed it, and how commands about it came. For operators only:
//! no total depends on it.

use super::Ledger;
use crate::values::queue_hop::QueueHop;
use uuid::Uuid;

/// Most events that a ledger remembers: the newest.
const MAX_EVENTS: usize = 100;

impl Ledger {
    /// Notes events that changed it, in the order in which they were applied.
    pub fn note_events<'a>(&mut self, ids: impl IntoIterator<Item = &'a str>) {
        for id in ids {
            if !self.events.iter().any(|known| known == id) {
                self.events.push(id.to_owned());
            }
        }
        let surplus = self.events.len().saturating_sub(MAX_EVENTS);
        self.events.drain(..surplus);
    }

    /// Notes how the command came that opened this attempt, or recorded this payment, unless it is known.
    pub fn note_hop(&mut self, id: Uuid, hop: &QueueHop) {
        self.hops.entry(id.to_string()).or_insert_with(|| hop.clone());
    }

    /// How the command came that opened this attempt, or recorded this payment.
    pub fn hop_of(&self, id: Uuid) -> Option<&QueueHop> {
        self.hops.get(&id.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::{Ledger, MAX_EVENTS};
    use crate::money::Currency;
    use chrono::DateTime;

    #[test]
    fn newest_events_are_remembered_each_once() {
        let mut ledger = Ledger::new(
            "11111111-2222-5333-8444-555555555555".parse().unwrap(),
            "p".into(),
            Currency::CAD,
            DateTime::UNIX_EPOCH.into(),
        );
        let ids: Vec<String> = (0..=MAX_EVENTS).map(|number| format!("evt_{number}")).collect();
        ledger.note_events(ids.iter().map(String::as_str).chain(["evt_7"]));
        assert_eq!(ledger.events, ids[1..]);
    }
}
