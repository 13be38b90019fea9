//! Quarantine of suspects in a crash loop: after a crash, every message that the process had fetched has one more
//! failed delivery, not only the one that caused it.
//!
//! A message that was delivered several times without an outcome is handled alone. All others that this consumer holds
//! are first returned to the queue with a delivery count of zero, so that a further crash counts against the suspect.

use pvt_messaging::Delivery;

/// Unfinished deliveries from which on a message is a suspect.
pub(crate) const SUSPECT_DELIVERIES: u32 = 3;
/// Unfinished deliveries after which its attempt has failed. The broker's limit is twice as high.
pub(crate) const GIVE_UP_DELIVERIES: u32 = 10;

/// Whether any of these is a suspect.
pub(crate) fn holds_suspect(deliveries: &[Delivery]) -> bool {
    deliveries.iter().any(|delivery| delivery.delivery_count >= SUSPECT_DELIVERIES)
}

/// Removes the suspect with the most deliveries, the earliest of equals.
pub(crate) fn take_suspect(held: &mut Vec<Delivery>) -> Option<Delivery> {
    let most =
        held.iter().map(|delivery| delivery.delivery_count).max().filter(|count| *count >= SUSPECT_DELIVERIES)?;
    let place = held.iter().position(|delivery| delivery.delivery_count == most)?;
    Some(held.remove(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(counts: &[u32]) -> Vec<Delivery> {
        let delivery = |(tag, count): (u64, &u32)| Delivery {
            tag,
            redelivered: *count > 0,
            delivery_count: *count,
            ..Delivery::default()
        };
        (1..).zip(counts).map(delivery).collect()
    }

    #[test]
    fn most_delivered_message_is_the_suspect_and_ties_go_to_the_first() {
        let mut all = held(&[0, 3, 5, 5, 1]);
        assert!(holds_suspect(&all));
        assert_eq!(take_suspect(&mut all).map(|delivery| delivery.tag), Some(3));
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn few_redeliveries_make_no_suspect() {
        let mut all = held(&[2, 0, 1]);
        assert!(!holds_suspect(&all));
        assert!(take_suspect(&mut all).is_none());
        assert_eq!(all.len(), 3);
    }
}
