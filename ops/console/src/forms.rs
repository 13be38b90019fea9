//! Submitted forms: fields by name, and the token that proves that a page of this session made the form.

use crate::access::SignedIn;
use crate::app::SharedApp;
use crate::failure::Failure;
use crate::protection::is_same_origin;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use pvt_stores::mongo::api_keys::hash_api_secret;
use std::time::Duration;
use subtle::ConstantTimeEq as _;
use tokio::time::timeout;
use url::form_urlencoded;

/// The field that holds the token.
const CSRF_FIELD: &str = "csrf";
/// Of a form that anyone may send.
pub(crate) const MAX_BODY_BYTES: usize = 16 * 1024;
/// Of a form of a user who is signed in: it may hold the body of a message, percent-encoded.
const MAX_SIGNED_IN_BODY_BYTES: usize = 512 * 1024;
const BODY_LIMIT: Duration = Duration::from_secs(10);
/// What the token is derived for; another use of the same secret derives another value.
const PURPOSE: &str = "pvt-console/csrf/v1";

/// The token of forms for the holder of this secret, which only pages can know that were made for them.
pub(crate) fn csrf_token(secret: &str) -> String {
    hash_api_secret(&format!("{PURPOSE}\n{secret}"))
}

/// The fields of a form.
pub(crate) struct FormFields(Vec<(String, String)>);

impl FormFields {
    /// Reads a form's body of at most so many bytes.
    ///
    /// # Errors
    /// [`Failure::Invalid`] when it is too large or does not arrive.
    pub(crate) async fn read(body: Body, max_bytes: usize) -> Result<Self, Failure> {
        let read = timeout(BODY_LIMIT, to_bytes(body, max_bytes)).await;
        let Ok(Ok(bytes)) = read else {
            let most = max_bytes / 1024;
            return Err(Failure::Invalid(format!("The form did not arrive, or has more than {most} KiB.")));
        };
        Ok(Self(form_urlencoded::parse(&bytes).into_owned().collect()))
    }

    /// The fields in their order, names and values as they were sent.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Fields that no user has sent.
    pub(crate) fn of<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// The trimmed values of all fields of this name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.trim())
    }

    /// The trimmed value of a field; empty when there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// The value of a field as it was sent.
    pub(crate) fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }

    /// The value of a field that must not be empty.
    ///
    /// # Errors
    /// [`Failure::Invalid`] when it is.
    pub(crate) fn required(&self, name: &str, advice: &str) -> Result<&str, Failure> {
        Some(self.get(name)).filter(|value| !value.is_empty()).ok_or_else(|| Failure::Invalid(advice.to_owned()))
    }

    /// Whether the form was made for the holder of this secret.
    pub(crate) fn is_made_for(&self, secret: &str) -> bool {
        self.raw(CSRF_FIELD).as_bytes().ct_eq(csrf_token(secret).as_bytes()).into()
    }
}

/// A form that a user has submitted on a page of their session.
pub(crate) struct Submitted {
    pub(crate) user: SignedIn,
    pub(crate) fields: FormFields,
}

impl FromRequest<SharedApp> for Submitted {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &SharedApp) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let user = SignedIn::to_change(&parts, app).await?;
        if !is_same_origin(&parts.headers) {
            return Err(Failure::Forged);
        }
        let fields = FormFields::read(body, MAX_SIGNED_IN_BODY_BYTES).await?;
        if fields.is_made_for(user.token()) { Ok(Self { user, fields }) } else { Err(Failure::Forged) }
    }
}

#[cfg(test)]
mod tests {
    use super::{FormFields, MAX_BODY_BYTES, csrf_token};
    use axum::body::Body;

    #[tokio::test]
    async fn form_is_made_for_one_session() {
        let text = format!("csrf={}&reason=+a%26b+", csrf_token("secret"));
        let fields = FormFields::read(Body::from(text), MAX_BODY_BYTES).await.unwrap();
        assert!(fields.is_made_for("secret") && !fields.is_made_for("other"));
        assert_eq!((fields.get("reason"), fields.get("queue")), ("a&b", ""));
        assert!(fields.required("queue", "name one").is_err());
        let without = FormFields::read(Body::from("reason=x"), MAX_BODY_BYTES).await.unwrap();
        assert!(!without.is_made_for("secret") && !without.is_made_for(""));
        assert!(FormFields::read(Body::from("reason=x"), 4).await.is_err(), "too large");
    }
}
