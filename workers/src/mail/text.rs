//! Text that guests and staff typed, made fit for a mail: on one line, of bounded length, and without characters that
//! deceive the reader.
//!
//! Anyone may type a name, so a mail of ours must carry neither an essay nor a header smuggled in behind a line break.

use pvt_domain::people::text::shown;

/// Longest name, in characters.
pub(super) const MAX_NAME_CHARS: usize = 60;
/// Longest postal address, in characters.
pub(super) const MAX_ADDRESS_CHARS: usize = 200;

/// The text on one line, cut after `max_chars`; control characters cannot start a header or a line of their own.
pub(super) fn one_line(text: &str, max_chars: usize) -> String {
    let text = shown(text);
    let words = text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
    let mut line = String::with_capacity(text.len());
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    match line.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// A person's name for a mailbox; `None` when there is none.
pub(super) fn full_name(name: &str) -> Option<String> {
    Some(one_line(name, MAX_NAME_CHARS)).filter(|name| !name.is_empty())
}
