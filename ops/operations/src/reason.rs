//! Reasons that operators give.

/// Longer reasons are cut.
const REASON_MAX_CHARS: usize = 500;

/// A reason as it is shown beside others: on one line, and not longer than a paragraph.
pub(crate) fn one_line(reason: &str) -> String {
    let words: Vec<&str> = reason.split_whitespace().collect();
    words.join(" ").chars().take(REASON_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_one_line() {
        assert_eq!(one_line("  the provider\n\tis moving "), "the provider is moving");
        assert_eq!(one_line(&"x".repeat(1_000)).len(), REASON_MAX_CHARS);
    }
}
