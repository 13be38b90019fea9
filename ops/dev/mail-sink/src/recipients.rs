//! Choice of mails by a part of a recipient's address.

/// Whether the address contains this part; capitals do not count.
pub(super) fn contains(address: &str, part: &str) -> bool {
    address.to_lowercase().contains(&part.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::contains;

    #[test]
    fn any_part_in_any_capitals_is_found() {
        for part in ["ada@example.com", "ada@", "ADA@Ex", "example", "@example.com", ""] {
            assert!(contains("Ada@example.com", part), "{part}");
        }
        assert!(!contains("ada@example.com", "eve@"));
    }
}
