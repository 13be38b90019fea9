//! Partition of the booking queue that owns a property.

use sha2::{Digest, Sha256};

/// The partition, `0..partitions`, that serialises all commands of this property.
///
/// Stable for ever: the first eight bytes of SHA-256 over the id, big endian, modulo the number of partitions. Changing
/// it while commands are queued would let two workers decide for one property at once.
pub fn partition_of(property_id: &str, partitions: u16) -> u16 {
    let digest = Sha256::digest(property_id.as_bytes());
    let head = digest.iter().take(8).fold(0_u64, |acc, byte| (acc << 8) | u64::from(*byte));
    u16::try_from(head % u64::from(partitions.max(1))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::partition_of;

    #[test]
    fn partition_of_a_property_never_changes() {
        let placed = ["pvt-montreal", "bench-000", "bench-001", "bench-002"].map(|property| partition_of(property, 4));
        assert_eq!(placed, [0, 3, 2, 2]);
    }

    #[test]
    fn properties_spread_over_all_partitions() {
        let mut seen = [0_u32; 4];
        for n in 0..400 {
            seen[usize::from(partition_of(&format!("hostel-{n}"), 4))] += 1;
        }
        assert!(seen.iter().all(|count| *count > 60), "{seen:?}");
    }
}
