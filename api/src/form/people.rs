//! Types of the fields about people: read in the form that is stored, so that two spellings of one person are equal.

use super::types::{FieldType, Refusal, Text, parsed, refusal, trimmed};
use pvt_domain::accounts::Email;
use pvt_domain::intake::{MAX_EMAIL_BYTES, MAX_NAME_CHARS};
use pvt_domain::people::language::MAX_LANGUAGE_BYTES;
use pvt_domain::people::{email, language, phone};

/// A name; the rules of the domain check it.
pub(crate) fn name() -> impl FieldType<Value = String> {
    trimmed(0, MAX_NAME_CHARS)
}

/// The mail address of a guest.
pub(crate) fn email_address() -> impl FieldType<Value = String> {
    parsed(|text| email::parse(text).or_else(invalid_email)).format("idn-email").longest(MAX_EMAIL_BYTES).canonical()
}

/// The mail address of an account.
pub(crate) fn account_email() -> Text<impl Fn(&str) -> Result<Email, Refusal>> {
    parsed(|text| Email::parse(text).or_else(invalid_email)).format("idn-email")
}

fn invalid_email<T>(why: &str) -> Result<T, Refusal> {
    refusal("invalid_email", format!("{why}; send an address such as ada@example.com"))
}

/// A phone number.
pub(crate) fn phone_number() -> impl FieldType<Value = String> {
    let advice = "send an international number such as +1 514 555 0100, or 00 for the +";
    parsed(move |text| phone::parse(text).or_else(|why| refusal("invalid_phone", format!("{why}; {advice}"))))
        .canonical()
}

/// A language tag.
pub(crate) fn language_tag() -> impl FieldType<Value = String> {
    parsed(|text| {
        language::parse(text).ok_or_else(|| ("invalid_locale", "a language tag such as fr, en-CA or zh-Hant".into()))
    })
    .longest(MAX_LANGUAGE_BYTES)
    .canonical()
}
