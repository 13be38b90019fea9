//! Entity tags in `If-Match` and `If-None-Match` (RFC 9110, 8.8.3, 13.1.1 and 13.1.2). A tag of ours is a revision.
//!
//! `If-Match` compares strongly: a weak tag matches nothing, because it does not say which revision was read.

use crate::http::problem::{self, Problem};
use axum::http::header::{GetAll, ToStrError};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// The value of such a header.
#[derive(Debug, PartialEq, Eq)]
enum EntityTags<'h> {
    /// `*`: whatever there is.
    Any,
    Listed(Vec<EntityTag<'h>>),
}

#[derive(Debug, PartialEq, Eq)]
struct EntityTag<'h> {
    is_weak: bool,
    opaque: &'h str,
}

/// The revisions that a change is meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Revisions {
    /// Whichever is the newest.
    Any,
    /// One of these; there is at least one.
    OneOf(Vec<u32>),
}

impl Revisions {
    /// Whether this is one of them.
    pub(crate) fn include(&self, rev: u64) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(revs) => revs.iter().any(|one| u64::from(*one) == rev),
        }
    }

    /// The revision that a command must name when it is sent while `newest` is stored: that one if it is among them,
    /// otherwise one that is outdated. `None` if any will do.
    pub(crate) fn expected(&self, newest: u32) -> Option<u32> {
        match self {
            Self::OneOf(revs) if !revs.contains(&newest) => revs.first().copied(),
            Self::OneOf(_) => Some(newest),
            Self::Any => None,
        }
    }
}

/// The revisions in `If-Match`; `None` without the header.
///
/// # Errors
/// 412 when it names none: it is no list of tags, all of them are weak, or none can be ours.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<Revisions>, Problem> {
    if !headers.contains_key(header::IF_MATCH) {
        return Ok(None);
    }
    let revisions = match read(headers, &header::IF_MATCH) {
        Some(EntityTags::Any) => return Ok(Some(Revisions::Any)),
        Some(EntityTags::Listed(tags)) => tags.iter().filter_map(EntityTag::revision).collect(),
        None => Vec::new(),
    };
    if revisions.is_empty() { Err(problem::INVALID_IF_MATCH.into()) } else { Ok(Some(Revisions::OneOf(revisions))) }
}

/// Whether `If-None-Match` names the tag of what is stored: then the caller has it. What cannot be read names none.
pub(crate) fn if_none_match_names(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    match read(headers, &header::IF_NONE_MATCH) {
        Some(EntityTags::Any) => true,
        Some(EntityTags::Listed(tags)) => {
            tags.iter().any(|tag| format!("\"{}\"", tag.opaque).as_bytes() == etag.as_bytes())
        }
        None => false,
    }
}

impl EntityTag<'_> {
    /// The revision that it stands for, as we write it.
    fn revision(&self) -> Option<u32> {
        let revision: u32 = self.opaque.parse().ok()?;
        (!self.is_weak && revision.to_string() == self.opaque).then_some(revision)
    }
}

/// All values of the header as one list; `None` if it is not one.
fn read<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<EntityTags<'h>> {
    let values: GetAll<'h, HeaderValue> = headers.get_all(name);
    let values: Result<Vec<&str>, ToStrError> = values.iter().map(HeaderValue::to_str).collect();
    let values = values.ok()?;
    if let [value] = *values
        && value.trim() == "*"
    {
        return Some(EntityTags::Any);
    }
    let mut tags = Vec::new();
    for value in values {
        let mut rest = value;
        loop {
            // Empty items of a list are ignored (RFC 9110, 5.6.1).
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                break;
            }
            let (tag, after) = first_tag(rest)?;
            tags.push(tag);
            rest = after.trim_start_matches([' ', '\t']);
            if !rest.is_empty() && !rest.starts_with(',') {
                return None;
            }
        }
    }
    Some(EntityTags::Listed(tags))
}

/// The tag at the beginning, and what follows it.
fn first_tag(text: &str) -> Option<(EntityTag<'_>, &str)> {
    let (is_weak, quoted) = text.strip_prefix("W/").map_or((false, text), |quoted| (true, quoted));
    let (opaque, rest) = quoted.strip_prefix('"')?.split_once('"')?;
    Some((EntityTag { is_weak, opaque }, rest)).filter(|_| opaque.bytes().all(|byte| byte > b' '))
}

#[cfg(test)]
mod tests {
    use super::{Revisions, if_match, if_none_match_names};
    use axum::http::{HeaderMap, HeaderValue, header};

    fn read(values: &[&str]) -> Result<Option<Revisions>, &'static str> {
        let headers = values.iter().map(|value| (header::IF_MATCH, HeaderValue::from_str(value).unwrap())).collect();
        if_match(&headers).map_err(|problem| problem.code())
    }

    #[test]
    fn if_match_compares_strongly() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["*"]), Ok(Some(Revisions::Any)));
        for (values, expected) in [
            (&["\"7\""][..], vec![7]),
            (&["\"7\", \"8\""], vec![7, 8]),
            (&[" ,\"7\",, \"9\"\t,"], vec![7, 9]),
            (&["\"7\"", "\"8\""], vec![7, 8]),
            (&["W/\"7\", \"8\""], vec![8]),
            (&["\"a,b\", \"8\""], vec![8]),
        ] {
            assert_eq!(read(values), Ok(Some(Revisions::OneOf(expected))), "{values:?}");
        }
        for bad in [
            "7",
            "W/\"7\"",
            "w/\"7\"",
            "\"x\"",
            "\"07\"",
            "\"+7\"",
            "\"\"",
            "",
            ",",
            "\"7",
            "\"7\" \"8\"",
            "\"7\"8",
            "\"7\", *",
            "\"99999999999\"",
            "W/7",
            "\" 7\"",
        ] {
            assert_eq!(read(&[bad]), Err("invalid_if_match"), "{bad}");
        }
    }

    #[test]
    fn if_none_match_compares_weakly() {
        let names = |value: &str| {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_str(value).unwrap())]);
            if_none_match_names(&headers, &HeaderValue::from_static("\"7\""))
        };
        assert!(["*", "\"7\"", "W/\"7\"", "\"6\", W/\"7\""].iter().all(|value| names(value)));
        assert!(["7", "\"8\"", "", "\"7", "\"7\" \"8\""].iter().all(|value| !names(value)));
    }

    #[test]
    fn commands_name_a_listed_revision() {
        for (one, other, newest) in (0..125_u32).map(|n| (n / 25, n / 5 % 5, n % 5)) {
            let revisions = read(&[&format!("\"{one}\", \"{other}\"")]).unwrap().unwrap();
            let (expected, is_listed) = (revisions.expected(newest).unwrap(), [one, other].contains(&newest));
            assert!([one, other].contains(&expected));
            assert_eq!((expected == newest, revisions.include(newest.into())), (is_listed, is_listed));
            assert_eq!((Revisions::Any.expected(newest), Revisions::Any.include(newest.into())), (None, true));
        }
    }
}
