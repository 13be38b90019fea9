//! The option `--reason`: why an operator does something. It is shown and recorded, so it must say something.

/// Parses a reason, without the blanks around it.
///
/// # Errors
/// When there is nothing else.
pub(crate) fn reason(text: &str) -> Result<String, &'static str> {
    let trimmed = text.trim();
    if trimmed.is_empty() { Err("say why: it is shown and recorded") } else { Ok(trimmed.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn blank_reason_is_none() {
        assert_eq!(reason(" the provider is moving "), Ok("the provider is moving".to_owned()));
        assert!(reason("").is_err() && reason(" \t ").is_err());
    }
}
