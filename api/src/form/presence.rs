//! Presence of a form's fields: whether a field may be missing, and what a missing one means.

use super::reader::{Fields, Reader};
use super::types::FieldType;
use schemars::{Schema, SchemaGenerator, json_schema};
use std::fmt::Display;

/// A field of a form: its type, and what it means when it is missing.
pub(crate) trait Presence: Sized {
    /// What the form's struct holds.
    type Value;

    /// Reads the member `key`; `None` only after a violation was reported.
    fn read(&self, fields: Fields<'_, '_, '_>, key: &'static str, reader: &mut Reader) -> Option<Self::Value>;

    /// The schema of a value that is there.
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema;

    /// Whether the schema says that it must be there.
    fn is_required(&self) -> bool {
        false
    }

    /// Whether the schema says that it may be `null`.
    fn is_nullable(&self) -> bool {
        !self.is_required()
    }

    /// The same, but `null` is a violation: a change clears what `null` stands for, and this cannot be cleared.
    fn not_null(self) -> NotNull<Self> {
        NotNull(self)
    }

    /// The same, but unreadable values leave a gap instead of no form at all: rules can still be checked.
    fn lenient(self) -> Lenient<Self> {
        Lenient(self)
    }

    /// The same, after the absence of any of `keys` was reported.
    fn after_missing(self, keys: &'static [&'static str]) -> AfterMissing<Self> {
        AfterMissing { inner: self, keys }
    }
}

/// A field that must be there; `null` is missing.
pub(crate) fn required<T: FieldType>(inner: T) -> Required<T> {
    Required { inner, is_reported: false }
}

/// As [`required`], where [`Presence::after_missing`] of a field above has reported its absence.
pub(crate) fn reported<T: FieldType>(inner: T) -> Required<T> {
    Required { inner, is_reported: true }
}

/// A field that may be missing or `null`.
pub(crate) fn optional<T: FieldType>(inner: T) -> Optional<T> {
    Optional(inner)
}

/// As [`optional`], of what says who requests something, not what: two requests that differ in it are the same.
pub(crate) fn credential<T: FieldType>(inner: T) -> Credential<T> {
    Credential(inner)
}

/// A field that may be missing or `null`, and then has its type's default.
pub(crate) fn defaulted<T: FieldType<Value: Default + PartialEq>>(inner: T) -> Defaulted<T> {
    Defaulted(inner)
}

/// As [`defaulted`], where the default is mostly written out, so that the canonical form has it.
pub(crate) fn spelled_out<T: FieldType<Value: Default + Display>>(inner: T) -> SpelledOut<T> {
    SpelledOut(inner)
}

/// A field that must be there if `condition` holds, whatever the schema says.
pub(crate) fn required_if<T: FieldType>(condition: bool, inner: T) -> RequiredIf<T> {
    RequiredIf { inner, condition }
}

/// A field that must be there if `condition` holds, as the schema says then, too; [`Presence::after_missing`] of a
/// field above has reported its absence.
pub(crate) fn reported_if<T: FieldType>(condition: bool, inner: T) -> ReportedIf<T> {
    ReportedIf { inner, condition }
}

/// A field that must be there and may be `null`.
pub(crate) fn nullable<T: FieldType>(inner: T) -> Nullable<T> {
    Nullable(inner)
}

/// A field of a change: missing leaves the value as it is, `null` clears it.
pub(crate) fn patch<T: FieldType>(inner: T) -> Patch<T> {
    Patch(inner)
}

/// See [`required`].
pub(crate) struct Required<T> {
    inner: T,
    is_reported: bool,
}

impl<T: FieldType> Presence for Required<T> {
    type Value = T::Value;

    fn read(&self, fields: Fields<'_, '_, '_>, key: &'static str, reader: &mut Reader) -> Option<T::Value> {
        let field = if self.is_reported { fields.optional(key) } else { reader.required(fields, key) };
        self.inner.read(field?, reader)
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        self.inner.schema(generator)
    }

    fn is_required(&self) -> bool {
        true
    }
}

/// See [`optional`].
pub(crate) struct Optional<T>(T);

impl<T: FieldType> Presence for Optional<T> {
    type Value = Option<T::Value>;

    fn read(&self, fields: Fields<'_, '_, '_>, key: &'static str, reader: &mut Reader) -> Option<Option<T::Value>> {
        Some(reader.optional(fields, key).and_then(|field| self.0.read(field, reader)))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        self.0.schema(generator)
    }
}

/// See [`credential`].
pub(crate) struct Credential<T>(T);

impl<T: FieldType> Presence for Credential<T> {
    type Value = Option<T::Value>;

    fn read(&self, fields: Fields<'_, '_, '_>, key: &'static str, reader: &mut Reader) -> Option<Option<T::Value>> {
        reader.leave_out(fields, key);
        Some(fields.optional(key).and_then(|field| self.0.read(field, reader)))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        self.0.schema(generator)
    }
}

/// See [`defaulted`].
pub(crate) struct Defaulted<T>(T);

impl<T: FieldType<Value: Default + PartialEq>> Presence for Defaulted<T> {
    type Value = T::Value;

