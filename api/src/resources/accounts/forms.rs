//! Forms of requests about accounts and API keys.

use crate::form::form;
use crate::form::json::Node;
use crate::form::people::{account_email, language_tag, name};
use crate::form::presence::{optional, required};
use crate::form::reader::{Field, Pointer, Reader};
use crate::form::types::{FieldType, Refusal, Text, list, one_line, one_of, parsed, refusal, text};
use pvt_domain::accounts::{
    Email, MAX_PASSWORD_CHARS, MAX_PROPERTIES, MIN_PASSWORD_CHARS, Profile, Role, check_password,
};
use pvt_domain::ids::PropertyId;
use pvt_domain::intake::{FieldError, MAX_NAME_CHARS};
use pvt_stores::mongo::api_keys::{ApiRole, NewApiKey, PropertyScope, Scope, ScopeSet};
use schemars::{Schema, SchemaGenerator, json_schema};
use secrecy::SecretString;
use serde_json::json;

/// A password may be any digits, and our tokens have many.
const SECRETS: &[&str] = &["/password", "/current_password", "/new_password", "/token", "/refresh_token"];

form! {
    /// A new account.
    pub(crate) struct RegistrationForm {
        email: Email = required(account_email()),
        password: SecretString = required(new_password(email.as_ref())),
        name: String = required(name()),
        /// The language of mails, as a tag (BCP 47): `fr`, `en-CA`, `zh-Hant`.
        locale: Option<String> = optional(language_tag()),
    }
    exempt SECRETS;
    example json!({ "email": "ada@example.com", "password": "correct horse battery", "name": "Ada Lovelace",
        "locale": "en" });
    check(at, reader) { check_profile(name.as_ref(), locale.as_ref(), at, reader) }
}

form! {
    /// A sign-in. Only the shape is checked: a malformed address must be answered as a wrong password is.
    pub(crate) struct LoginForm {
        email: Option<Email> = required(parsed(|text| Ok(Email::parse(text).ok()))),
        password: SecretString = required(text()),
    }
    exempt SECRETS;
    example json!({ "email": "guest@pvt.test", "password": "the password" });
}

form! {
    /// The refresh token of a session.
    pub(crate) struct RefreshForm {
        refresh_token: String = required(text()),
    }
    exempt SECRETS;
    example json!({ "refresh_token": "pvtr_…" });
}

form! {
    /// The address of an account whose password is forgotten.
    pub(crate) struct ForgotPasswordForm {
        email: Email = required(account_email()),
    }
    exempt SECRETS;
    example json!({ "email": "ada@example.com" });
}

form! {
    /// A new password, and the present one.
    pub(crate) struct PasswordChangeForm {
        current_password: SecretString = required(text()),
        new_password: SecretString = required(new_password(None)),
    }
    exempt SECRETS;
    example json!({ "current_password": "correct horse battery", "new_password": "battery horse correct" });
}

form! {
    /// A new password, and the token that was mailed for it.
    pub(crate) struct PasswordResetForm {
        token: SecretString = required(text()),
        new_password: SecretString = required(new_password(None)),
    }
    exempt SECRETS;
    example json!({ "token": "from the mail", "new_password": "battery horse correct" });
}

form! {
    /// The name and the language of an account.
    pub(crate) struct ProfileForm {
        name: String = required(name()),
        /// The language of mails, as a tag (BCP 47): `fr`, `en-CA`, `zh-Hant`.
        locale: Option<String> = optional(language_tag()),
    }
    exempt SECRETS;
    example json!({ "name": "Ada King", "locale": "fr" });
    check(at, reader) { check_profile(name.as_ref(), locale.as_ref(), at, reader) }
}

form! {
    /// The role of an account, and for staff the properties they work at.
    pub(crate) struct RoleForm {
        role: Role = required(one_of(&Role::ALL)),
        properties: Option<Vec<PropertyId>> = optional(list(text(), MAX_PROPERTIES)),
    }
    exempt SECRETS;
    example json!({ "role": "staff", "properties": ["pvt-montreal"] });
    check(at, reader) {
        let has_properties = properties.as_ref().is_some_and(Option::is_some);
        let refused = match role {
            Some(Role::Staff) if !has_properties => Some(("required", "staff need the properties they work at")),
            Some(role) if role != Role::Staff && has_properties => Some(("not_for_role", "only staff have properties")),
            _ => None,
        };
        if let Some((code, message)) = refused {
            reader.violation(&Pointer::Key(at, "properties"), code, message);
        }
    }
}

form! {
    /// A new API key. Without properties or scopes it has all of its role.
    pub(crate) struct ApiKeyForm {
        role: ApiRole = required(one_of(&ApiRole::ALL)),
        name: String = required(one_line("invalid_name", MAX_NAME_CHARS)),
        properties: Option<Vec<PropertyId>> = optional(list(text(), MAX_PROPERTIES)),
        scopes: Option<Vec<Scope>> = optional(Scopes),
    }
    exempt SECRETS;
    example json!({ "role": "client", "name": "Booking site", "scopes": ["bookings:read", "bookings:write"] });
}

