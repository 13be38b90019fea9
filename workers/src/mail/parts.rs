//! The parts of a mail, encoded while they are rendered: as 7-bit text or, where that cannot be, as quoted-printable.
//!
//! The mail library would do so by itself, in several passes over each text; most of composing a mail was spent there.

use askama::Template;
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Attachment, Body, SinglePart};
use memchr::memchr;
use pvt_calendar_files::CalendarFile;
use std::fmt;
use std::fmt::Write as _;

/// Longest line of a message without an encoding (RFC 5321 §4.5.3.1.6, without its CRLF).
const MAX_LINE_BYTES: usize = 998;
/// Length of most HTML, so that its buffer hardly ever has to grow.
const USUAL_HTML_BYTES: usize = 8 * 1024;
/// Length of most plain text.
const USUAL_TEXT_BYTES: usize = 2 * 1024;

/// The plain form.
pub(super) fn text_part(text: &impl Template) -> Result<SinglePart, askama::Error> {
    let mut lines = Lines::with_capacity(USUAL_TEXT_BYTES);
    text.render_into(&mut lines)?;
    Ok(SinglePart::plain(lines.into_body()))
}

/// The HTML form. Characters beyond ASCII become character references, because an encoding would expand every `=` of
/// the markup.
pub(super) fn html_part(html: &impl Template) -> Result<SinglePart, askama::Error> {
    let mut lines = Lines { references: true, ..Lines::with_capacity(USUAL_HTML_BYTES) };
    html.render_into(&mut lines)?;
    Ok(SinglePart::html(lines.into_body()))
}

/// The calendar file, attached.
pub(super) fn calendar_part(file: CalendarFile) -> SinglePart {
    let kind = ContentType::parse(file.content_type()).unwrap_or(ContentType::TEXT_PLAIN);
    // Its lines are short, and end in CRLF.
    Attachment::new(file.name().to_owned()).body(encoded(file.into_text(), 0), kind)
}

/// Text that is written with `\n` and gets lines that end in CRLF.
#[derive(Default)]
struct Lines {
    text: String,
    /// Whether characters beyond ASCII are written as character references.
    references: bool,
    line_begins: usize,
    longest_line: usize,
}

impl Lines {
    fn with_capacity(bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), ..Self::default() }
    }

    /// A part of a line.
    fn push(&mut self, part: &str) -> fmt::Result {
        if !self.references || part.is_ascii() {
            self.text.push_str(part);
            return Ok(());
        }
        for character in part.chars() {
            match character {
                character if character.is_ascii() => self.text.push(character),
                character => write!(self.text, "&#{};", u32::from(character))?,
            }
        }
        Ok(())
    }

    fn end_line(&mut self) {
        self.longest_line = self.longest_line.max(self.text.len() - self.line_begins);
    }

    fn into_body(mut self) -> Body {
        self.end_line();
        encoded(self.text, self.longest_line)
    }
}

impl fmt::Write for Lines {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = memchr(b'\n', rest.as_bytes()) {
            self.push(&rest[..at])?;
            // It is written with the end of the line.
            if self.text.ends_with('\r') {
                self.text.pop();
            }
            self.end_line();
            self.text.push_str("\r\n");
            self.line_begins = self.text.len();
            rest = &rest[at + 1..];
        }
        self.push(rest)
    }
}

/// The encoding that changes this text least. Its lines must end in CRLF.
fn encoded(text: String, longest_line: usize) -> Body {
    if longest_line <= MAX_LINE_BYTES && text.is_ascii() {
        return Body::dangerous_pre_encoded(text.into_bytes(), ContentTransferEncoding::SevenBit);
    }
    Body::dangerous_pre_encoded(quoted_printable::encode(text), ContentTransferEncoding::QuotedPrintable)
}

#[cfg(test)]
mod tests {
    use super::{Lines, MAX_LINE_BYTES, encoded};
    use lettre::message::Body;
    use lettre::message::header::ContentTransferEncoding::{QuotedPrintable, SevenBit};
    use std::fmt::Write as _;

    fn written(references: bool, pieces: &[&str]) -> Body {
        let mut lines = Lines { references, ..Lines::default() };
        pieces.iter().for_each(|piece| lines.write_str(piece).unwrap());
        lines.into_body()
    }

    #[test]
    fn lines_end_in_crlf_wherever_they_are_cut_while_rendering() {
        for pieces in [&["a\n", "b\n\nc"][..], &["a", "\nb", "\n", "\n", "c"], &["a\nb\n\nc"], &["a\r\nb\r", "\n\nc"]] {
            let body = written(false, pieces);
            assert_eq!((body.as_ref(), body.encoding()), (&b"a\r\nb\r\n\r\nc"[..], SevenBit), "{pieces:?}");
        }
    }

    #[test]
    fn characters_beyond_ascii_are_references_or_encoded() {
        let html = written(true, &["caf\u{e9}\u{1f600} = <b>\n"]);
        assert_eq!((html.as_ref(), html.encoding()), (&b"caf&#233;&#128512; = <b>\r\n"[..], SevenBit));
        let text = written(false, &["caf\u{e9} = 1\n"]);
        assert_eq!((text.as_ref(), text.encoding()), (&b"caf=C3=A9 =3D 1\r\n"[..], QuotedPrintable));
    }

    #[test]
    fn line_that_is_too_long_is_encoded() {
        let longest = "x".repeat(MAX_LINE_BYTES);
        assert_eq!(written(false, &["a\n", &longest, "\nb"]).encoding(), SevenBit);
        // Also where it comes in pieces, and where references make it long.
        assert_eq!(written(false, &["a\n", &longest, "x", "\nb"]).encoding(), QuotedPrintable);
        assert_eq!(written(true, &[&"\u{e9}".repeat(MAX_LINE_BYTES / 6 + 1)]).encoding(), QuotedPrintable);
        let body = written(false, &[&longest, "x"]);
        assert!(body.as_ref().split(|byte| *byte == b'\n').all(|line| line.len() <= 78));
        assert_eq!(encoded("\u{e9}".to_owned(), 0).encoding(), QuotedPrintable);
    }
}
