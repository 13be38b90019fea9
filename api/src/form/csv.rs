//! Comma-separated values (RFC 4180): read strictly, with the line and column of what is wrong; written so that no
//! spreadsheet takes a cell for a formula.

use std::borrow::Cow;

/// Begins a cell that a spreadsheet would take for a formula, so that it is a text (OWASP, *CSV Injection*).
const TEXT_MARK: char = '\'';

/// The cells of one line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row<'a> {
    /// The line on which it begins, from 1; a cell in quotes may have several.
    pub(crate) line: usize,
    pub(crate) cells: Vec<Cow<'a, str>>,
}

/// What is not CSV, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CsvError {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) reason: &'static str,
}

/// Begins a text that a spreadsheet is to read as UTF-8.
pub(crate) const BYTE_ORDER_MARK: char = '\u{feff}';

/// Every row; lines end with CR LF or LF, empty ones are skipped. Cells are separated by commas, or by semicolons if
/// the first line has these and no comma, as spreadsheets write them where numbers have decimal commas. A cell that
/// was marked as text is read without the marks.
///
/// # Errors
/// Quotes that do not enclose a whole cell, or that do not end.
pub(crate) fn parse(text: &str) -> Result<Vec<Row<'_>>, CsvError> {
    let (mut rows, mut line) = (Vec::new(), 1);
    let mut rest = text;
    let first = rest.lines().next().unwrap_or_default();
    let separator = if first.contains(';') && !first.contains(',') { ';' } else { ',' };
    while !rest.is_empty() {
        let mut row = Row { line, cells: Vec::new() };
        loop {
            let (cell, after) =
                cell(rest, separator).map_err(|reason| CsvError { line, column: row.cells.len() + 1, reason })?;
            line += cell.matches('\n').count();
            row.cells.push(unmarked(cell));
            match after.strip_prefix(separator) {
                Some(next) => rest = next,
                None => {
                    rest = after.strip_prefix("\r\n").or_else(|| after.strip_prefix('\n')).unwrap_or(after);
                    break;
                }
            }
        }
        line += 1;
        if row.cells.iter().any(|cell| !cell.is_empty()) {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// The first cell, and what follows it: a separator, the end of the line or nothing.
fn cell(text: &str, separator: char) -> Result<(Cow<'_, str>, &str), &'static str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([separator, '\n']).unwrap_or(text.len());
        let (cell, after) = text.split_at(end);
        // The end of the line is CR LF.
        let (cell, after) = match cell.strip_suffix('\r') {
            Some(shorter) if !after.starts_with(separator) => (shorter, &text[shorter.len()..]),
            _ => (cell, after),
        };
        let after = if after == "\r" { "" } else { after };
        return if cell.contains('"') {
            Err("quotes enclose a whole cell, or nothing")
        } else {
            Ok((cell.into(), after))
        };
    };
    let mut from = 0;
    while let Some(quote) = quoted[from..].find('"').map(|place| from + place) {
        let after = &quoted[quote + 1..];
        if after.starts_with('"') {
            from = quote + 2;
            continue;
        }
        let cell = &quoted[..quote];
        let cell: Cow<'_, str> = if cell.contains('"') { cell.replace("\"\"", "\"").into() } else { cell.into() };
        let ends = after.is_empty() || after.starts_with([separator, '\n']) || after.starts_with("\r\n");
        return if ends {
            Ok((cell, after))
        } else {
            Err("a separator or the end of the line follows a cell in quotes")
        };
    }
    Err("the quotes do not end")
}

