//! Types of a form's fields: how a JSON value is read, and its JSON schema.
//!
//! Messages never repeat a value: it may be a guest's data.

use super::declare::RequestForm;
use super::reader::{Field, Pointer, Reader, is_rfc3339_date};
use chrono::NaiveDate;
use pvt_domain::ids::BookingId;
use pvt_domain::inventory::check::{MAX_ID_BYTES, MAX_NIGHTLY};
use pvt_domain::money::{Currency, Money};
use pvt_domain::people::text::normal;
use schemars::{Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::marker::PhantomData;
use std::ops::RangeInclusive;

/// Longest free text, in characters.
pub(crate) const MAX_FREE_TEXT_CHARS: usize = 500;

/// A type of values: one reader and one schema.
pub(crate) trait FieldType: Sized {
    /// What is read.
    type Value;

    /// Reads a value; `None` only after a violation was reported.
    fn read(&self, field: Field<'_, '_, '_>, reader: &mut Reader) -> Option<Self::Value>;

    /// The schema of the values that are accepted, as far as a schema can say it.
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema;

    /// The same values as another type.
    fn map<T, F: Fn(Self::Value) -> T>(self, convert: F) -> Map<Self, F> {
        Map { inner: self, convert }
    }

    /// The same values, and the default for one that is unreadable.
    fn or_default(self) -> OrDefault<Self>
    where
        Self::Value: Default,
    {
        OrDefault(self)
    }

    /// The same values, of which each is written in one way: any other spelling of it is the same request.
    fn canonical(self) -> Canonical<Self>
    where
        Self::Value: Display,
    {
        Canonical(self)
    }

    /// Only values that `check` accepts.
    fn verify<F: Fn(&Self::Value) -> Result<(), Refusal>>(self, check: F) -> Verify<Self, F> {
        Verify { inner: self, check, member: None }
    }

    /// As [`FieldType::verify`]; the violation is that of the value's `member`.
    fn verify_member<F: Fn(&Self::Value) -> Result<(), Refusal>>(
        self,
        member: &'static str,
        check: F,
    ) -> Verify<Self, F> {
        Verify { inner: self, check, member: Some(member) }
    }
}

/// The code and the message of a violation.
pub(crate) type Refusal = (&'static str, Cow<'static, str>);

/// A violation with this code; `message` completes "the value …".
pub(crate) fn refusal<T>(code: &'static str, message: impl Into<Cow<'static, str>>) -> Result<T, Refusal> {
    Err((code, message.into()))
}

/// Any text.
pub(crate) fn text<T: for<'t> From<&'t str>>() -> Text<impl Fn(&str) -> Result<T, Refusal>> {
    parsed(|text| Ok(T::from(text)))
}

/// A text that `parse` understands.
pub(crate) fn parsed<T>(parse: impl Fn(&str) -> Result<T, Refusal>) -> Text<impl Fn(&str) -> Result<T, Refusal>> {
    Text { parse, facets: Facets::default() }
}

/// A text that is a value of its own kind; `expected` completes "must be …".
pub(crate) fn value<T>(
    expected: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Text<impl Fn(&str) -> Result<T, Refusal>> {
    parsed(move |text| parse(text).ok_or_else(|| ("invalid_value", format!("must be {expected}").into())))
}

/// A text for people, in its stored form; the rules of the domain check it.
pub(crate) fn trimmed(least: usize, most: usize) -> impl FieldType<Value = String> {
    parsed(|text| Ok(normal(text).into_owned())).length(least, most).canonical()
}

/// A text for people, in its stored form: 1 to `most` characters, not blank, without the control characters that
/// `is_forbidden`.
fn readable(code: &'static str, most: usize, is_forbidden: fn(char) -> bool) -> impl FieldType<Value = String> {
    parsed(move |text: &str| {
        let text = normal(text);
        if text.is_empty() || text.chars().count() > most || text.chars().any(is_forbidden) {
            return refusal(code, format!("1 to {most} characters, no control characters"));
        }
        Ok(text.into_owned())
    })
    .length(1, most)
    .canonical()
}

/// A text of several lines for people; `code` is the violation of any other.
pub(crate) fn free_text(code: &'static str) -> impl FieldType<Value = String> {
    readable(code, MAX_FREE_TEXT_CHARS, |c| c.is_control() && c != '\n')
}

/// A text of one line for people, of at most `most` characters; `code` is the violation of any other.
pub(crate) fn one_line(code: &'static str, most: usize) -> impl FieldType<Value = String> {
    readable(code, most, char::is_control)
}

/// A day of the calendar, as `2027-01-10`.
pub(crate) fn date() -> Text<impl Fn(&str) -> Result<NaiveDate, Refusal>> {
    parsed(|text| {
        let date = is_rfc3339_date(text).then(|| text.parse().ok()).flatten();
        date.ok_or_else(|| ("invalid_date", "must be a date of the calendar such as 2027-01-10".into()))
    })
    .format("date")
}

/// A booking by its id.
pub(crate) fn booking_id() -> impl FieldType<Value = BookingId> {
    parsed(|text| text.parse().map_err(|_| ("invalid_id", "must be a booking's id, a UUID".into())))
        .format("uuid")
        .canonical()
}

/// The id of a part of the inventory: letters, digits, `.`, `_` and `-`, as the rules of the domain check.
pub(crate) fn inventory_id<T: for<'t> From<&'t str>>() -> Text<impl Fn(&str) -> Result<T, Refusal>> {
    text().length(1, MAX_ID_BYTES).pattern("^[A-Za-z0-9._-]+$")
}

/// A currency by its ISO 4217 code.
pub(crate) fn currency() -> Text<impl Fn(&str) -> Result<Currency, Refusal>> {
    value("an ISO 4217 code such as CAD", Currency::from_code)
}

/// See [`parsed`].
pub(crate) struct Text<F> {
    parse: F,
    facets: Facets,
}

/// What the schema of a text adds to its type. The parser decides; these describe.
#[derive(Default)]
struct Facets {
    format: Option<&'static str>,
    pattern: Option<&'static str>,
    length: Option<(usize, usize)>,
    longest: Option<usize>,
}

impl<F> Text<F> {
    /// Described by this format.
    pub(crate) fn format(mut self, format: &'static str) -> Self {
        self.facets.format = Some(format);
        self
    }

    /// Described by this regular expression.
    pub(crate) fn pattern(mut self, pattern: &'static str) -> Self {
        self.facets.pattern = Some(pattern);
        self
    }

    /// Described by a shortest and a longest length, in characters.
    pub(crate) fn length(mut self, least: usize, most: usize) -> Self {
        self.facets.length = Some((least, most));
        self
    }

    /// Described by a longest length.
    pub(crate) fn longest(mut self, most: usize) -> Self {
        self.facets.longest = Some(most);
        self
    }
}

impl<T, F: Fn(&str) -> Result<T, Refusal>> FieldType for Text<F> {
    type Value = T;

    fn read(&self, field: Field<'_, '_, '_>, reader: &mut Reader) -> Option<T> {
        match (self.parse)(reader.text(field)?) {
            Ok(value) => Some(value),
            Err((code, message)) => {
                reader.violation(&field.at(), code, message);
                None
            }
        }
    }

    fn schema(&self, _: &mut SchemaGenerator) -> Schema {
        let mut schema = json_schema!({ "type": "string" });
        let Facets { format, pattern, length, longest } = self.facets;
        let bounds = length.map(|(least, most)| (Some(least), most)).or(longest.map(|most| (None, most)));
        let facets = [
            ("format", format.map(Into::into)),
            ("pattern", pattern.map(Into::into)),
            ("minLength", bounds.and_then(|(least, _)| least).map(Into::into)),
            ("maxLength", bounds.map(|(_, most)| most.into())),
        ];
        for (name, value) in facets {
            if let Some(value) = value {
                schema.insert(name.to_owned(), value);
            }
        }
        schema
    }
}

/// `true` or `false`.
pub(crate) fn boolean() -> Boolean {
    Boolean
}

/// See [`boolean`].
pub(crate) struct Boolean;

impl FieldType for Boolean {
    type Value = bool;

    fn read(&self, field: Field<'_, '_, '_>, reader: &mut Reader) -> Option<bool> {
        reader.boolean(field)
    }

    fn schema(&self, _: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "boolean" })
    }
}

/// A whole number within these bounds.
pub(crate) fn integer<T: TryFrom<i64>>(bounds: RangeInclusive<i64>) -> Integer<T> {
    Integer { documented: bounds.clone(), bounds, number: PhantomData }
}

/// See [`integer`].
pub(crate) struct Integer<T> {
    bounds: RangeInclusive<i64>,
    documented: RangeInclusive<i64>,
    number: PhantomData<T>,
}

impl<T> Integer<T> {
    /// Described by other bounds, which a later rule holds.
    pub(crate) fn documented(self, documented: RangeInclusive<i64>) -> Self {
        Self { documented, ..self }
    }
}

impl<T: TryFrom<i64>> FieldType for Integer<T> {
    type Value = T;

    fn read(&self, field: Field<'_, '_, '_>, reader: &mut Reader) -> Option<T> {
        reader.integer(field, self.bounds.clone()).and_then(|number| T::try_from(number).ok())
    }

    fn schema(&self, _: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": self.documented.start(), "maximum": self.documented.end() })
    }
}

/// A whole number that is not negative; the rules of the domain know the bounds that are documented.
pub(crate) fn count(least: i64, most: Option<i64>) -> Count {
    Count { least, most }
}

/// See [`count`].
pub(crate) struct Count {
    least: i64,
    most: Option<i64>,
}

impl FieldType for Count {
    type Value = u32;

    fn read(&self, field: Field<'_, '_, '_>, reader: &mut Reader) -> Option<u32> {
        reader.count(field)
    }

    fn schema(&self, _: &mut SchemaGenerator) -> Schema {
        let mut schema = json_schema!({ "type": "integer", "minimum": self.least });
        if let Some(most) = self.most {
            schema.insert("maximum".to_owned(), most.into());
        }
        schema
    }
}

/// One of these names.
pub(crate) fn one_of<T: Copy>(choices: &'static [(&'static str, T)]) -> OneOf<T> {
    OneOf(choices)
}

