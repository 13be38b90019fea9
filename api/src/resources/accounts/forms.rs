//! The bodies of requests about accounts: read strictly, every fault named at once.

use crate::form;
use crate::form::json::Node;
use crate::form::reader::{Fields, Pointer, Reader};
use crate::http::body::read_json;
use crate::http::problem::Problem;
use axum::body::Body;
use axum::http::HeaderMap;
use bytes::Bytes;
use pvt_domain::accounts::{Email, MAX_PROPERTIES, Profile, Role, check_password};
use pvt_domain::ids::PropertyId;
use pvt_domain::intake::{FieldError, MAX_NAME_CHARS};
use pvt_stores::mongo::api_keys::{ApiRole, NewApiKey, PropertyScope, Scope, ScopeSet};
use secrecy::SecretString;

/// A password may be any digits, and our tokens have many.
const SECRETS: &[&str] = &["/password", "/current_password", "/new_password", "/token", "/refresh_token"];

/// Reads the whole body with `read`, which gives a value unless something was wrong.
pub(crate) async fn read<T>(
    headers: &HeaderMap,
    body: Body,
    read: fn(&Node<'_>, &mut Reader) -> Option<T>,
) -> Result<T, Problem> {
    let body: Bytes = read_json(headers, body).await?;
    parse(&body, read)
}

fn parse<T>(body: &[u8], read: fn(&Node<'_>, &mut Reader) -> Option<T>) -> Result<T, Problem> {
    form::parse(body, SECRETS, read).map(|(value, _)| value)
}

/// Who wants an account.
pub(crate) struct Registration {
    pub(crate) email: Email,
    pub(crate) password: SecretString,
    pub(crate) profile: Profile,
}

/// `email`, `password`, `name`, `locale`.
pub(crate) fn registration(node: &Node<'_>, reader: &mut Reader) -> Option<Registration> {
    let fields = reader.object(node, &Pointer::Root, &["email", "password", "name", "locale"])?;
    let email = email(fields, reader);
    let password = new_password(fields, "password", email.as_ref(), reader);
    let profile = profile_fields(fields, reader);
    Some(Registration { email: email?, password: password?, profile: profile? })
}

/// Who wants to log in. Nothing is checked but the form: what is wrong with a password must not be told apart from a
/// wrong one.
pub(crate) struct Login {
    pub(crate) email: Option<Email>,
    pub(crate) password: SecretString,
}

/// `email`, `password`.
pub(crate) fn login(node: &Node<'_>, reader: &mut Reader) -> Option<Login> {
    let fields = reader.object(node, &Pointer::Root, &["email", "password"])?;
    let email = text(fields, "email", reader);
    let password = text(fields, "password", reader);
    Some(Login { email: Email::parse(email?), password: SecretString::from(password?) })
}

/// `refresh_token`.
pub(crate) fn refresh_token(node: &Node<'_>, reader: &mut Reader) -> Option<String> {
    let fields = reader.object(node, &Pointer::Root, &["refresh_token"])?;
    text(fields, "refresh_token", reader).map(str::to_owned)
}

/// `email`, which must be an address.
pub(crate) fn address(node: &Node<'_>, reader: &mut Reader) -> Option<Email> {
    let fields = reader.object(node, &Pointer::Root, &["email"])?;
    email(fields, reader)
}

/// An old secret and a new password.
pub(crate) struct NewPassword {
    /// The password so far, or the token of a reset.
    pub(crate) proof: SecretString,
    pub(crate) password: SecretString,
}

/// `current_password`, `new_password`.
pub(crate) fn password_change(node: &Node<'_>, reader: &mut Reader) -> Option<NewPassword> {
    let fields = reader.object(node, &Pointer::Root, &["current_password", "new_password"])?;
    let proof = text(fields, "current_password", reader);
    let password = new_password(fields, "new_password", None, reader);
    Some(NewPassword { proof: SecretString::from(proof?), password: password? })
}

/// `token`, `new_password`.
pub(crate) fn password_reset(node: &Node<'_>, reader: &mut Reader) -> Option<NewPassword> {
    let fields = reader.object(node, &Pointer::Root, &["token", "new_password"])?;
    let proof = text(fields, "token", reader);
    let password = new_password(fields, "new_password", None, reader);
    Some(NewPassword { proof: SecretString::from(proof?), password: password? })
}

/// `name`, `locale`.
pub(crate) fn profile(node: &Node<'_>, reader: &mut Reader) -> Option<Profile> {
    let fields = reader.object(node, &Pointer::Root, &["name", "locale"])?;
    profile_fields(fields, reader)
}

/// `role`, and for staff `properties`.
pub(crate) fn role(node: &Node<'_>, reader: &mut Reader) -> Option<(Role, Vec<PropertyId>)> {
    let fields = reader.object(node, &Pointer::Root, &["role", "properties"])?;
    let role = reader.required(fields, "role").and_then(|field| reader.one_of(field, &Role::ALL));
    let properties = properties(fields, reader);
    if role.is_some_and(|role| role != Role::Staff) && properties.is_some() {
        reader.violation(&Pointer::Key(&Pointer::Root, "properties"), "not_for_role", "only staff have properties");
    }
    if role == Some(Role::Staff) && properties.is_none() {
        reader.violation(
            &Pointer::Key(&Pointer::Root, "properties"),
            "required",
            "staff need the properties they work at",
        );
    }
    Some((role?, properties.unwrap_or_default()))
}

/// `role`, `name`, `properties`, `scopes`.
pub(crate) fn api_key(node: &Node<'_>, reader: &mut Reader) -> Option<NewApiKey> {
    let fields = reader.object(node, &Pointer::Root, &["role", "name", "properties", "scopes"])?;
    let role = reader.required(fields, "role").and_then(|field| reader.one_of(field, &ApiRole::ALL));
    let name = text(fields, "name", reader);
    if name.is_some_and(|name| {
        name.trim().is_empty() || name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control)
    }) {
        reader.violation(
            &Pointer::Key(&Pointer::Root, "name"),
            "invalid_name",
            format!("1 to {MAX_NAME_CHARS} characters, no control characters"),
        );
    }
    let properties = properties(fields, reader).map_or(PropertyScope::All, PropertyScope::Only);
    let scopes = scopes(fields, reader).map_or(ScopeSet::All, ScopeSet::Only);
    Some(NewApiKey { role: role?, name: name?.to_owned(), properties, scopes })
}

fn text<'n>(fields: Fields<'n, '_, '_>, key: &'static str, reader: &mut Reader) -> Option<&'n str> {
    reader.required(fields, key).and_then(|field| reader.text(field))
}

fn email(fields: Fields<'_, '_, '_>, reader: &mut Reader) -> Option<Email> {
    let text = text(fields, "email", reader)?;
    let email = Email::parse(text);
    if email.is_none() {
        reader.violation(&Pointer::Key(&Pointer::Root, "email"), "invalid_email", "an address such as ada@example.com");
    }
    email
}

fn new_password(
    fields: Fields<'_, '_, '_>,
    key: &'static str,
    email: Option<&Email>,
    reader: &mut Reader,
) -> Option<SecretString> {
    let password = text(fields, key, reader)?;
    if let Some(FieldError { code, message, .. }) = check_password(password, email, key) {
        reader.violation(&Pointer::Key(&Pointer::Root, key), code, message);
        return None;
    }
    Some(SecretString::from(password))
}

fn profile_fields(fields: Fields<'_, '_, '_>, reader: &mut Reader) -> Option<Profile> {
    let name = text(fields, "name", reader);
    let locale = fields.optional("locale").and_then(|field| reader.text(field));
    let profile = Profile { name: name?.trim().to_owned(), locale: locale.map(str::to_owned) };
    for FieldError { pointer, code, message } in profile.check() {
        reader.violation(&Pointer::Key(&Pointer::Root, pointer.trim_start_matches('/')), code, message);
    }
    Some(profile)
}

fn properties(fields: Fields<'_, '_, '_>, reader: &mut Reader) -> Option<Vec<PropertyId>> {
    let field = fields.optional("properties")?;
    let (at, items) = (field.at(), reader.list(field)?);
    if items.len() > MAX_PROPERTIES {
        reader.violation(&at, "too_many", format!("at most {MAX_PROPERTIES}"));
    }
    let mut properties = Vec::new();
    for (index, item) in items.iter().take(MAX_PROPERTIES).enumerate() {
        match item {
            Node::Text(id) => properties.push(PropertyId::from(&**id)),
            other => reader.violation(
                &Pointer::Index(&at, index),
                "wrong_type",
                format!("must be a text, not {}", other.kind()),
            ),
        }
    }
    Some(properties)
}

fn scopes(fields: Fields<'_, '_, '_>, reader: &mut Reader) -> Option<Vec<Scope>> {
    let field = fields.optional("scopes")?;
    let (at, items) = (field.at(), reader.list(field)?);
    let mut scopes = Vec::new();
    for (index, item) in items.iter().take(Scope::ALL.len()).enumerate() {
        let known = if let Node::Text(text) = item { Scope::ALL.iter().find(|(name, _)| *name == text) } else { None };
        match known {
            Some((_, scope)) => scopes.push(*scope),
            None => {
                let names: Vec<&str> = Scope::ALL.iter().map(|(name, _)| *name).collect();
                reader.violation(
                    &Pointer::Index(&at, index),
                    "unknown_value",
                    format!("must be one of: {}", names.join(", ")),
                );
            }
        }
    }
    if items.len() > Scope::ALL.len() {
        reader.violation(&at, "too_many", "each scope once");
    }
    Some(scopes)
}

#[cfg(test)]
mod tests {
    use super::{api_key, login, parse, password_change, password_reset, profile, refresh_token, registration, role};
    use crate::http::problem::Problem;
    use serde_json::json;

    fn violations<T>(result: Result<T, Problem>) -> Vec<(String, &'static str)> {
        result
            .err()
            .map(|problem| problem.errors().iter().map(|error| (error.pointer.clone(), error.code)).collect())
            .unwrap_or_default()
    }

    #[test]
    fn all_registration_violations_are_reported() {
        let read = |body: serde_json::Value| violations(parse(body.to_string().as_bytes(), registration));
        assert_eq!(
            read(json!({ "email": "ada@example.com", "password": "correct horse", "name": "Ada", "locale": "fr" })),
            []
        );
        let expected = [
            ("/role", "unknown_field"),
            ("/email", "invalid_email"),
            ("/password", "password_length"),
            ("/locale", "invalid_locale"),
        ];
        let found =
            read(json!({ "email": "ada", "password": "short", "name": "Ada", "locale": "french", "role": "admin" }));
        assert_eq!(found, expected.map(|(pointer, code)| (pointer.to_owned(), code)));
        assert_eq!(
            read(json!({ "email": "ada@example.com", "password": "Ada@Example.com", "name": "Ada" })),
            [("/password".to_owned(), "password_is_email")]
        );
    }

    #[test]
    fn secrets_are_exempt_from_the_card_check() {
        let digits = "4242424242424242";
        for member in ["current_password", "new_password"] {
            let body =
                json!({ "current_password": "some old words", "new_password": "some new words", member: digits });
            assert!(parse(body.to_string().as_bytes(), password_change).is_ok(), "{member}");
        }
        assert!(
            parse(json!({ "token": digits, "new_password": digits }).to_string().as_bytes(), password_reset).is_ok()
        );
        assert!(parse(json!({ "refresh_token": digits }).to_string().as_bytes(), refresh_token).is_ok());
        assert_eq!(
            parse(json!({ "email": digits, "password": digits }).to_string().as_bytes(), login)
                .map_err(|problem| problem.code())
                .err(),
            Some("card_number_refused")
        );
    }

    #[test]
    fn login_does_not_validate_the_address() {
        assert!(parse(br#"{"email":"not an address","password":"x"}"#, login).is_ok_and(|login| login.email.is_none()));
        assert_eq!(violations(parse(br#"{"email":"ada@example.com"}"#, login)), [("/password".to_owned(), "required")]);
    }

    #[test]
    fn unknown_profile_fields_are_refused() {
        assert_eq!(
            violations(parse(br#"{"name":"Ada","role":"admin","rev":9}"#, profile)),
            [("/role".to_owned(), "unknown_field"), ("/rev".to_owned(), "unknown_field")]
        );
    }

    #[test]
    fn only_staff_have_properties() {
        let read = |body: &str| violations(parse(body.as_bytes(), role));
        assert_eq!(read(r#"{"role":"staff","properties":["pvt-montreal"]}"#), []);
        assert_eq!(read(r#"{"role":"admin"}"#), []);
        assert_eq!(read(r#"{"role":"staff"}"#), [("/properties".to_owned(), "required")]);
        assert_eq!(read(r#"{"role":"guest","properties":[]}"#), [("/properties".to_owned(), "not_for_role")]);
        assert_eq!(
            read(r#"{"role":"god","properties":[1]}"#),
            [("/role".to_owned(), "unknown_value"), ("/properties/0".to_owned(), "wrong_type")]
        );
    }

    #[test]
    fn api_key_form_requires_role_name_and_known_scopes() {
        let read = |body: &str| violations(parse(body.as_bytes(), api_key));
        assert_eq!(read(r#"{"role":"client","name":"app","scopes":["bookings:read"]}"#), []);
        assert_eq!(
            read(r#"{"role":"client","name":" ","scopes":["all"]}"#),
            [("/name".to_owned(), "invalid_name"), ("/scopes/0".to_owned(), "unknown_value")]
        );
    }
}
