//! Content lines (RFC 5545 §3.1), folded and escaped.

/// Most octets of a line, without its end.
const MAX_OCTETS: usize = 75;
/// A line break within a content line: readers remove it together with the blank.
const FOLD: &str = "\r\n ";

/// The lines of a file.
#[derive(Debug, Default)]
pub(crate) struct ContentLines(String);

impl ContentLines {
    /// A line whose value needs no escapes. `name` includes the parameters.
    pub(crate) fn push(&mut self, name: &str, value: &str) {
        if name.len() + 1 + value.len() <= MAX_OCTETS {
            self.0.extend([name, ":", value, "\r\n"]);
            return;
        }
        let mut octets = 0;
        for character in name.chars().chain([':']).chain(value.chars()) {
            if octets + character.len_utf8() > MAX_OCTETS {
                self.0.push_str(FOLD);
                // The blank is part of the new line.
                octets = 1;
            }
            self.0.push(character);
            octets += character.len_utf8();
        }
        self.0.push_str("\r\n");
    }

    /// A line of type TEXT (RFC 5545 §3.3.11).
    pub(crate) fn push_text(&mut self, name: &str, text: &str) {
        if !text.contains(['\n', '\\', ',', ';']) {
            return self.push(name, text);
        }
        let mut escaped = String::with_capacity(text.len() + text.len() / 8);
        for character in text.chars() {
            match character {
                '\n' => escaped.push_str("\\n"),
                '\\' | ',' | ';' => escaped.extend(['\\', character]),
                character => escaped.push(character),
            }
        }
        self.push(name, &escaped);
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}
