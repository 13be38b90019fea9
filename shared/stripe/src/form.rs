//! Forms as Stripe takes them: nested names in brackets, percent-encoded.

use pvt_domain::stripe::metadata::Metadata;
use url::form_urlencoded::Serializer;

/// The fields of a body or a query, in the order in which they were added.
#[derive(Debug, Default, Clone)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// With a field more.
    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.0.push((name.to_owned(), value.to_string()));
        self
    }

    /// With a field more, if there is a value.
    pub(crate) fn with_some(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// With each entry as `name[key]`.
    pub(crate) fn with_metadata(self, name: &str, metadata: &Metadata) -> Self {
        metadata.iter().fold(self, |form, (key, value)| form.with(&format!("{name}[{key}]"), value))
    }

    /// As it is sent.
    pub(crate) fn encoded(&self) -> String {
        Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }
}
