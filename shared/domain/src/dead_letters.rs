//! Dead letters: which of them have one cause, what of their bodies operators may see, and how these are repaired.

mod fingerprint;
mod masking;
mod repair;

pub use fingerprint::Fingerprint;
pub use masking::{MASKED, masked_body, masked_code, masked_error, masked_header};
pub use repair::{MemberChange, changed_members, check_readable, compact_body};

/// The name of a queue without its partition.
pub fn queue_family(queue: &str) -> &str {
    match queue.rsplit_once('.') {
        Some((family, partition)) if partition.bytes().all(|byte| byte.is_ascii_digit()) => family,
        _ => queue,
    }
}

#[cfg(test)]
mod tests {
    use super::queue_family;

    #[test]
    fn partitions_are_of_one_family() {
        let families = ["bookings.12", "emails", "a.b"].map(queue_family);
        assert_eq!(families, ["bookings", "emails", "a.b"]);
    }
}
