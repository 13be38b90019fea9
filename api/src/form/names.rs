//! Names by language: a field of things that have a name.

use super::reader::{Field, Pointer, Reader};
use super::types::FieldType;
use pvt_domain::intake::MAX_NAME_CHARS;
use pvt_domain::inventory::Names;
use pvt_domain::people::language::{self, MAX_LANGUAGE_BYTES};
use pvt_domain::people::text::normal;
use schemars::{Schema, SchemaGenerator, json_schema};
use std::collections::BTreeMap;

/// Most languages of one thing.
const MAX_LANGUAGES: usize = 20;

/// Names by language tag, in their stored form; the rules of the domain check the names themselves.
pub(crate) fn names() -> impl FieldType<Value = Names> {
    NamesType
}

/// See [`names`].
struct NamesType;

impl FieldType for NamesType {
    type Value = Names;

    fn read(&self, field: Field<'_, '_, '_>, reader: &mut Reader) -> Option<Names> {
        let (at, entries) = (field.at(), reader.entries(field)?);
        if entries.len() > MAX_LANGUAGES {
            reader.violation(&at, "too_many", format!("at most {MAX_LANGUAGES} languages"));
        }
        let mut names = BTreeMap::new();
        for (key, node) in entries.iter().take(MAX_LANGUAGES) {
            let place = Pointer::Key(&at, key);
            let Some(tag) = language::parse(key) else {
                reader.violation(&place, "invalid_locale", "a language tag such as fr, en-CA or zh-Hant");
                continue;
            };
            let Some(name) = reader.text(Field::located(node, Pointer::Key(&at, key))) else { continue };
            if names.insert(tag, normal(name).into_owned()).is_some() {
                reader.violation(&place, "duplicate", "the same language in another spelling");
            }
        }
        Some(Names(names))
    }

    fn schema(&self, _: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "propertyNames": { "maxLength": MAX_LANGUAGE_BYTES },
            "additionalProperties": { "type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARS },
            "maxProperties": MAX_LANGUAGES,
        })
    }
}
