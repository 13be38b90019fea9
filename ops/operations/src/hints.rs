//! Hints at the end of a text that name a command: they are of use to those who have a terminal.

/// Begins such a hint.
const HINT: &str = "; `pvt ";

/// A text without the hint at its end, for a page in a browser.
pub fn without_command(text: &str) -> &str {
    text.split_once(HINT).map_or(text, |(said, _)| said)
}

#[cfg(test)]
mod tests {
    use super::without_command;

    #[test]
    fn hint_is_what_names_a_command_at_the_end() {
        assert_eq!(without_command("emails is paused; `pvt queues resume emails` ends that"), "emails is paused");
        assert_eq!(without_command("there is no property `here`"), "there is no property `here`");
    }
}
