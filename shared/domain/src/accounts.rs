//! Accounts: users, roles, password rules and access token claims.
//!
//! A password or its hash never appears in a value of this module; the hash is read from the store by name.

pub use crate::ids::UserId;

use crate::ids::{PropertyId, uuid_text};
use crate::intake::{is_name, name_advice};
use crate::people::{email, language};
use crate::timestamp::Timestamp;
use crate::values::field_error::FieldError;
use crate::wire_enum;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Shortest password, in characters (NIST SP 800-63B requires 8; length is the only rule).
pub const MIN_PASSWORD_CHARS: usize = 12;
/// Longest password, in characters: hashing must not be fed megabytes.
pub const MAX_PASSWORD_CHARS: usize = 256;
/// Most properties that one staff account may be assigned to.
pub const MAX_PROPERTIES: usize = 100;

/// A mail address in the form of [`email::parse`]: two accounts for one mailbox would be a way in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Email(String);

impl Email {
    /// The address.
    ///
    /// # Errors
    /// What is wrong with it, in words that do not repeat it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        email::parse(text).map(Self)
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for Email {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

wire_enum! {
    /// Role of an account.
    #[derive(Hash)]
    pub enum Role {
        /// Books, and sees their own bookings.
        Guest = "guest",
        /// Works at some properties.
        Staff = "staff",
        /// Has every permission at every property.
        Admin = "admin",
    }
}

/// A user account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Id; never changes.
    #[serde(rename = "_id", alias = "id")]
    pub id: UserId,
    /// Mail address and login name. Unique.
    pub email: Email,
    /// Display name.
    pub name: String,
    /// Role.
    pub role: Role,
    /// Properties of a staff account.
    #[serde(default)]
    pub properties: Vec<PropertyId>,
    /// Language of mails, for example `fr` or `en-CA`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Revision, from 1.
    #[serde(default = "first_rev")]
    pub rev: u32,
    /// Creation time.
    pub created_at: Timestamp,
    /// Time at which the account was disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
}

impl Role {
    /// The role with the properties that it is for, as the audit log has it.
    pub fn granted_at(self, properties: &[PropertyId]) -> String {
        let listed: Vec<&str> = properties.iter().map(PropertyId::as_str).collect();
        format!("{} {}", self.as_str(), listed.join(",")).trim_end().to_owned()
    }
}

fn first_rev() -> u32 {
    1
}

/// Data that users choose for their account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Display name.
    pub name: String,
    /// Language of mails.
    pub locale: Option<String>,
}

impl Profile {
    /// Violations; pointers are into an object of the same fields.
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if !is_name(&self.name) {
            errors.push(FieldError::new("/name", "invalid_name", name_advice()));
        }
        if self.locale.as_deref().is_some_and(|locale| language::parse(locale).is_none()) {
            errors.push(FieldError::new("/locale", "invalid_locale", "a language tag such as fr, en-CA or zh-Hant"));
        }
        errors
    }
}

/// Checks a password of this account; `pointer` is its place in the form.
///
/// Only length counts (NIST SP 800-63B §3.1.1.2: no composition rules), and that it is not the mail address.
pub fn check_password(password: &str, email: Option<&Email>, pointer: &str) -> Option<FieldError> {
    let length = password.chars().count();
    if !(MIN_PASSWORD_CHARS..=MAX_PASSWORD_CHARS).contains(&length) {
        return Some(FieldError::new(
            pointer,
            "password_length",
            format!("{MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters"),
        ));
    }
    let is_email = email.is_some_and(|email| password.trim().eq_ignore_ascii_case(email.as_str()));
    is_email.then(|| FieldError::new(pointer, "password_is_email", "must not be the mail address"))
}

/// Claims of an access token (RFC 9068, with the private claims `role` and `properties`). Instants are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// Issuer.
    pub iss: String,
    /// Audience.
    pub aud: String,
    /// Subject.
    pub sub: UserId,
    /// Token id.
    #[serde(with = "uuid_text")]
    pub jti: Uuid,
    /// Issued at.
    pub iat: i64,
    /// Expires at.
    pub exp: i64,
    /// Role of the subject.
    pub role: Role,
    /// Properties of the subject.
    #[serde(default)]
    pub properties: Vec<PropertyId>,
}

#[cfg(test)]
mod tests {
    use super::{Email, Profile, Role, check_password};

    #[test]
    fn email_addresses_are_normalized() {
        let email = Email::parse(" Ada.Lovelace@Example.COM ").unwrap();
        assert_eq!(email.as_str(), "ada.lovelace@example.com");
        for bad in ["", "ada", "ada@example", "ada@example.com\r\nBcc: x@y.z", "a da@example.com"] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn role_is_granted_at_its_properties() {
        assert_eq!(Role::Admin.granted_at(&[]), "admin");
        assert_eq!(Role::Staff.granted_at(&["a".into(), "b".into()]), "staff a,b");
    }

    #[test]
    fn password_is_long_enough_and_not_the_address() {
        let email = Email::parse("ada.lovelace@example.com").unwrap();
        let code = |password: &str| check_password(password, Some(&email), "/password").map(|violation| violation.code);
        assert_eq!(code("elevenchars"), Some("password_length"));
        assert_eq!(code("twelve chars"), None);
        assert_eq!(code(&"é".repeat(256)), None, "characters, not bytes");
        assert_eq!(code(&"x".repeat(257)), Some("password_length"));
        assert_eq!(code("ADA.lovelace@example.com"), Some("password_is_email"));
    }

    #[test]
    fn profile_requires_a_name() {
        let codes = |name: &str, locale: Option<&str>| {
            let profile = Profile { name: name.to_owned(), locale: locale.map(str::to_owned) };
            profile.check().into_iter().map(|violation| violation.code).collect::<Vec<_>>()
        };
        assert!(codes("Ada Lovelace", Some("en-CA")).is_empty());
        assert_eq!(codes(" ", Some("english language")), ["invalid_name", "invalid_locale"]);
        assert_eq!(codes("a\r\nb", None), ["invalid_name"]);
    }
}
