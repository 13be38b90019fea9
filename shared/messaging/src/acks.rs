//! Acknowledgement batching: one `multiple` ack for a finished prefix, single acks for what finished out of order.

use std::collections::BTreeSet;

/// One acknowledgement (AMQP `basic.ack`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// Delivery tag.
    pub tag: u64,
    /// Also acknowledges all earlier tags of the channel.
    pub multiple: bool,
}

/// Deliveries of one channel that are not acknowledged yet.
#[derive(Debug, Default)]
pub struct UnackedDeliveries {
    tags: BTreeSet<u64>,
}

impl UnackedDeliveries {
    /// Adds a delivery that arrived.
    pub fn track(&mut self, tag: u64) {
        self.tags.insert(tag);
    }

    /// The number of unacknowledged deliveries.
    pub fn len(&self) -> usize {
        self.tags.len()
    }

    /// True when every delivery is acknowledged.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// Removes finished deliveries and returns the acknowledgements to send for them. Unknown tags are ignored, because
    /// the broker closes a channel on which a tag is acknowledged twice.
    pub fn acknowledge(&mut self, finished: &[u64]) -> Vec<Ack> {
        let mut known: Vec<u64> = finished.iter().copied().filter(|tag| self.tags.remove(tag)).collect();
        known.sort_unstable();
        let oldest_left = self.tags.first().copied().unwrap_or(u64::MAX);
        let prefix = known.partition_point(|tag| *tag < oldest_left);
        let mut acks = Vec::with_capacity(known.len() - prefix + 1);
        if let Some(tag) = prefix.checked_sub(1).and_then(|last| known.get(last)) {
            acks.push(Ack { tag: *tag, multiple: prefix > 1 });
        }
        acks.extend(known.iter().skip(prefix).map(|tag| Ack { tag: *tag, multiple: false }));
        acks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unacked(tags: impl IntoIterator<Item = u64>) -> UnackedDeliveries {
        let mut all = UnackedDeliveries::default();
        tags.into_iter().for_each(|tag| all.track(tag));
        all
    }

    #[test]
    fn finished_prefix_is_acknowledged_with_multiple() {
        let mut all = unacked(1..=100);
        let batch: Vec<u64> = (1..=60).rev().collect();
        assert_eq!(all.acknowledge(&batch), [Ack { tag: 60, multiple: true }]);
        assert_eq!(all.len(), 40);
    }

    #[test]
    fn out_of_order_deliveries_are_acknowledged_one_by_one() {
        let mut all = unacked(1..=5);
        assert_eq!(all.acknowledge(&[1, 3, 5]), [1, 3, 5].map(|tag| Ack { tag, multiple: false }));
        assert_eq!(
            all.acknowledge(&[2, 4]),
            [Ack { tag: 4, multiple: true }],
            "earlier tags are acknowledged, so a prefix is finished"
        );
        assert!(all.is_empty());
    }

    #[test]
    fn no_delivery_is_acknowledged_twice() {
        let mut all = unacked(1..=2);
        assert_eq!(all.acknowledge(&[1]), [Ack { tag: 1, multiple: false }]);
        assert_eq!(all.acknowledge(&[1, 9]), []);
    }
}
