//! Output to the terminal: data to stdout, everything else to stderr. A closed pipe is not an error.

use serde::Serialize;
use std::io::Write;

/// Writes one line of data to stdout.
pub fn data(line: impl std::fmt::Display) {
    // A reader that has closed the pipe (`pvt … | head`) has what it wanted.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Writes one line for the person at the terminal to stderr.
pub fn note(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Replaces the last line on stderr, for progress at a terminal; a note that follows begins on the same line.
pub fn progress(line: impl std::fmt::Display) {
    const TO_END: &str = "\u{1b}[K";
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "\r{line}{TO_END}").and_then(|()| stderr.flush());
}

/// Writes a value as JSON to stdout.
///
/// # Errors
/// When the value cannot be represented in JSON.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    data(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Writes a table without borders to stdout, so that it can be cut and grepped.
pub fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    data(table.trim_fmt());
}
