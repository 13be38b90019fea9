//! Language tags (BCP 47).

use super::text::normal;
use oxilangtag::LanguageTag;

/// Three-letter codes of languages that also have one of two letters, as some clients send them.
const LONG_CODES: [(&str, &str); 3] = [("eng", "en"), ("fra", "fr"), ("fre", "fr")];
/// Longest language tag, in bytes; RFC 5646 §4.4.1 asks for 35 at least.
pub const MAX_LANGUAGE_BYTES: usize = 100;

/// A well-formed tag (RFC 5646 §2.2.9) in the capitals that are usual: `fr`, `en-CA`, `zh-Hant-TW`.
pub fn parse(text: &str) -> Option<String> {
    let text = normal(text);
    let tag = LanguageTag::parse_and_normalize(&text).ok().filter(|_| text.len() <= MAX_LANGUAGE_BYTES)?;
    Some(tag.into_inner())
}

/// The nearest of `spoken` to the first of these tags that is near any (lookup of RFC 4647 §3.4): `fr-CA` itself, else
/// `fr`.
pub fn nearest<'w, 's>(wanted: impl IntoIterator<Item = &'w str>, spoken: &[&'s str]) -> Option<&'s str> {
    let spoken_as = |range: &str| spoken.iter().find(|spoken| spoken.eq_ignore_ascii_case(range)).copied();
    wanted.into_iter().find_map(|tag| {
        if let Some(found) = spoken_as(tag) {
            return Some(found);
        }
        let tag = tag.replace('_', "-").to_ascii_lowercase();
        let (language, rest) = tag.split_at(tag.find('-').unwrap_or(tag.len()));
        let short = LONG_CODES.iter().find(|(long, _)| *long == language).map_or(language, |(_, short)| short);
        let tag = format!("{short}{rest}");
        let mut range = tag.as_str();
        loop {
            if let Some(found) = spoken_as(range) {
                return Some(found);
            }
            range = range.rsplit_once('-')?.0;
        }
    })
}
