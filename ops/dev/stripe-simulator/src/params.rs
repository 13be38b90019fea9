//! Parameters of a request, validated strictly: invalid ones are refused with Stripe's messages.

use crate::error::ApiError;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Most entries of `metadata`, longest key and longest value, in characters, as at Stripe.
const MAX_METADATA: usize = 50;
const MAX_METADATA_KEY: usize = 40;
const MAX_METADATA_VALUE: usize = 500;

/// `metadata` of an object.
pub(crate) type Metadata = BTreeMap<String, String>;

/// Parameters of one level, with the name of their parent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params {
    at: String,
    map: Map<String, Value>,
}

impl Params {
    /// The parameters of a whole request.
    pub(crate) fn new(map: Map<String, Value>) -> Self {
        Self { at: String::new(), map }
    }

    /// The full name of a parameter, as in `line_items[0][quantity]`.
    pub(crate) fn name(&self, name: &str) -> String {
        if self.at.is_empty() { name.to_owned() } else { format!("{}[{name}]", self.at) }
    }

    /// Refuses parameters that are not among `known`.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        match self.map.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(ApiError::unknown(&self.name(key))),
            None => Ok(()),
        }
    }

    /// A non-empty string.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, ApiError> {
        match self.map.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(ApiError::invalid("Invalid string").param(&self.name(name))),
        }
    }

    pub(crate) fn required(&self, name: &str) -> Result<String, ApiError> {
        self.text(name)?.ok_or_else(|| ApiError::required(&self.name(name)))
    }

    /// A string that is one of `choices`.
    pub(crate) fn choice(&self, name: &str, choices: &[&str]) -> Result<Option<String>, ApiError> {
        let text = self.text(name)?;
        match &text {
            Some(text) if !choices.contains(&text.as_str()) => {
                Err(ApiError::invalid(format!("Invalid {}: must be one of {}", self.name(name), choices.join(", ")))
                    .param(&self.name(name)))
            }
            _ => Ok(text),
        }
    }

    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let wrong = || {
            ApiError::invalid(format!("Invalid integer: {text}"))
                .code("parameter_invalid_integer")
                .param(&self.name(name))
        };
        text.parse().map(Some).map_err(|_| wrong())
    }

    /// A positive number.
    pub(crate) fn positive(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.integer(name)? {
            Some(number) if number < 1 => Err(ApiError::invalid("This value must be greater than or equal to 1.")
                .code("parameter_invalid_integer")
                .param(&self.name(name))),
            number => Ok(number),
        }
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        Ok(self.choice(name, &["true", "false"])?.as_deref() == Some("true"))
    }

    /// A nested object; empty when it is absent.
    pub(crate) fn child(&self, name: &str) -> Result<Self, ApiError> {
        match self.map.get(name) {
            None => Ok(Self { at: self.name(name), map: Map::new() }),
            Some(Value::Object(map)) => Ok(Self { at: self.name(name), map: map.clone() }),
            Some(_) => Err(ApiError::invalid("Invalid object").param(&self.name(name))),
        }
    }

    /// A list of objects.
    pub(crate) fn children(&self, name: &str) -> Result<Vec<Self>, ApiError> {
        let Some(list) = self.map.get(name) else { return Ok(Vec::new()) };
        let wrong = || ApiError::invalid("Invalid array").param(&self.name(name));
        let read = |(index, one): (usize, &Value)| {
            Some(Self { at: format!("{}[{index}]", self.name(name)), map: one.as_object()?.clone() })
        };
        list.as_array().ok_or_else(wrong)?.iter().enumerate().map(|one| read(one).ok_or_else(wrong)).collect()
    }

    /// A list of strings.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let Some(list) = self.map.get(name) else { return Ok(Vec::new()) };
        let wrong = || ApiError::invalid("Invalid array").param(&self.name(name));
        list.as_array().ok_or_else(wrong)?.iter().map(|one| one.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// `metadata`, within Stripe's limits.
    pub(crate) fn metadata(&self) -> Result<Metadata, ApiError> {
        let given = self.child("metadata")?;
        let mut metadata = Metadata::new();
        for (key, value) in &given.map {
            let text = value.as_str().ok_or_else(|| ApiError::invalid("Invalid string").param(&given.name(key)))?;
            if key.chars().count() > MAX_METADATA_KEY
                || text.chars().count() > MAX_METADATA_VALUE
                || metadata.len() >= MAX_METADATA
            {
                let limits = format!(
                    "Metadata has at most {MAX_METADATA} keys of {MAX_METADATA_KEY} characters with values of \
                    {MAX_METADATA_VALUE}"
                );
                return Err(ApiError::invalid(limits).param(&given.name(key)));
            }
            if !text.is_empty() {
                metadata.insert(key.clone(), text.to_owned());
            }
        }
        Ok(metadata)
    }
}