    fn read(&self, fields: Fields<'_, '_, '_>, key: &'static str, reader: &mut Reader) -> Option<T::Value> {
        let value = fields.optional(key).and_then(|field| self.0.read(field, reader)).unwrap_or_default();
        if value == T::Value::default() {
            reader.leave_out(fields, key);
        }
        Some(value)
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        self.0.schema(generator)
    }
}

/// See [`spelled_out`].
pub(crate) struct SpelledOut<T>(T);

impl<T: FieldType<Value: Default + Display>> Presence for SpelledOut<T> {
    type Value = T::Value;

    fn read(&self, fields: Fields<'_, '_, '_>, key: &'static str, reader: &mut Reader) -> Option<T::Value> {
        let Some(field) = fields.optional(key) else {
            let default = T::Value::default();
            reader.fill_in(fields, key, &default.to_string());
            return Some(default);
        };
        Some(self.0.read(field, reader).unwrap_or_default())
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        self.0.schema(generator)
    }
}

/// See [`required_if`].
pub(crate) struct RequiredIf<T> {
    inner: T,
    condition: bool,
}

impl<T: FieldType> Presence for RequiredIf<T> {
    type Value = Option<T::Value>;

    fn read(&self, fields: Fields<'_, '_, '_>, key: &'static str, reader: &mut Reader) -> Option<Option<T::Value>> {
        let field = if self.condition { reader.required(fields, key) } else { reader.optional(fields, key) };
        Some(field.and_then(|field| self.inner.read(field, reader)))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        self.inner.schema(generator)
    }
}

/// See [`reported_if`].
pub(crate) struct ReportedIf<T> {
    inner: T,
    condition: bool,
}

impl<T: FieldType> Presence for ReportedIf<T> {
    type Value = Option<T::Value>;

    fn read(&self, fields: Fields<'_, '_, '_>, key: &'static str, reader: &mut Reader) -> Option<Option<T::Value>> {
        Some(reader.optional(fields, key).and_then(|field| self.inner.read(field, reader)))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        self.inner.schema(generator)
    }

    fn is_required(&self) -> bool {
        self.condition
    }
}

/// See [`nullable`].
pub(crate) struct Nullable<T>(T);

impl<T: FieldType> Presence for Nullable<T> {
    type Value = Option<T::Value>;

    fn read(&self, fields: Fields<'_, '_, '_>, key: &'static str, reader: &mut Reader) -> Option<Option<T::Value>> {
        if !fields.has(key) {
            reader.required(fields, key);
        }
        Some(fields.optional(key).and_then(|field| self.0.read(field, reader)))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "oneOf": [self.0.schema(generator), { "type": "null" }] })
    }

    fn is_required(&self) -> bool {
        true
    }
}

/// See [`patch`].
pub(crate) struct Patch<T>(T);

impl<T: FieldType> Presence for Patch<T> {
    type Value = Option<Option<T::Value>>;

    fn read(&self, fields: Fields<'_, '_, '_>, key: &'static str, reader: &mut Reader) -> Option<Self::Value> {
        let value = fields.optional(key).and_then(|field| self.0.read(field, reader));
        Some(fields.has(key).then_some(value))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        self.0.schema(generator)
    }
}

/// See [`Presence::not_null`].
pub(crate) struct NotNull<P>(P);

impl<P: Presence> Presence for NotNull<P> {
    type Value = P::Value;

    fn read(&self, fields: Fields<'_, '_, '_>, key: &'static str, reader: &mut Reader) -> Option<P::Value> {
        let value = self.0.read(fields, key, reader);
        if fields.has(key) && fields.optional(key).is_none() {
            reader.refuse_null(fields, key);
        }
        value
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        self.0.schema(generator)
    }

    fn is_required(&self) -> bool {
        self.0.is_required()
    }

    fn is_nullable(&self) -> bool {
        false
    }
}

/// See [`Presence::lenient`].
pub(crate) struct Lenient<P>(P);

impl<P: Presence> Presence for Lenient<P> {
    type Value = Option<P::Value>;

    fn read(&self, fields: Fields<'_, '_, '_>, key: &'static str, reader: &mut Reader) -> Option<Option<P::Value>> {
        Some(self.0.read(fields, key, reader))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        self.0.schema(generator)
    }

    fn is_required(&self) -> bool {
        self.0.is_required()
    }

    fn is_nullable(&self) -> bool {
        self.0.is_nullable()
    }
}

/// See [`Presence::after_missing`].
pub(crate) struct AfterMissing<P> {
    inner: P,
    keys: &'static [&'static str],
}

impl<P: Presence> Presence for AfterMissing<P> {
    type Value = P::Value;

    fn read(&self, fields: Fields<'_, '_, '_>, key: &'static str, reader: &mut Reader) -> Option<P::Value> {
        for key in self.keys {
            reader.required(fields, key);
        }
        self.inner.read(fields, key, reader)
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        self.inner.schema(generator)
    }

    fn is_required(&self) -> bool {
        self.inner.is_required()
    }

    fn is_nullable(&self) -> bool {
        self.inner.is_nullable()
    }
}
