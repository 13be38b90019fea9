//! Access: who is signed in, by the token in their cookie, and what their role allows. Whatever is not allowed here is
//! denied.
//!
//! Administrators see everything and may change it; staff see their properties and what concerns all of them, and
//! change nothing; guests have no access.

use crate::app::{App, SharedApp};
use crate::failure::Failure;
use crate::forms::csrf_token;
use crate::store;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use chrono::Utc;
use pvt_domain::accounts::{Role, User};
use pvt_domain::actor::Actor;
use pvt_domain::ids::PropertyId;
use pvt_service::client_address::client_address;
use pvt_stores::StoreError;
use pvt_stores::mongo::Mongo;
use pvt_stores::mongo::api_keys::hash_api_secret;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a session that was known goes on while MongoDB cannot be read: as long as an access token of the API.
const GRACE: Duration = Duration::from_secs(15 * 60);
/// Most sessions that are remembered for that.
const MAX_KNOWN: usize = 10_000;

/// A cookie of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookie {
    /// Holds the token of a session.
    Session,
    /// Holds the secret that the form to sign in is made for.
    SignIn,
}

impl Cookie {
    /// Its name. With the prefix, browsers take it only over TLS and only from this very host.
    fn name(self, is_secure: bool) -> &'static str {
        match (self, is_secure) {
            (Self::Session, true) => "__Host-pvt-console",
            (Self::Session, false) => "pvt-console",
            (Self::SignIn, true) => "__Host-pvt-console-sign-in",
            (Self::SignIn, false) => "pvt-console-sign-in",
        }
    }

    /// The header that sets it; an age of zero removes it.
    pub(crate) fn set(self, app: &App, value: &str, age: Duration) -> Option<HeaderValue> {
        let is_secure = is_secure(app);
        let secure = if is_secure { "; Secure" } else { "" };
        let name = self.name(is_secure);
        let age = age.as_secs();
        HeaderValue::try_from(format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{secure}")).ok()
    }

    /// Its value in a request.
    pub(crate) fn read(self, app: &App, headers: &HeaderMap) -> Option<String> {
        let name = self.name(is_secure(app));
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
    }
}

/// Plain HTTP is for loopback alone, which the configuration has checked.
fn is_secure(app: &App) -> bool {
    app.config.console_url.scheme() == "https"
}

/// Sessions that were valid a moment ago, by the hash of their token: while MongoDB is down, the console must say so.
#[derive(Default)]
pub(crate) struct KnownSessions(Mutex<HashMap<String, (User, Instant)>>);

impl KnownSessions {
    fn remember(&self, token: &str, user: &User) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(hash_api_secret(token), (user.clone(), Instant::now()));
    }

    pub(crate) fn forget(&self, token: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash_api_secret(token));
    }

    fn recall(&self, token: &str) -> Option<User> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (user, at) = known.get(&hash_api_secret(token))?;
        (at.elapsed() < GRACE).then(|| user.clone())
    }
}

/// A user with access who is signed in.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn {
    user: User,
    token: String,
    address: IpAddr,
}

impl SignedIn {
    /// A user without a session.
    #[cfg(test)]
    pub(crate) fn of(user: User) -> Self {
        Self { user, token: String::new(), address: std::net::Ipv4Addr::LOCALHOST.into() }
    }

    pub(crate) fn user(&self) -> &User {
        &self.user
    }

    /// Where the request came from.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// The token of their session.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// The token of the forms that are made for them.
    pub(crate) fn csrf(&self) -> String {
        csrf_token(&self.token)
    }

    pub(crate) fn is_admin(&self) -> bool {
        self.user.role == Role::Admin
    }

    /// The user as the audit names them.
    pub(crate) fn actor(&self) -> Actor {
        Actor::staff(self.user.id)
    }

    /// The user, if they are an administrator.
    ///
    /// # Errors
    /// [`Failure::Forbidden`] for any other user.
    pub(crate) fn admin(self) -> Result<Self, Failure> {
        if self.is_admin() { Ok(self) } else { Err(Failure::Forbidden) }
    }

