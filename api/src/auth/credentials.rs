//! Credentials of a request: an API key, an access token, or a booking token.

use crate::auth::policy::{Caller, SignedInUser};
use crate::http::headers::bearer;
use crate::http::problem::{self, Problem};
use crate::state::App;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use pvt_service::access_tokens::is_signed_token;
use pvt_service::tokens::Purpose;
use std::sync::Arc;

/// Who sends a request, as its credentials show. The guard puts it among the request's extensions; handlers read it
/// there.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    /// The caller.
    pub(crate) caller: Caller,
    /// A bearer value that is neither key nor access token: a booking's token, perhaps.
    pub(crate) token: Option<Arc<str>>,
    /// The least purpose of a booking's token that the route accepts.
    pub(crate) needed: Purpose,
}

impl Credentials {
    /// Nothing was shown.
    pub(crate) const NONE: Self = Self::of_caller(Caller::Anonymous);

    const fn of_caller(caller: Caller) -> Self {
        Self { caller, token: None, needed: Purpose::Manage }
    }

    /// Reads the credentials of a request.
    ///
    /// # Errors
    /// 401 for a credential that is not valid, 503 when that cannot be found out.
    pub(crate) async fn read(app: &App, headers: &HeaderMap) -> Result<Self, Problem> {
        let Some(value) = bearer(headers)? else { return Ok(Self::NONE) };
        if is_signed_token(value) {
            let claims = app.access_tokens.verify(value).ok_or_else(|| Problem::from(problem::UNAUTHENTICATED))?;
            return Ok(Self::of_caller(Caller::User(Arc::new(SignedInUser::new(claims)))));
        }
        match app.api_keys.authenticate(value).await? {
            Some(key) => Ok(Self::of_caller(Caller::Key(key))),
            None => Ok(Self { token: Some(value.into()), ..Self::NONE }),
        }
    }

    /// What the guard of this request's route found. Nothing, where it did not look.
    pub(crate) fn of(parts: &Parts) -> Self {
        parts.extensions.get().cloned().unwrap_or(Self::NONE)
    }
}