impl From<ApiKeyForm> for NewApiKey {
    fn from(ApiKeyForm { role, name, properties, scopes }: ApiKeyForm) -> Self {
        let properties = properties.map_or(PropertyScope::All, PropertyScope::Only);
        Self { role, name, properties, scopes: scopes.map_or(ScopeSet::All, ScopeSet::Only) }
    }
}

/// A password for the account with this address, if that is known.
fn new_password(email: Option<&Email>) -> Text<impl Fn(&str) -> Result<SecretString, Refusal>> {
    parsed(move |password: &str| match check_password(password, email, "") {
        Some(FieldError { code, message, .. }) => refusal(code, message),
        None => Ok(SecretString::from(password)),
    })
    .length(MIN_PASSWORD_CHARS, MAX_PASSWORD_CHARS)
}

fn check_profile(name: Option<&String>, locale: Option<&Option<String>>, at: &Pointer<'_>, reader: &mut Reader) {
    let Some(name) = name else { return };
    let profile = Profile { name: name.clone(), locale: locale.cloned().flatten() };
    for FieldError { pointer, code, message } in profile.check() {
        reader.violation(&Pointer::Key(at, pointer.trim_start_matches('/')), code, message);
    }
}

/// Scopes, each once; anything that is no scope is an unknown value, whatever its type.
struct Scopes;

impl FieldType for Scopes {
    type Value = Vec<Scope>;

    fn read(&self, field: Field<'_, '_, '_>, reader: &mut Reader) -> Option<Vec<Scope>> {
        let (at, items) = (field.at(), reader.list(field)?);
        let mut scopes = Vec::new();
        for (index, item) in items.iter().take(Scope::ALL.len()).enumerate() {
            let Node::Text(text) = item else {
                reader.unknown_value(&Pointer::Index(&at, index), &Scope::ALL);
                continue;
            };
            match Scope::ALL.iter().find(|(name, _)| *name == text) {
                Some((_, scope)) => scopes.push(*scope),
                None => reader.unknown_value(&Pointer::Index(&at, index), &Scope::ALL),
            }
        }
        if items.len() > Scope::ALL.len() {
            reader.violation(&at, "too_many", "each scope once");
        }
        Some(scopes)
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        let scope = one_of(&Scope::ALL).schema(generator);
        json_schema!({ "type": "array", "items": scope, "minItems": 0, "maxItems": Scope::ALL.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        ApiKeyForm, LoginForm, PasswordChangeForm, PasswordResetForm, ProfileForm, RefreshForm, RegistrationForm,
        RoleForm,
    };
    use crate::form::declare::RequestForm;
    use crate::form::parse_form;
    use crate::http::problem::Problem;
    use serde_json::json;

    fn parse<T: RequestForm>(body: &[u8]) -> Result<T, Problem> {
        parse_form(body).map(|(form, _)| form)
    }

    fn violations<T>(result: Result<T, Problem>) -> Vec<(String, &'static str)> {
        result
            .err()
            .map(|problem| problem.errors().iter().map(|error| (error.pointer.clone(), error.code)).collect())
            .unwrap_or_default()
    }

    #[test]
    fn all_registration_violations_are_reported() {
        let read = |body: serde_json::Value| violations(parse::<RegistrationForm>(body.to_string().as_bytes()));
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
            read(json!({ "email": "ada", "password": "short", "name": "Ada", "locale": "fr_CA", "role": "admin" }));
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
            assert!(parse::<PasswordChangeForm>(body.to_string().as_bytes()).is_ok(), "{member}");
        }
        assert!(
            parse::<PasswordResetForm>(json!({ "token": digits, "new_password": digits }).to_string().as_bytes())
                .is_ok()
        );
        assert!(parse::<RefreshForm>(json!({ "refresh_token": digits }).to_string().as_bytes()).is_ok());
        assert_eq!(
            parse::<LoginForm>(json!({ "email": digits, "password": digits }).to_string().as_bytes())
                .map_err(|problem| problem.code())
                .err(),
            Some("card_number_refused")
        );
    }

    #[test]
    fn login_does_not_validate_the_address() {
        assert!(
            parse::<LoginForm>(br#"{"email":"not an address","password":"x"}"#)
                .is_ok_and(|login| login.email.is_none())
        );
        assert_eq!(
            violations(parse::<LoginForm>(br#"{"email":"ada@example.com"}"#)),
            [("/password".to_owned(), "required")]
        );
    }

    #[test]
    fn unknown_profile_fields_are_refused() {
        assert_eq!(
            violations(parse::<ProfileForm>(br#"{"name":"Ada","role":"admin","rev":9}"#)),
            [("/role".to_owned(), "unknown_field"), ("/rev".to_owned(), "unknown_field")]
        );
    }

    #[test]
    fn only_staff_have_properties() {
        let read = |body: &str| violations(parse::<RoleForm>(body.as_bytes()));
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
        let read = |body: &str| violations(parse::<ApiKeyForm>(body.as_bytes()));
        assert_eq!(read(r#"{"role":"client","name":"app","scopes":["bookings:read"]}"#), []);
        assert_eq!(
            read(r#"{"role":"client","name":" ","scopes":["all"]}"#),
            [("/name".to_owned(), "invalid_name"), ("/scopes/0".to_owned(), "unknown_value")]
        );
    }
}
