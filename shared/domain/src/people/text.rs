//! Text that people type: its stored form, and its shown form without characters that deceive the reader.

use std::borrow::Cow;
use unicode_normalization::{UnicodeNormalization as _, is_nfc};

/// The code points of zero in every script with decimal digits of its own (Unicode 16, general category Nd); the other
/// nine follow each.
const ZEROS: [u32; 76] = [
    0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66, 0x0de6, 0x0e50,
    0x0ed0, 0x0f20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50,
    0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x10d40, 0x11066, 0x110f0,
    0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x116d0, 0x116da, 0x11730, 0x118e0, 0x11950,
    0x11bf0, 0x11c50, 0x11d50, 0x11da0, 0x11f50, 0x16130, 0x16a60, 0x16ac0, 0x16b50, 0x16d70, 0x1ccf0, 0x1d7ce,
    0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e4f0, 0x1e5f1, 0x1e950, 0x1fbf0, 0x30,
];

/// The text as it is stored and compared: in NFC, without white space and invisible characters at its ends.
pub fn normal(text: &str) -> Cow<'_, str> {
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c) || is_joiner(c));
    if trimmed.is_ascii() || is_nfc(trimmed) { trimmed.into() } else { trimmed.nfc().collect::<String>().into() }
}

/// The text as it may be shown: nothing in it is invisible or turns the direction of what surrounds it. Joiners that
/// shape the letters of a script stay.
pub fn shown(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || !text.contains(|c| is_invisible(c) || is_joiner(c)) {
        return text.into();
    }
    let visible: Vec<char> = text.chars().filter(|c| !is_invisible(*c)).collect();
    let shapes = |place: Option<usize>| {
        place.and_then(|place| visible.get(place)).is_some_and(|c| !c.is_ascii() && !is_joiner(*c))
    };
    let is_shown =
        |(place, c): &(usize, &char)| !is_joiner(**c) || (shapes(place.checked_sub(1)) && shapes(Some(place + 1)));
    visible.iter().enumerate().filter(is_shown).map(|(_, c)| *c).collect::<String>().into()
}

/// The text with the digits of every script as `0` to `9`.
pub fn fold_digits(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { text.into() } else { text.chars().map(folded).collect::<String>().into() }
}

fn folded(c: char) -> char {
    if c.is_ascii() || !c.is_numeric() {
        return c;
    }
    let code = u32::from(c);
    let value = ZEROS.iter().find_map(|zero| code.checked_sub(*zero).filter(|value| *value < 10));
    value.and_then(|value| char::from_digit(value, 10)).unwrap_or(c)
}

/// Characters that join their neighbours or keep them apart (Persian, Indic scripts), or make one emoji of several.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Controls of direction, and characters without width or ink.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        | '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{200b}'
        | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}'
        | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}
