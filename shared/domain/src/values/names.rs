//! Names by language.

use crate::people::language::nearest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Names of one thing by language tag, beside its name in no particular language.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Names(pub BTreeMap<String, String>);

impl Names {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name in the first of these languages that has one: under the tag itself, else under the next shorter one
    /// (lookup of RFC 4647 §3.4), else `default`.
    pub fn in_language<'a, 'l>(&'a self, languages: impl IntoIterator<Item = &'l str>, default: &'a str) -> &'a str {
        if self.is_empty() {
            return default;
        }
        let tags: Vec<&str> = self.0.keys().map(String::as_str).collect();
        nearest(languages, &tags).and_then(|tag| self.0.get(tag)).map_or(default, String::as_str)
    }
}

impl<T: Into<String>, const COUNT: usize> From<[(T, T); COUNT]> for Names {
    fn from(names: [(T, T); COUNT]) -> Self {
        Self(names.into_iter().map(|(tag, name)| (tag.into(), name.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn nearest_language_is_chosen() {
        let names = Names::from([("fr", "Dortoir"), ("fr-CA", "Dortoir (Québec)"), ("zh-Hant", "宿舍")]);
        for (language, expected) in [
            (Some("fr-CA"), "Dortoir (Québec)"),
            (Some("fr-CH"), "Dortoir"),
            (Some("FR"), "Dortoir"),
            (Some("zh-Hant-TW"), "宿舍"),
            (Some("zh"), "Dorm"),
            (Some("de"), "Dorm"),
            (None, "Dorm"),
        ] {
            assert_eq!(names.in_language(language, "Dorm"), expected, "{language:?}");
        }
        assert_eq!(Names::default().in_language(Some("fr"), "Dorm"), "Dorm");
    }
}
