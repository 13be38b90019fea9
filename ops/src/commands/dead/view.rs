//! Views of a dead letter: masked, or the whole where a reason is recorded.

use pvt_domain::dead_letters::{masked_body, masked_code, masked_error, masked_header};
use serde_json::Value;

/// How the parts of a dead letter are shown that may be personal.
#[derive(Clone, Copy)]
pub(super) struct View {
    pub(super) body: fn(&[u8]) -> Value,
    pub(super) error: fn(&str) -> String,
    /// Ids, codes and times that another producer may have written.
    pub(super) code: fn(&str) -> String,
    header: fn(&str, &str) -> String,
}

impl View {
    pub(super) const MASKED: Self =
        Self { body: masked_body, error: masked_error, code: masked_code, header: masked_header };
    pub(super) const WHOLE: Self =
        Self { body: whole_body, error: str::to_owned, code: str::to_owned, header: |_, value| value.to_owned() };

    pub(super) fn headers<'h>(self, headers: impl Iterator<Item = (&'h str, &'h str)>) -> Value {
        headers.map(|(name, value)| (name, (self.header)(name, value))).collect()
    }
}

fn whole_body(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into())
}
