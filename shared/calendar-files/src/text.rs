//! Text as a calendar file can hold it: no control characters, and `\n` as the only line break.
//!
//! [`ContentLines`](crate::content_lines::ContentLines) escape `\`, `,`, `;` and `\n`; any other line break or control
//! character would end a line of the file or is forbidden in it (RFC 5545 §3.1).

use pvt_domain::people::text::shown;

/// The text with its line breaks as `\n`, without blanks at the ends of its lines, and without empty lines.
pub(crate) fn lines(text: &str) -> String {
    let text = shown(text);
    let lines = text.split(is_line_break).map(one_line).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

/// The text on one line.
pub(crate) fn one_line(text: &str) -> String {
    let text = shown(text);
    let words = text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// A line as the quoted value of a parameter: it cannot hold a quote, and readers of RFC 6868 take `^` as an escape.
pub(crate) fn parameter(line: &str) -> String {
    format!("\"{}\"", line.replace('^', "^^").replace('"', "'"))
}

/// What Unicode counts as the end of a line (UAX 14, mandatory breaks).
fn is_line_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}
