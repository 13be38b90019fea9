//! Text that guests and staff typed, made fit for a mail: on one line and of bounded length.
//!
//! Anyone may type a name, so a mail of ours must carry neither an essay nor a header smuggled in behind a line break.

/// Longest name, in characters.
pub(super) const MAX_NAME_CHARS: usize = 60;
/// Longest postal address, in characters.
pub(super) const MAX_ADDRESS_CHARS: usize = 200;

/// The text on one line, cut after `max_chars`; control characters cannot start a header or a line of their own.
pub(super) fn one_line(text: &str, max_chars: usize) -> String {
    let shown = text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
    let line = shown.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// A person's name for a mailbox; `None` when there is none.
pub(super) fn full_name(name: &str) -> Option<String> {
    Some(one_line(name, MAX_NAME_CHARS)).filter(|name| !name.is_empty())
}