    /// The properties that they work for, in the order of their ids.
    ///
    /// # Errors
    /// [`Failure::Down`] when MongoDB cannot be read.
    pub(crate) async fn properties(&self, app: &App) -> Result<Vec<PropertyId>, Failure> {
        let mongo = app.mongo.clone();
        let mut all = store::read(app, async move { mongo.inventories().property_ids().await }).await?;
        if !self.is_admin() {
            all.retain(|property| self.user.properties.contains(property));
        }
        Ok(all)
    }

    /// The property of this id, or without one the first that they work for.
    ///
    /// # Errors
    /// [`Failure::NotFound`] for any other: whether it exists is not for them to learn.
    pub(crate) async fn property(
        &self,
        app: &App,
        named: Option<&str>,
    ) -> Result<(PropertyId, Vec<PropertyId>), Failure> {
        let all = self.properties(app).await?;
        let is_meant = |property: &&PropertyId| named.is_none_or(|named| property.as_str() == named);
        let none = || Failure::NotFound("There is no such property that you work for.".to_owned());
        Ok((all.iter().find(is_meant).cloned().ok_or_else(none)?, all))
    }
}

impl FromRequestParts<SharedApp> for SignedIn {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &SharedApp) -> Result<Self, Failure> {
        let next = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let Some(token) = Cookie::Session.read(app, &parts.headers) else { return Err(Failure::SignedOut(next)) };
        let known = app.sessions.recall(&token);
        match authenticate(app, &token, known).await? {
            Some(user) => Ok(Self { user, token, address: address_of(parts, app) }),
            None => Err(Failure::SignedOut(next)),
        }
    }
}

impl SignedIn {
    /// The user who changes something: as MongoDB knows them now.
    ///
    /// # Errors
    /// [`Failure::SignedOut`] without a session, [`Failure::Unavailable`] when MongoDB cannot be read.
    pub(crate) async fn to_change(parts: &Parts, app: &SharedApp) -> Result<Self, Failure> {
        // The page of the form is not known, and its own path answers no GET.
        let signed_out = || Failure::SignedOut("/".to_owned());
        let token = Cookie::Session.read(app, &parts.headers).ok_or_else(signed_out)?;
        let user = authenticate(app, &token, None).await?.ok_or_else(signed_out)?;
        Ok(Self { user, token, address: address_of(parts, app) })
    }
}

fn address_of(parts: &Parts, app: &App) -> IpAddr {
    client_address(&parts.extensions, &parts.headers, &app.config.trusted_proxies)
}

/// The user of a session, if they have access; the one who is known from a moment ago while MongoDB does not answer.
async fn authenticate(app: &App, token: &str, known: Option<User>) -> Result<Option<User>, Failure> {
    // Asking once more would only cost the time of another failure.
    if known.is_some() && app.board.figures().mongodb_outage().is_some() {
        return Ok(known);
    }
    let (mongo, secret) = (app.mongo.clone(), token.to_owned());
    match store::read(app, async move { user_of(&mongo, &secret).await }).await {
        Ok(user) => {
            let user = user.filter(has_access);
            match &user {
                Some(user) => app.sessions.remember(token, user),
                None => app.sessions.forget(token),
            }
            Ok(user)
        }
        Err(silent @ (Failure::Down(..) | Failure::Slow)) => {
            known.map_or_else(|| Err(silent.for_strangers()), |user| Ok(Some(user)))
        }
        Err(failed) => Err(failed),
    }
}

async fn user_of(mongo: &Mongo, token: &str) -> Result<Option<User>, StoreError> {
    let Some(session) = mongo.console_sessions().find(token, Utc::now().into()).await? else { return Ok(None) };
    let found = mongo.users().credentials(session.user_id).await?;
    Ok(found.filter(|(_, hash)| session.is_of_password(hash)).map(|(user, _)| user))
}

/// Whether an account may use the console at all.
pub(crate) fn has_access(user: &User) -> bool {
    user.disabled_at.is_none() && matches!(user.role, Role::Staff | Role::Admin)
}
