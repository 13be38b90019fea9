//! Data goes to stdout, everything else to stderr; a closed pipe is not an error.

use serde::Serialize;
use std::io::Write;

/// Writes one line of data to stdout.
pub(crate) fn data(line: impl std::fmt::Display) {
    // Nobody reads any more (`pvt … | head`): there is nothing left to say it to.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Writes one line for the person at the terminal to stderr.
pub(crate) fn note(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Writes a value as JSON to stdout.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    data(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// A table without borders, which can be cut and grepped.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    data(table.trim_fmt());
}
