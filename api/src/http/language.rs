//! `Accept-Language`: the language of names in an answer.

use crate::openapi::schemas::Schemas;
use crate::openapi::{DescribeInput, Operation};
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use pvt_domain::people::language::{MAX_LANGUAGE_BYTES, parse};
use serde_json::json;

/// Most languages of the header that are considered.
const MAX_LANGUAGES: usize = 20;

/// The language that `Accept-Language` prefers, if it names one. Only this one: names without a language are more
/// likely in it than in the reader's second choice.
pub(crate) struct PreferredLanguage(pub(crate) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for PreferredLanguage {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let accepted = parts.headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        Ok(Self(accepted.and_then(preferred)))
    }
}

impl DescribeInput for PreferredLanguage {
    fn describe(operation: Operation, _: &mut Schemas) -> Operation {
        let words = "Names are in the language that it prefers, where they have one.";
        operation.takes_header("Accept-Language", json!({ "type": "string", "examples": ["fr-CA"] }), words)
    }
}

/// The tag of the highest weight, the first of equals (RFC 9110 §12.5.4); none when it is no tag, or too long for one.
fn preferred(accepted: &str) -> Option<String> {
    let weighted = accepted.split(',').take(MAX_LANGUAGES).filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let tag = parts.next().filter(|tag| !tag.is_empty() && *tag != "*")?;
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |weight| weight.parse().ok())?;
        (weight > 0.0_f32).then_some((tag, weight))
    });
    let best = weighted.reduce(|best, one| if one.1 > best.1 { one } else { best }).map(|(tag, _)| tag);
    best.filter(|tag| tag.len() <= MAX_LANGUAGE_BYTES).and_then(parse)
}

#[cfg(test)]
mod tests {
    use super::preferred;

    #[test]
    fn language_of_the_highest_weight_is_preferred() {
        let endless = format!("en{}, fr;q=0.5", "-abcdefgh".repeat(1_000));
        for (accepted, expected) in [
            ("fr-CA, fr;q=0.9, en;q=0.8", Some("fr-CA")),
            ("en;q=0.5, fr", Some("fr")),
            ("en, fr", Some("en")),
            ("*, de;q=0.1", Some("de")),
            ("fr;q=0, en;q=none", None),
            ("", None),
            ("no tag", None),
            (&endless, None),
        ] {
            assert_eq!(preferred(accepted).as_deref(), expected, "{accepted}");
        }
    }
}
