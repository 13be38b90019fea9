//! Waits of a booking: for what it has not got yet.

use uuid::Uuid;

/// One thing that a booking waits for, or that it is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// In words.
    pub text: String,
    /// The dead letter that it is about, by its own id.
    pub dead_letter: Option<Uuid>,
    /// A command that shows more to those who have a terminal.
    pub hint: Option<String>,
}

impl Wait {
    /// Its words with the hint, for a terminal.
    pub fn with_hint(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}; {hint}", self.text),
            None => self.text.clone(),
        }
    }
}

impl From<String> for Wait {
    fn from(text: String) -> Self {
        Self { text, dead_letter: None, hint: None }
    }
}