/// The cell without its marks.
fn unmarked(cell: Cow<'_, str>) -> Cow<'_, str> {
    if !cell.contains(TEXT_MARK) {
        return cell;
    }
    let (mut text, mut begins) = (String::with_capacity(cell.len()), true);
    for (place, letter) in cell.char_indices() {
        let is_mark = begins && letter == TEXT_MARK && is_formula(&cell[place..]);
        if !is_mark {
            text.push(letter);
        }
        begins = is_break(letter);
    }
    text.into()
}

/// The cell with a mark before everything that a spreadsheet might compute: its beginning, and what follows where a
/// spreadsheet with other separators would begin a cell.
fn marked(cell: &str) -> String {
    let (mut text, mut begins) = (String::with_capacity(cell.len() + 1), true);
    for (place, letter) in cell.char_indices() {
        if begins && is_formula(&cell[place..]) {
            text.push(TEXT_MARK);
        }
        text.push(letter);
        begins = is_break(letter);
    }
    text
}

/// Whether another cell begins behind it for a spreadsheet that separates cells otherwise.
fn is_break(letter: char) -> bool {
    matches!(letter, ';' | '\t' | '\n' | '\r')
}

/// Whether a spreadsheet would compute it, or it needs a mark because it looks like a marked one.
fn is_formula(cell: &str) -> bool {
    let cell = cell.trim_start_matches(TEXT_MARK);
    cell.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'])
}

/// Adds a row.
pub(crate) fn write<'a>(text: &mut String, cells: impl IntoIterator<Item = Cow<'a, str>>) {
    for (index, cell) in cells.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        let cell = marked(&cell);
        if cell.contains([',', ';', '"', '\r', '\n', BYTE_ORDER_MARK]) {
            text.extend(["\"", &cell.replace('"', "\"\""), "\""]);
        } else {
            text.push_str(&cell);
        }
    }
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::{CsvError, parse, write};
    use std::borrow::Cow;

    fn cells(text: &str) -> Vec<(usize, Vec<String>)> {
        let owned = |cells: Vec<Cow<'_, str>>| cells.into_iter().map(Cow::into_owned).collect();
        parse(text).unwrap().into_iter().map(|row| (row.line, owned(row.cells))).collect()
    }

    fn row(line: usize, cells: &[&str]) -> (usize, Vec<String>) {
        (line, cells.iter().map(|cell| (*cell).to_owned()).collect())
    }

    #[test]
    fn cells_lines_and_quotes_are_read() {
        assert_eq!(
            cells("a,b\r\n1,\"x,\"\"y\"\"\nz\"\r\n\r\n2,"),
            [row(1, &["a", "b"]), row(2, &["1", "x,\"y\"\nz"]), row(5, &["2", ""])]
        );
        assert_eq!(
            cells("a\n'=1+1\n''x\nO'Neil\r"),
            [row(1, &["a"]), row(2, &["=1+1"]), row(3, &["''x"]), row(4, &["O'Neil"])]
        );
        assert_eq!(cells(""), []);
    }

    #[test]
    fn lists_of_spreadsheets_with_semicolons_are_read() {
        let rows = [row(1, &["a", "b"]), row(2, &["x,y", "1;2"])];
        assert_eq!(cells("\"a\";b\r\nx,y;\"1;2\"\r\n"), rows);
        assert_eq!(cells("a;b,c\n"), [row(1, &["a;b", "c"])]);
    }

    #[test]
    fn malformed_csv_is_refused_with_its_place() {
        for (text, line, column) in
            [("a,b\"c", 1, 2), ("a\n\"b\"c", 2, 1), ("a\n\"b\n,\"\"", 2, 1), ("\"x\ny\",\"z", 2, 2)]
        {
            let CsvError { line: at, column: of, .. } = parse(text).unwrap_err();
            assert_eq!((at, of), (line, column), "{text:?}");
        }
    }

    #[test]
    fn formulas_are_written_as_text() {
        let mut text = String::new();
        write(&mut text, ["=HYPERLINK(\"x\")", "+1", "-2", "@a", "\tx", "plain, too"].map(Cow::from));
        assert_eq!(text, "\"'=HYPERLINK(\"\"x\"\")\",'+1,'-2,'@a,'\tx,\"plain, too\"\r\n");
    }

    #[test]
    fn formulas_behind_other_separators_are_written_as_text() {
        let mut text = String::new();
        write(&mut text, ["x;=1", "x\t+1", "x;\t=1", "'=1", "x;y-z"].map(Cow::from));
        assert_eq!(text, "\"x;'=1\",x\t'+1,\"x;'\t'=1\",''=1,\"x;y-z\"\r\n");
        assert_eq!(cells(&text), [row(1, &["x;=1", "x\t+1", "x;\t=1", "'=1", "x;y-z"])]);
    }

    #[test]
    fn written_cells_are_read_again() {
        let rows = [
            vec!["a", "", "b,c"],
            vec!["\"", "x\ny", "=1"],
            vec!["", "", "O'Neil"],
            vec!["\r\n", "'x", "-"],
            vec!["'", "a;''@", "''"],
        ];
        let mut text = String::new();
        rows.iter().for_each(|row| write(&mut text, row.iter().map(|cell| Cow::from(*cell))));
        let found: Vec<Vec<String>> = cells(&text).into_iter().map(|(_, cells)| cells).collect();
        assert_eq!(found, rows);
    }
}