/// See [`one_of`].
pub(crate) struct OneOf<T: 'static>(&'static [(&'static str, T)]);

impl<T: Copy> FieldType for OneOf<T> {
    type Value = T;

    fn read(&self, field: Field<'_, '_, '_>, reader: &mut Reader) -> Option<T> {
        reader.one_of(field, self.0)
    }

    fn schema(&self, _: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = self.0.iter().map(|(name, _)| *name).collect();
        json_schema!({ "type": "string", "enum": names })
    }
}

/// A list of at most `most` items.
pub(crate) fn list<T: FieldType>(item: T, most: usize) -> List<T> {
    List { item, most, count: None, least: 0 }
}

/// The code of the violation of a count, and its message.
type CountRefusal = (&'static str, fn() -> String);

/// See [`list`].
pub(crate) struct List<T> {
    item: T,
    most: usize,
    /// The violation of an empty or too long list.
    count: Option<CountRefusal>,
    /// Fewest items, as documented.
    least: usize,
}

impl<T> List<T> {
    /// With at least one item; an empty or too long list is this violation.
    pub(crate) fn counted(mut self, code: &'static str, message: fn() -> String) -> Self {
        self.count = Some((code, message));
        self.at_least(1)
    }

    /// Described as holding at least so many items.
    pub(crate) fn at_least(mut self, least: usize) -> Self {
        self.least = least;
        self
    }
}

impl<T: FieldType> FieldType for List<T> {
    type Value = Vec<T::Value>;

    fn read(&self, field: Field<'_, '_, '_>, reader: &mut Reader) -> Option<Self::Value> {
        let (at, items) = (field.at(), reader.list(field)?);
        match self.count {
            Some((code, message)) if items.is_empty() || items.len() > self.most => {
                reader.violation(&at, code, message());
            }
            None if items.len() > self.most => reader.violation(&at, "too_many", format!("at most {}", self.most)),
            _ => {}
        }
        // That there are too many is the one violation: what else is wrong with each is of no use.
        let read = if items.len() > self.most { 0 } else { items.len() };
        let items = items.iter().take(read).enumerate();
        Some(
            items
                .filter_map(|(index, node)| self.item.read(Field::located(node, Pointer::Index(&at, index)), reader))
                .collect(),
        )
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array", "items": self.item.schema(generator), "minItems": self.least, "maxItems": self.most,
        })
    }
}

/// An object whose keys are names of the client's choice.
pub(crate) fn map_of<K: for<'t> From<&'t str> + Ord, T: FieldType>(value: T) -> MapOf<K, T> {
    MapOf { value, key: PhantomData }
}

/// See [`map_of`].
pub(crate) struct MapOf<K, T> {
    value: T,
    key: PhantomData<K>,
}

impl<K: for<'t> From<&'t str> + Ord, T: FieldType> FieldType for MapOf<K, T> {
    type Value = BTreeMap<K, T::Value>;

    fn read(&self, field: Field<'_, '_, '_>, reader: &mut Reader) -> Option<Self::Value> {
        let (at, entries) = (field.at(), reader.entries(field)?);
        let entry = |(key, node): &(Cow<'_, str>, super::json::Node<'_>)| {
            let value = self.value.read(Field::located(node, Pointer::Key(&at, key)), reader)?;
            Some((K::from(key), value))
        };
        Some(entries.iter().filter_map(entry).collect())
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": self.value.schema(generator) })
    }
}

/// An object that is a form itself.
pub(crate) fn object<T: RequestForm>() -> Nested<T> {
    Nested(PhantomData)
}

/// See [`object`].
pub(crate) struct Nested<T>(PhantomData<T>);

impl<T: RequestForm> FieldType for Nested<T> {
    type Value = T;

    fn read(&self, field: Field<'_, '_, '_>, reader: &mut Reader) -> Option<T> {
        T::read(field.node(), &field.at(), reader)
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

/// Money as `{"amount": 4200, "currency": "CAD"}`, in minor units, not negative.
pub(crate) fn money() -> MoneyType<Integer<i64>> {
    money_of(integer(0..=MAX_NIGHTLY))
}

/// As [`money`], with amounts of this type.
pub(crate) fn money_of<T: FieldType<Value = i64>>(amount: T) -> MoneyType<T> {
    MoneyType(amount)
}

/// See [`money`].
pub(crate) struct MoneyType<T>(T);

impl<T: FieldType<Value = i64>> FieldType for MoneyType<T> {
    type Value = Money;

    fn read(&self, field: Field<'_, '_, '_>, reader: &mut Reader) -> Option<Money> {
        let at = field.at();
        let fields = reader.object(field.node(), &at, &["amount", "currency"])?;
        let amount = reader.required(fields, "amount").and_then(|field| self.0.read(field, reader));
        let code = reader.required(fields, "currency").and_then(|field| currency().read(field, reader));
        Some(Money::new(amount?, code?))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "properties": { "amount": self.0.schema(generator), "currency": currency().schema(generator) },
            "required": ["amount", "currency"],
            "additionalProperties": false,
        })
    }
}

/// See [`FieldType::map`].
pub(crate) struct Map<T, F> {
    inner: T,
    convert: F,
}

impl<T: FieldType, U, F: Fn(T::Value) -> U> FieldType for Map<T, F> {
    type Value = U;

    fn read(&self, field: Field<'_, '_, '_>, reader: &mut Reader) -> Option<U> {
        self.inner.read(field, reader).map(&self.convert)
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        self.inner.schema(generator)
    }
}

/// See [`FieldType::canonical`].
pub(crate) struct Canonical<T>(T);

impl<T: FieldType<Value: Display>> FieldType for Canonical<T> {
    type Value = T::Value;

    fn read(&self, field: Field<'_, '_, '_>, reader: &mut Reader) -> Option<T::Value> {
        let value = self.0.read(field, reader)?;
        reader.respell(field, value.to_string());
        Some(value)
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        self.0.schema(generator)
    }
}

/// See [`FieldType::or_default`].
pub(crate) struct OrDefault<T>(T);

impl<T: FieldType<Value: Default>> FieldType for OrDefault<T> {
    type Value = T::Value;

    fn read(&self, field: Field<'_, '_, '_>, reader: &mut Reader) -> Option<T::Value> {
        Some(self.0.read(field, reader).unwrap_or_default())
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        self.0.schema(generator)
    }
}

/// See [`FieldType::verify`].
pub(crate) struct Verify<T, F> {
    inner: T,
    check: F,
    member: Option<&'static str>,
}

impl<T: FieldType, F: Fn(&T::Value) -> Result<(), Refusal>> FieldType for Verify<T, F> {
    type Value = T::Value;

    fn read(&self, field: Field<'_, '_, '_>, reader: &mut Reader) -> Option<T::Value> {
        let value = self.inner.read(field, reader)?;
        match (self.check)(&value) {
            Ok(()) => Some(value),
            Err((code, message)) => {
                let at = field.at();
                match self.member {
                    Some(member) => reader.violation(&Pointer::Key(&at, member), code, message),
                    None => reader.violation(&at, code, message),
                }
                None
            }
        }
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        self.inner.schema(generator)
    }
}
