//! Strict reader of query parameters: every violation is reported at once.

use crate::form::reader::is_rfc3339_date;
use crate::http::problem::{self, Problem};
use chrono::NaiveDate;
use std::str::FromStr;

/// Reads parameters and collects their violations.
#[derive(Debug, Default)]
pub(crate) struct QueryFields {
    violations: Vec<String>,
}

impl QueryFields {
    /// An optional parameter; `expects` completes "`name` takes …".
    pub(crate) fn optional<T: FromStr>(&mut self, name: &str, text: Option<&str>, expects: &str) -> Option<T> {
        let value = text.map(str::parse);
        if let Some(Err(_)) = value {
            self.violation(format!("`{name}` takes {expects}"));
        }
        value?.ok()
    }

    /// An optional date.
    pub(crate) fn optional_date(&mut self, name: &str, text: Option<&str>) -> Option<NaiveDate> {
        let text = text?;
        let date = is_rfc3339_date(text).then(|| text.parse().ok()).flatten();
        if date.is_none() {
            self.violation(format!("`{name}` takes a date such as 2027-01-10"));
        }
        date
    }

    /// A required date.
    pub(crate) fn date(&mut self, name: &str, text: Option<&str>) -> Option<NaiveDate> {
        if text.is_none() {
            self.violation(format!("`{name}` is missing; it takes a date such as 2027-01-10"));
        }
        self.optional_date(name, text)
    }

    /// One of these names.
    pub(crate) fn one_of<T: Copy>(&mut self, name: &str, text: Option<&str>, choices: &[(&str, T)]) -> Option<T> {
        let text = text?;
        let found = choices.iter().find(|(choice, _)| *choice == text);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
            self.violation(format!("`{name}` takes one of {}", names.join(", ")));
        }
        found.map(|(_, value)| *value)
    }

    /// Reports any other violation.
    pub(crate) fn violation(&mut self, violation: impl Into<String>) {
        self.violations.push(violation.into());
    }

    /// What was read, if there is no violation.
    ///
    /// # Errors
    /// 400 with every violation.
    pub(crate) fn finish<T>(self, read: Option<T>) -> Result<T, Problem> {
        match read {
            Some(read) if self.violations.is_empty() => Ok(read),
            _ => Err(Problem::new(problem::INVALID_QUERY, format!("{}.", self.violations.join("; ")))),
        }
    }
}
