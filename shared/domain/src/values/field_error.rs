//! Violations of a form or document, each with the place it is found at.

/// One violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body.
    pub pointer: String,
    /// Stable code of the violation.
    pub code: &'static str,
    /// What is accepted instead.
    pub message: String,
}

impl FieldError {
    /// A violation at `pointer`.
    pub fn new(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code, message: message.into() }
    }
}
