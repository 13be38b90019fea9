//! Accounts: who somebody is, what they may do, what makes a password acceptable, and what an access token says.
//!
//! A password or its hash never appears in a value of this module: whoever needs the hash asks the store for it by
//! name.

pub mod mail;

use crate::ids::{PropertyId, uuid_text};
use crate::intake::{FieldError, MAX_NAME_CHARS, is_email, is_locale};
use crate::timestamp::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// Shortest password, in characters (NIST SP 800-63B asks for 8; length is all we ask for).
pub const MIN_PASSWORD_CHARS: usize = 12;
/// Longest password, in characters: hashing must not be fed megabytes.
pub const MAX_PASSWORD_CHARS: usize = 256;
/// Most properties that one member of staff is assigned to by name.
pub const MAX_PROPERTIES: usize = 100;

/// An account. Written as a hyphenated UUID everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(#[serde(with = "uuid_text")] Uuid);

impl UserId {
    /// Wraps a UUID.
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID.
    pub fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for UserId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self)
    }
}

/// A mail address in the one spelling under which accounts are filed: no space around it, lower case.
///
/// RFC 5321 lets servers tell `Ada@` from `ada@`; none that people use does, and two accounts for one mailbox would be
/// a way in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Email(String);

impl Email {
    /// The address, if it is one that mail servers take.
    pub fn parse(text: &str) -> Option<Self> {
        let normal = text.trim().to_ascii_lowercase();
        is_email(&normal).then_some(Self(normal))
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

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Books, and sees what they booked.
    Guest,
    /// Works at some properties.
    Staff,
    /// Everything, everywhere.
    Admin,
}

impl Role {
    /// Every role with its wire name.
    pub const ALL: [(&'static str, Self); 3] = [("guest", Self::Guest), ("staff", Self::Staff), ("admin", Self::Admin)];

    /// The wire name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Staff => "staff",
            Self::Admin => "admin",
        }
    }
}

/// Somebody with an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Which; never changes.
    #[serde(rename = "_id", alias = "id")]
    pub id: UserId,
    /// Where mails go, and the name under which they log in. Unique.
    pub email: Email,
    /// What they are called.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Where they work; matters for staff only.
    #[serde(default)]
    pub properties: Vec<PropertyId>,
    /// The language of mails, for example `fr` or `en-CA`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Counts the changes of this document, from 1.
    #[serde(default = "first_rev")]
    pub rev: u32,
    /// When the account was made.
    pub created_at: Timestamp,
    /// Since when nobody can log in with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
}

fn first_rev() -> u32 {
    1
}

/// What a person chooses about their account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// What they are called.
    pub name: String,
    /// The language of mails.
    pub locale: Option<String>,
}

impl Profile {
    /// What is wrong with it; pointers are into an object of the same fields.
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let length = self.name.chars().count();
        if self.name.trim().is_empty() || length > MAX_NAME_CHARS || self.name.chars().any(char::is_control) {
            errors.push(FieldError::new(
                "/name",
                "invalid_name",
                format!("1 to {MAX_NAME_CHARS} characters, no control characters"),
            ));
        }
        if self.locale.as_deref().is_some_and(|locale| !is_locale(locale)) {
            errors.push(FieldError::new("/locale", "invalid_locale", "a language tag such as fr, en or en-CA"));
        }
        errors
    }
}

/// What is wrong with a password of this account, if anything; `pointer` is where it stands.
///
/// Only length counts (NIST SP 800-63B §3.1.1.2: no rules of composition), and that it is not what everybody knows
/// about the account.
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

/// What an access token says (RFC 9068, with our own claims `role` and `properties`). Instants are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// Who made it.
    pub iss: String,
    /// Whom it is for.
    pub aud: String,
    /// Whose it is.
    pub sub: UserId,
    /// Names this token.
    #[serde(with = "uuid_text")]
    pub jti: Uuid,
    /// When it was made.
    pub iat: i64,
    /// From when on it is void.
    pub exp: i64,
    /// What its bearer may do.
    pub role: Role,
    /// Where its bearer works.
    #[serde(default)]
    pub properties: Vec<PropertyId>,
}

#[cfg(test)]
mod tests {
    use super::{Email, Profile, check_password};

    #[test]
    fn email_addresses_are_normalized() {
        let email = Email::parse(" Ada.Lovelace@Example.COM ").unwrap();
        assert_eq!(email.as_str(), "ada.lovelace@example.com");
        for bad in ["", "ada", "ada@example", "ada@example.com\r\nBcc: x@y.z", "a da@example.com"] {
            assert!(Email::parse(bad).is_none(), "{bad:?}");
        }
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
        assert_eq!(codes(" ", Some("english")), ["invalid_name", "invalid_locale"]);
        assert_eq!(codes("a\r\nb", None), ["invalid_name"]);
    }
}
